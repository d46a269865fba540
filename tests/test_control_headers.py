"""Which headers of a stored message may be shown, and how numbers in them are read."""

from __future__ import annotations

from email.parser import BytesParser

import pytest

from vrsky_fast.control import headers


@pytest.mark.parametrize(
    "name", ["Authorization", "COOKIE", "set-cookie", "X-Api-Key", "x-auth-token", "X-Hub-Signature-256"]
)
def test_what_may_be_a_secret_is_not_shown(name: str) -> None:
    shown = headers.shown({name: "hunter2", "Content-Type": "text/xml"})
    assert shown == {name: headers.HIDDEN, "Content-Type": "text/xml"}


@pytest.mark.parametrize("name", ["Content-Type", "Vrsky-Id", "traceparent", "ce-type", "X-Request-Id", "Nats-Msg-Id"])
def test_what_is_no_secret_is_shown(name: str) -> None:
    assert not headers.is_secret(name)


@pytest.mark.parametrize(
    ("text", "number"), [("1700000000000", 1_700_000_000_000), ("", 0), ("x", 0), ("-1", 0), ("9" * 16, 0), ("²", 0)]
)
def test_a_number_that_is_none_is_0(text: str, number: int) -> None:
    assert headers.number({"Vrsky-Time": text}, "Vrsky-Time") == number


def test_an_earlier_versions_id_is_that_of_its_publish() -> None:
    assert headers.message_id({"Vrsky-Id": "a.1", "Nats-Msg-Id": "a.2"}) == "a.1"
    assert headers.message_id({"Nats-Msg-Id": "a.2"}) == "a.2"
    assert headers.message_id({}) == ""


def test_a_value_that_is_not_ascii_is_read_as_utf_8() -> None:
    parsed = BytesParser().parsebytes("X-Shop: Zürich\r\nX-Plain: a\r\nX-Odd: ".encode() + b"\xff\r\n\r\n")
    assert headers.read(dict(parsed.items())) == {"X-Shop": "Zürich", "X-Plain": "a", "X-Odd": "\ufffd"}
    assert headers.read(None) == {}
