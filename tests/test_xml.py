"""XML against its oracles: expat decides what is well-formed, xmltodict what the value is, both ways."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import Any
from xml.parsers import expat

import pytest
import xmltodict
from hypothesis import given, settings
from hypothesis import strategies as st

from vrsky_fast import XmlOptions, json_to_xml, xml_to_json
from vrsky_fast.errors import ConvertError, VrskyError, XmlError

from .xml_documents import documents, spoiled

many = settings(deadline=None, max_examples=150)


# -- the oracles ---------------------------------------------------------------------------------------


class EveryNamespace(dict[str, str | None]):
    """Maps every namespace to none, which makes xmltodict drop the prefixes."""

    def __missing__(self, key: str) -> None:
        return None


class Text(str):
    """Loses the four blanks of XML, where xmltodict takes away what Python calls white space, such as U+00A0."""

    def strip(self, chars: str | None = None, /) -> str:
        assert chars is None
        return str.strip(self, " \t\r\n")


class Separator(str):
    def join(self, parts: Iterable[str], /) -> str:
        return Text(str.join(self, parts))


def theirs(data: bytes, *, strip: bool = False, **options: Any) -> Any:
    """What xmltodict makes of it, with the expat that Python has. Raises what they raise."""
    options = {"cdata_separator": Separator(), **options}
    if data.startswith(BOM_UTF8):
        # RFC 7303: the mark wins. expat goes by the declaration.
        data = data.replace(b'encoding="US-ASCII"', b'encoding="UTF-8"', 1)
    # What programs write that mean UTF-8; expat knows one spelling.
    data = re.sub(rb"""(encoding\s*=\s*["'])utf8(["'])""", rb"\1UTF-8\2", data, count=1, flags=re.IGNORECASE)
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


MARKED = re.compile(rb"""\A(\xef\xbb\xbf<\?xml[^>]*?)\s+encoding=(?:"[A-Za-z][\w.-]*"|'[A-Za-z][\w.-]*')""")


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
        if mine != expected:
            # Behind a byte order mark the declaration's encoding counts for nothing (RFC 7303): expat wants to know it.
            expected = json.dumps(theirs(MARKED.sub(rb"\1", data), strip=strip, **theirs_options))
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
                    assert json.loads(converted) == {"a": c.strip(" \t\r\n") or None}, hex(ord(c))


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


@many
@given(documents, st.sampled_from(["utf-16", "utf-16-le", "utf-16-be", "iso-8859-1", "windows-1252", "us-ascii"]))
def test_other_encodings_are_read_as_expat_reads_them(batch: list[bytes], encoding: str) -> None:
    name = "utf-16" if encoding.startswith("utf-16") else encoding
    for data in batch:
        text = data.decode().removeprefix("\ufeff")
        if not text.startswith("<?xml"):
            compare(f'<?xml version="1.0" encoding="{name}"?>{text}'.encode(encoding, "ignore"))


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
        ("<a/>".encode("utf-16-le"), "xml/encoding", 0),
        ("<a/>".encode("utf-32"), "xml/encoding", 0),
        (b'<?xml version="1.0" encoding="ISO-8859-15"?><a>\xe9</a>', "xml/encoding", 30),
        (b'<?xml version="1.0" encoding="windows-1252"?><a>\x81</a>', "xml/encoding", 48),
        ("<a>é</b>".encode("utf-16"), "xml/not-well-formed", 14),
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
