"""XML against its oracles: expat decides what is well-formed, xmltodict what the value is, both ways."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

import pytest
import xmltodict
from hypothesis import given, settings
from hypothesis import strategies as st

from vrsky_fast import XmlOptions, json_to_xml, xml_to_json
from vrsky_fast.errors import ConvertError, VrskyError, XmlError

many = settings(deadline=None, max_examples=150)


# -- documents: mostly well-formed, with everything that is easy to get wrong -------------------------

NAMES = ["a", "b", "c", "item"] * 4 + [
    *["a:b", "x:y", "p:a", "xml", "xmlns", "xmlns:p", "é", "日本", "a1", "_", "a-b", "a.", "a·"],
    *[":a", "a:", "a:b:c", "-a", "1a", "𠀀", "xml:lang"],
]
BLANKS = [" ", "\n", "\t", "\r\n", "\r", "\u00a0", "\u2003", "\x85", "&#32;", "&#160;", "&#10;", "&#13;", "&#x2028;"]
TEXTS = [
    *["t", "hello", "é", "ü😀", "1.5", "0", "true", "{", "\\", '"', "'", ">", "]]", "a;b", "\u2028x", "\x7f"],
    *["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#65;", "&#x1F600;", "&#000065;", "&#38;"],
]
WRONG = [
    *["<", "&", "]]>", "&nbsp;", "&;", "&#;", "&#x;", "&#x0;", "&#xD800;", "&#xFFFE;", "&#x110000;", "&#X41;", "&#+5;"],
    *["\x01", "\x00", "\ufffe", "&#99999999999999999999;", "<a", "</a>", "<!", "<!DOCTYPE a>"],
]
DECLARATIONS = [
    '<?xml version="1.0"?>',
    '<?xml version="1.0" encoding="UTF-8"?>',
    "<?xml version='1.1' encoding='utf-8' standalone='yes'?>",
    '<?xml version = "2.x_-"  standalone="no" ?>',
    '<?xml version="1.0" encoding="US-ASCII"?>',
    '<?xml version="1.0" standalone="maybe"?>',
    '<?xml version="1.0" standalone="yes" encoding="UTF-8"?>',
    '<?xml version="1.0"encoding="UTF-8"?>',
    '<?xml version="1.0" version="1.0"?>',
    '<?xml encoding="UTF-8"?>',
    '<?xml version="1 0"?>',
    '<?xml version=""?>',
    '<?xml version="1.0" ? >',
    "<?xml?>",
    "<?xml-a?>",
    ' <?xml version="1.0"?>',
    '<?XML version="1.0"?>',
]
MARKUP = [
    *["<!---->", "<!-- c -->", "<!-- a-b -->", "<!-- <a> &x; -->", "<?p?>", "<?p x?>", "<?p ? x ??>", "<?é x?>"],
    *["<!--a--b-->", "<!--->", "<?xml?>", "<?XML x?>", "<?1?>", "<? x?>", "<?p:q x?>", "<?p!?>"],
]
CDATA = [
    "<![CDATA[]]>",
    "<![CDATA[ x ]]>",
    "<![CDATA[<&>]]>",
    "<![CDATA[]]]]>",
    "<![CDATA[a\r\nb]]>",
    "<![CDATA[\u00a0]]>",
]
URIS = ["u", "v", "", "http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/"]


class Writer:
    """Writes a document, one choice at a time."""

    def __init__(self, choices: random.Random) -> None:
        self.choices = choices

    def often(self, common: list[str], rare: list[str], share: float = 0.01) -> str:
        return self.choices.choice(rare if self.choices.random() < share else common)

    def text(self) -> str:
        return "".join(
            self.choices.choice(BLANKS) if self.choices.random() < 0.4 else self.often(TEXTS, WRONG)
            for _ in range(self.choices.randrange(5))
        )

    def attribute(self) -> str:
        name, quote = self.choices.choice(NAMES), self.choices.choice("\"'")
        value = self.choices.choice(URIS) if name.startswith("xmlns") else self.text().replace(quote, "")
        equals = self.often(["="], [" = ", "\n=\t"], 0.2)
        return self.often([" ", "\n", "  ", "\t"], [""]) + name + equals + quote + value + quote

    def element(self, depth: int = 0) -> str:
        name = self.choices.choice(NAMES)
        start = name + "".join(self.attribute() for _ in range(self.choices.choice([0, 0, 0, 1, 2, 3])))
        start += self.often([""], [" ", "\n", " / "], 0.1)
        if self.choices.random() < 0.2:
            return f"<{start}/>"
        content = "".join(self.part(depth) for _ in range(self.choices.choice([0, 1, 1, 2, 3, 5])))
        end = name if self.choices.random() < 0.995 else self.choices.choice(NAMES)
        return f"<{start}>{content}</{end}{self.often(['', '', '', ' '], [' x'])}>"

    def part(self, depth: int) -> str:
        kind = self.choices.random()
        if kind < 0.35 and depth < 5:
            return self.element(depth + 1)
        if kind < 0.42:
            return self.choices.choice(CDATA)
        if kind < 0.5:
            return self.often(MARKUP[:8], MARKUP[8:], 0.1)
        return self.text()

    def around(self) -> str:
        wrong = ["x", "&#32;", "<a/>", *CDATA, *MARKUP[8:]]
        return "".join(self.often([*MARKUP[:8], " ", "\n", "\t"], wrong) for _ in range(self.choices.randrange(3)))

    def document(self) -> bytes:
        declaration = self.choices.choice(DECLARATIONS) if self.choices.random() < 0.3 else ""
        mark = "\ufeff" if self.choices.random() < 0.15 else ""
        return (mark + declaration + self.around() + self.element() + self.around()).encode()

    def spoiled(self, data: bytes) -> bytes:
        spoiled = bytearray(data)
        for _ in range(self.choices.randrange(1, 4)):
            at = self.choices.randrange(len(spoiled) + 1)
            piece = bytes(self.choices.choices(b"<>/&;=\"' \n\r?!-[]:aX\x00\x7f\xc3\xef\xbb", k=1))
            spoiled[at : at + self.choices.randrange(3)] = piece * self.choices.randrange(2)
        return bytes(spoiled)


writers = st.randoms(use_true_random=True).map(Writer)
# Twenty at a time: to draw a document is cheap, to draw an example is not.
documents = writers.map(lambda writer: [writer.document() for _ in range(20)])
spoiled = writers.map(lambda writer: [writer.spoiled(writer.document()) for _ in range(20)])

# -- the oracles ---------------------------------------------------------------------------------------


class EveryNamespace(dict[str, str | None]):
    """Maps every namespace to none, which makes xmltodict drop the prefixes."""

    def __missing__(self, key: str) -> None:
        return None


def theirs(data: bytes, *, strip: bool = False, **options: Any) -> Any:
    """What xmltodict makes of it, with the expat that Python has. Raises what they raise."""
    if not strip:
        return xmltodict.parse(data, **options)
    namespaces = EveryNamespace({"not empty": None})
    return without_declarations(xmltodict.parse(data, process_namespaces=True, namespaces=namespaces, **options))


def without_declarations(value: Any) -> Any:
    """xmltodict keeps declarations under `@xmlns`, which makes an object of an element with nothing else."""
    if isinstance(value, list):
        return [without_declarations(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: without_declarations(item)
        for key, item in value.items()
        if not (key == "@xmlns" and isinstance(item, dict))
    }
    if len(kept) == len(value):
        return kept
    if not kept:
        return None
    return kept["#text"] if list(kept) == ["#text"] else kept


def compare(data: bytes, options: XmlOptions | None = None, **theirs_options: Any) -> None:
    strip = options is not None and options.namespaces == "strip"
    try:
        expected = json.dumps(theirs(data, strip=strip, **theirs_options))
    except (expat.ExpatError, ValueError, LookupError):
        expected = None
    # What expat accepts, and we refuse all the same; of two attributes xmltodict keeps the last.
    ours_alone = {"xml/doctype", "xml/encoding"} | ({"convert/name-collision"} if strip else set())
    try:
        mine = json.dumps(json.loads(xml_to_json(data, options)))
    except VrskyError as error:
        assert expected is None or error.code in ours_alone, (data, error)
        assert error.place is not None
        assert error.place.offset is not None
        assert 0 <= error.place.offset <= len(data)
    else:
        assert mine == expected, data


@many
@given(documents)
def test_documents_are_what_xmltodict_makes_of_them(batch: list[bytes]) -> None:
    for data in batch:
        compare(data)


@many
@given(documents)
def test_prefixes_are_stripped_as_xmltodict_does(batch: list[bytes]) -> None:
    for data in batch:
        compare(data, XmlOptions(namespaces="strip"))


@many
@given(spoiled)
def test_spoiled_documents_are_refused_as_expat_does(batch: list[bytes]) -> None:
    for data in batch:
        compare(data)
        compare(data, XmlOptions(namespaces="strip"))


@many
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    compare(data)
    compare(b"<a>" + data + b"</a>")


@many
@given(documents)
def test_the_other_prefix_changes_keys_only(batch: list[bytes]) -> None:
    for data in batch:
        compare(data, XmlOptions(attribute_prefix="-"), attr_prefix="-")


@many
@given(documents)
def test_arrays_are_lists_where_they_are_declared(batch: list[bytes]) -> None:
    declared = {("a",), ("a", "b"), ("a", "a"), ("a", "item", "c")}

    def force(path: list[tuple[str, Any]], key: str, value: Any) -> bool:
        return (*(name for name, _ in path), key) in declared

    for data in batch:
        compare(data, XmlOptions(arrays=[".".join(path) for path in declared]), force_list=force)


def test_every_character_where_expat_allows_it() -> None:
    characters = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    characters += [chr(code) for code in (0x10000, 0x1FFFE, 0x20000, 0xE0100, 0xF0000, 0x10FFFF)]
    for template in ("<{}/>", "<a{}/>", "<a>x{}x</a>", "<a>{}</a>"):
        for c in characters:
            data = template.format(c).encode()
            parser = expat.ParserCreate("utf-8")
            try:
                parser.Parse(data, True)
                accepted = True
            except expat.ExpatError:
                accepted = False
            try:
                converted = xml_to_json(data)
            except XmlError:
                assert not accepted, (template, hex(ord(c)))
            else:
                assert accepted, (template, hex(ord(c)))
                if template == "<a>{}</a>":
                    assert json.loads(converted) == {"a": c.strip() or None}, hex(ord(c))


@pytest.mark.parametrize("reference", ["&#{};", "&#x{:x};", "&#x{:X};", "&#0{};"])
def test_every_kind_of_character_reference(reference: str) -> None:
    for code in [
        *range(0x100),
        0x2028,
        0xD7FF,
        0xD800,
        0xDFFF,
        0xE000,
        0xFFFD,
        0xFFFE,
        0xFFFF,
        0x10000,
        0x10FFFF,
        0x110000,
    ]:
        compare(f"<a b='{reference.format(code)}'>x{reference.format(code)}x</a>".encode())


# -- what is refused on purpose ------------------------------------------------------------------------

BILLION_LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>
<lolz>&lol2;</lolz>"""


@pytest.mark.parametrize(
    ("data", "code", "offset"),
    [
        (b"<!DOCTYPE a><a/>", "xml/doctype", 0),
        (BILLION_LAUGHS, "xml/doctype", 22),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "xml/doctype", 0),
        (b"<a>&xxe;</a>", "xml/unknown-entity", 3),
        ("<a/>".encode("utf-16"), "xml/encoding", 0),
        ("<a/>".encode("utf-16-le"), "xml/encoding", 0),
        ("<a/>".encode("utf-32"), "xml/encoding", 0),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><a>\xe9</a>', "xml/encoding", 30),
        (b'<?xml version="1.0" encoding="windows-1252"?><a/>', "xml/encoding", 30),
        (b"<a>\xe9</a>", "xml/invalid-utf8", 3),
        (b"<a>\xed\xa0\x80</a>", "xml/invalid-utf8", 3),
        (b"<a>\x00</a>", "xml/invalid-character", 3),
        (b"<a" + b"a" * 1024 + b"/>", "xml/name-too-long", 1),
        (b"<a" + b"".join(b" a%d=''" % i for i in range(257)) + b"/>", "xml/too-many-attributes", 1941),
        (b"<a>" * 10_000, "xml/too-deep", 769),
        (b"<a>" + b"<b/>" * 1_000_000 + b"</a>", "xml/too-many-nodes", 3_999_996),
        (b"<a>" + b"x" * (8 << 20) + b"</a>", "xml/too-large", 8 << 20),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused_names_code_and_byte(data: bytes, code: str, offset: int) -> None:
    with pytest.raises(XmlError) as refused:
        xml_to_json(data)
    assert refused.value.code == code
    assert refused.value.place is not None
    assert refused.value.place.offset == offset


def test_a_declared_number_that_is_none_names_the_field() -> None:
    options = XmlOptions(numbers=["order.total"], booleans=['order["@paid"]'])
    good = b'<order paid="1"><total> 12.50 </total></order>'
    assert xml_to_json(good, options) == b'{"order":{"@paid":true,"total":12.50}}'
    for data, code, field in [
        (b"<order><total>012</total></order>", "convert/not-a-number", "order.total"),
        (b'<order paid="yes"/>', "convert/not-a-boolean", 'order["@paid"]'),
    ]:
        with pytest.raises(ConvertError) as refused:
            xml_to_json(data, options)
        assert refused.value.code == code
        assert refused.value.place is not None
        assert refused.value.place.field == field


# -- the way back --------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "item", "é", "x:y", "_1.-"])
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
    lambda c: c >= " " or c in "\t\n\r"
)
texts = st.one_of(st.sampled_from(["", " ", "<&>\"'", "]]>", "\t\n", "x\ry", "é😀"]), st.text(characters, max_size=8))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
attributes = st.dictionaries(names.map("@{}".format), scalars, max_size=2)
text_keys = st.dictionaries(st.just("#text"), scalars, max_size=1)
elements = st.recursive(
    scalars,
    lambda inner: st.builds(
        lambda children, attributes, text: {**children, **attributes, **text},
        st.dictionaries(names, inner | st.lists(inner, max_size=3), max_size=4),
        attributes,
        text_keys,
    ),
    max_leaves=12,
)
values = st.builds(lambda name, element: {name: element}, names, elements)


@many
@given(values)
def test_json_becomes_xml_as_xmltodict_writes_it(value: dict[str, Any]) -> None:
    mine, expected = json_to_xml(json.dumps(value).encode()), xmltodict.unparse(value).encode()
    quoted = any('"' in str(text) for text in attribute_values(value))
    if not quoted and b"\r" not in expected:
        assert mine == expected
    # A carriage return in a text is lost on their way, and stays on ours.
    assert theirs(mine.replace(b"&#13;", b"\n")) == theirs(expected.replace(b"\r", b"\n").replace(b"&#13;", b"\n"))


def attribute_values(value: Any) -> Iterator[Any]:
    """xmltodict writes single quotes around those with double quotes in them."""
    if isinstance(value, list):
        for item in value:
            yield from attribute_values(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key.startswith("@"):
                yield item
            yield from attribute_values(item)


@many
@given(values)
def test_what_is_written_reads_back_as_xmltodict_reads_it(value: dict[str, Any]) -> None:
    written = json_to_xml(json.dumps(value, ensure_ascii=False).encode())
    read = xml_to_json(written)
    assert json.loads(read) == theirs(written)
    # Once in the form that XML can carry, it stays what it is.
    assert xml_to_json(json_to_xml(read)) == read


@many
@given(documents)
def test_a_document_keeps_its_values_both_ways(batch: list[bytes]) -> None:
    for data in batch:
        try:
            once = xml_to_json(data)
        except VrskyError:
            continue
        assert json.loads(xml_to_json(json_to_xml(once))) == json.loads(once)


def test_a_carriage_return_survives() -> None:
    value = b'{"a":{"@b":"x\\r\\ny","#text":"x\\ry"}}'
    assert xml_to_json(json_to_xml(value)) == value


@pytest.mark.parametrize(
    ("value", "code", "field"),
    [
        ("[]", "convert/no-single-root", None),
        ('{"a":1,"b":2}', "convert/no-single-root", None),
        ('{"a":[1,2]}', "convert/no-single-root", None),
        ('{"a":{"b c":1}}', "convert/invalid-xml-name", 'a["b c"]'),
        ('{"a":{"<b":1}}', "convert/invalid-xml-name", 'a["<b"]'),
        ('{"a":{"b":{"@c=\\"\\"":1}}}', "convert/invalid-xml-name", 'a.b["@c=\\"\\""]'),
        ('{"a":[[1]]}', "convert/not-representable", "a"),
        ('{"a":{"@b":{}}}', "convert/not-representable", 'a["@b"]'),
        ('{"a":{"b":"\\u0000"}}', "convert/invalid-xml-character", "a.b"),
        ('{"a":{"b":"\\uffff"}}', "convert/invalid-xml-character", "a.b"),
    ],
)
def test_what_xml_cannot_carry_names_the_field(value: str, code: str, field: str | None) -> None:
    with pytest.raises(ConvertError) as refused:
        json_to_xml(value.encode())
    assert refused.value.code == code
    assert (refused.value.place.field if refused.value.place else None) == field
