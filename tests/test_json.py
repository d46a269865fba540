"""JSON against Python's own reader, which is right where it is told to be strict."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrsky_fast import json_to_xml, xml_to_json
from vrsky_fast.errors import ConvertError, JsonError

many = settings(deadline=None, max_examples=300)

TOKENS = [
    *["{", "}", "[", "]", ",", ":", " ", "\n", "\t", '"a":', '"b" : ', "[]", "{}", "null", "true", "false"],
    *[
        "0",
        "-1",
        "1.5",
        "1e5",
        "1E-05",
        "-0",
        "0.0",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "1e",
        "0x1",
        "NaN",
        "Infinity",
        "nul",
    ],
    *['""', '"x"', '"\\u00e9"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\udc00"', '"\\x"', '"\\u12"', '"\n"', '"\x7f"'],
    *["\x00", "\x0b", "\u00a0", "\ufeff", "/", "'", "é"],
]


class Refused(Exception):
    """What RFC 8259 leaves open and we refuse, or what Python lets pass."""


def strict(text: bytes) -> Any:
    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(members)) < len(members):
            raise Refused("json/duplicate-key")
        return dict(members)

    def constant(word: str) -> Any:
        raise ValueError(word)

    value = json.loads(text.decode("utf-8-sig"), parse_constant=constant, object_pairs_hook=pairs)
    json.dumps(value, ensure_ascii=False).encode()  # not with half a surrogate pair
    return value


def accepts(text: bytes) -> bool:
    """JSON that has no XML form is JSON all the same."""
    try:
        json_to_xml(text)
    except ConvertError:
        return True
    except JsonError as error:
        assert error.place is not None
        assert error.place.offset is not None
        assert 0 <= error.place.offset <= len(text)
        return False
    return True


def agrees(text: bytes) -> None:
    try:
        strict(text)
    except (ValueError, Refused):
        assert not accepts(text), text
    else:
        assert accepts(text), text


# What XML can carry.
characters = st.sampled_from("é😀\"\\/\n\t\r x<&>']") | st.characters(
    exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@many
@given(values, st.sampled_from([None, 1]), st.booleans())
def test_what_python_writes_is_accepted(value: Any, indent: int | None, ascii_only: bool) -> None:
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return
    agrees(text)


@many
@given(st.randoms(use_true_random=True))
def test_tokens_in_any_order(choices: random.Random) -> None:
    for _ in range(20):
        agrees("".join(choices.choices(TOKENS, k=choices.randrange(12))).encode())


@many
@given(values, st.randoms(use_true_random=True))
def test_spoiled_texts(value: Any, choices: random.Random) -> None:
    for _ in range(10):
        spoiled = bytearray(json.dumps(value), "utf-8")
        for _ in range(choices.randrange(1, 4)):
            at = choices.randrange(len(spoiled) + 1)
            spoiled[at : at + choices.randrange(3)] = choices.choice(TOKENS).encode() * choices.randrange(2)
        agrees(bytes(spoiled))


@many
@given(st.binary(max_size=30))
def test_any_bytes(data: bytes) -> None:
    agrees(data)
    agrees(b'["' + data + b'"]')


@many
@given(st.lists(st.text(characters, min_size=1).filter(lambda text: text.strip() == text), min_size=1))
def test_texts_are_decoded_and_escaped(texts: list[str]) -> None:
    for ascii_only in (True, False):
        text = json.dumps({"root": {"text": [*texts, "x"]}}, ensure_ascii=ascii_only).encode()
        assert json.loads(xml_to_json(json_to_xml(text))) == {"root": {"text": [*texts, "x"]}}


@pytest.mark.parametrize(
    "number", ["-0", "1.50", "1e400", "0.1000000000000000055511151231257827", "123456789012345678901234567890", "1E-5"]
)
def test_no_digit_is_lost(number: str) -> None:
    assert f"<a>{number}</a>" in json_to_xml(f'{{"a":{number}}}'.encode()).decode()


@pytest.mark.parametrize(
    ("text", "code", "offset"),
    [
        (b"", "json/syntax", 0),
        (b"\xef\xbb\xbf", "json/syntax", 3),
        (b'{"a":1,}', "json/syntax", 7),
        (b"[1,]", "json/syntax", 3),
        (b"[1 2]", "json/syntax", 3),
        (b"01", "json/syntax", 1),
        (b'"\n"', "json/syntax", 1),
        (b'{"a":1,"\\u0061":2}', "json/duplicate-key", 7),
        (b'"\\ud800"', "json/invalid-utf8", 1),
        (b'"\xff"', "json/invalid-utf8", 1),
        (b"[" * 10_000, "json/too-deep", 256),
        (b"[" + b"1," * 1_000_000 + b"1]", "json/too-many-nodes", 1_999_999),
        (b'"' + b"x" * (8 << 20) + b'"', "json/too-large", 8 << 20),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused_names_code_and_byte(text: bytes, code: str, offset: int) -> None:
    with pytest.raises(JsonError) as refused:
        json_to_xml(text)
    assert refused.value.code == code
    assert refused.value.place is not None
    assert refused.value.place.offset == offset
