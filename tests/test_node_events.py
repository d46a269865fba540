"""Events are handed on without a look at each, unless somebody wants one."""

from __future__ import annotations

import json

from vrsky_fast.node.events import Events

RAW = '{"kind":"dead","why":"\\u001b a\u2028b \u202e \x9b"}\n{"kind":"node","code":"nats/no-stream"}\n'


def test_each_line_is_one_event() -> None:
    events = Events(RAW)
    assert (len(events), [event["kind"] for event in events]) == (2, ["dead", "node"])
    assert [event["kind"] for event in events.first(1)] == ["dead"]
    assert events.first(7) == list(events)
    assert (len(Events()), list(Events()), Events().first(3)) == (0, [], [])


def test_what_is_written_is_ascii_and_says_the_same() -> None:
    lines = Events(RAW).as_lines
    assert lines.isascii()
    assert [json.loads(line) for line in lines.splitlines()] == list(Events(RAW))
    plain = '{"kind":"received"}\n'
    assert Events(plain).as_lines == plain


def test_a_code_is_found_that_an_event_has() -> None:
    assert Events(RAW).may_have("nats/no-stream")
    assert not Events(RAW).may_have("nats/disconnected")
