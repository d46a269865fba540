"""`vrsky run --log-format json`: what a collector of logs gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.cli.json_log import JsonLog, Limiter
from vrsky_fast.config import load_all
from vrsky_fast.node.engine import NOTHING, Changes
from vrsky_fast.node.events import Events

from .conftest import Vrsky, Write
from .test_cli_display import Clock, Screen, event

NOW = 1_700_000_000.5


class Told:
    """What a log has written."""

    def __init__(self) -> None:
        self.clock, self.screen = Clock(), Screen(terminal=False)
        self.log = JsonLog(self.screen, self.clock, lambda: NOW)

    def poll(self, *events: dict[str, Any], changes: Changes = NOTHING) -> None:
        self.log.poll(changes, Events.of(events))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.screen.getvalue().splitlines()]


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_dead_letter_is_a_line_with_its_time_level_code_and_message(told: Told) -> None:
    told.poll(event("dead", code="xml/not-well-formed", why="no end tag (1:2)", step="in"))
    assert told.lines() == [
        {
            "time": "2023-11-14T22:13:20.123Z",
            "level": "error",
            "code": "xml/not-well-formed",
            "customer": "acme",
            "pipeline": "orders",
            "message_id": "4f3a",
            "text": "dead: in: no end tag (1:2)",
        }
    ]


@pytest.mark.parametrize("kind", ["received", "filtered", "delivered"])
def test_what_is_counted_is_not_logged(told: Told, kind: str) -> None:
    told.poll(event(kind))
    assert told.lines() == []


def test_a_control_character_begins_no_line_and_commands_no_terminal(told: Told) -> None:
    told.poll(event("dead", code="script/threw", why="a\r\nb\x1b[2J\x85\u2028c"))
    text = told.screen.getvalue()
    assert text.isascii()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert told.lines()[0]["text"].endswith("a\r\nb\x1b[2J\x85\u2028c")


def test_a_flood_of_one_customer_and_code_is_cut_and_counted_and_others_are_heard(told: Told) -> None:
    told.poll(*(event("dead", code="json/invalid") for _ in range(200)))
    told.poll(event("dead", code="script/threw"), event("dead", code="json/invalid", customer="beta"))
    assert [(one["customer"], one["code"]) for one in told.lines()] == [("acme", "json/invalid")] * 10 + [
        ("acme", "script/threw"),
        ("beta", "json/invalid"),
    ]
    told.clock.now += 61
    told.poll()
    last = told.lines()[-1]
    assert (last["suppressed"], last["customer"], last["code"]) == (190, "acme", "json/invalid")
    told.poll(event("dead", code="json/invalid"))
    assert "suppressed" not in told.lines()[-1], "a new interval has begun"


def test_what_is_suppressed_at_the_end_is_told(told: Told) -> None:
    told.poll(*(event("dead", code="json/invalid") for _ in range(12)))
    told.log.end()
    assert [one.get("suppressed") for one in told.lines()[-2:]] == [2, None]
    assert told.lines()[-1]["text"] == "stopped"


def test_customers_without_number_take_no_memory_without_bound() -> None:
    clock = Clock()
    limiter = Limiter(clock)
    admitted = sum(limiter.admits((f"customer-{number}", "json/invalid"), "error") for number in range(10_000))
    assert admitted == 4_096 + 10
    clock.now += 61
    assert [(key, count.suppressed) for key, count in limiter.ended()] == [(("", "json/invalid"), 5_894)]
    assert limiter.ended() == []


def test_a_condition_is_told_when_it_changes(told: Told) -> None:
    def row(state: str, **more: Any) -> Changes:
        condition = {"state": state, "since_ms": 1_700_000_000_000} | more
        return Changes([{"customer": "acme", "pipeline": "orders", "outs": {"erp": condition}}], [])

    told.poll(changes=row("up"))
    told.poll(changes=row("failing", code="http/connect"))
    told.poll(changes=row("up"))
    assert [(one["level"], one.get("code"), one["text"]) for one in told.lines()] == [
        ("warning", "http/connect", "out erp: failing"),
        ("info", None, "out erp: up"),
    ]


def test_a_run_begins_with_what_it_serves(told: Told, minimal: Path) -> None:
    told.log.ready("http://127.0.0.1:8080", load_all(minimal))
    assert told.lines() == [
        {
            "time": "2023-11-14T22:13:20.500Z",
            "level": "info",
            "text": "ready; 1 pipeline, HTTP at http://127.0.0.1:8080",
        }
    ]


def test_a_run_that_cannot_start_says_why_in_json_and_keeps_its_exit_code(vrsky: Vrsky, write: Write) -> None:
    path = write("broken.yaml", "customer: acme\npipeline: orders\nstep: 1\n")
    ended = vrsky("run", str(path), "--log-format", "json")
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert "config/unknown-key" in {one["code"] for one in lines}
    assert all(one["level"] in {"info", "warning", "error"} and one["time"].endswith("Z") for one in lines)


def test_two_ways_to_be_told_the_same_are_refused(vrsky: Vrsky, minimal: Path) -> None:
    ended = vrsky("run", str(minimal), "--json", "--log-format", "json")
    assert (ended.returncode, "choose one" in ended.stderr) == (2, True)


def test_what_a_script_says_is_logged_with_its_level_and_never_suppressed_here(told: Told) -> None:
    """The node bounds what a customer says, and says how much it left out."""
    said = [event("console", step="script", why=f"warn: {number} (net.ts:3)", bytes=0) for number in range(30)]
    told.poll(*said, event("console", step="script", why="debug: a: b (net.ts:4)", bytes=0))
    lines = told.lines()
    assert [line["level"] for line in lines] == ["warning"] * 30 + ["debug"]
    assert lines[0]["text"] == "console: script: warn: 0 (net.ts:3)"
    assert (lines[0]["customer"], lines[0]["pipeline"], lines[0]["message_id"]) == ("acme", "orders", "4f3a")
