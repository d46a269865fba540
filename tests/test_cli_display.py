"""What `vrsky run` shows, on a terminal and elsewhere."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.cli.display import Display, JsonDisplay
from vrsky_fast.cli.terminal import Terminal
from vrsky_fast.config import load_all
from vrsky_fast.control.streams import STEPS
from vrsky_fast.node.engine import Changes
from vrsky_fast.node.events import Events
from vrsky_fast.node.waiting import Waiting


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal, self.behind, self.lines_dropped = terminal, False, 0

    def isatty(self) -> bool:
        return self.terminal

    def is_behind(self) -> bool:
        return self.behind

    def dropped(self) -> int:
        dropped, self.lines_dropped = self.lines_dropped, 0
        return dropped

    def drain(self) -> bool:
        return True

    def drain_at_once(self) -> None: ...


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def event(kind: str, **more: Any) -> dict[str, Any]:
    base = {
        "kind": kind,
        "time_ms": 1_700_000_000_123,
        "customer": "acme",
        "pipeline": "orders",
        "id": "4f3a",
        "bytes": 464,
    }
    return base | more


def row(pipeline: str = "orders", **counters: int) -> dict[str, Any]:
    return {"customer": "acme", "pipeline": pipeline, "revision": "r", "outs": {}, **counters}


def stats(**counters: int) -> Changes:
    return Changes([row(**counters)], [])


NOTHING = Changes([], [])


def test_every_kind_of_event_is_one_line_that_says_why() -> None:
    screen = Screen(terminal=False)
    display = Display(screen)
    display.poll(
        stats(),
        Events.of(
            [
                event("received"),
                event("filtered", bytes=0, step="1:filter", why='order.country == "CH"'),
                event("delivered", step="erp", bytes=312),
                event("dead", bytes=0, step="out:erp", code="http/rejected", why="422 from erp.example"),
                event(
                    "node", bytes=0, customer="", pipeline="", id="", code="nats/disconnected", why="connection reset"
                ),
            ]
        ),
    )
    lines = [line.split("  ", 1)[1] for line in screen.getvalue().splitlines()]
    assert lines == [
        "in         acme/orders  4f3a  464 B",
        'filtered   acme/orders  4f3a  by 1:filter  order.country == "CH"',
        "out        acme/orders  4f3a  to erp  312 B",
        "dead       acme/orders  4f3a  by out:erp  http/rejected  422 from erp.example",
        "node       nats/disconnected  connection reset",
    ]


@pytest.mark.parametrize(
    ("message_id", "shown"),
    [
        ("acme.64e0e0954f3a0b1c2d3e4f5061728394", "64e0e0954f3a"),
        ("north-western-trading.64e0e0954f3a0b1c2d3e4f5061728394", "64e0e0954f3a"),
        ("64e0e0954f3a0b1c2d3e4f5061728394", "64e0e0954f3a"),
        ("acme.", "acme."),
    ],
)
def test_an_id_is_shown_from_behind_the_customers_name(message_id: str, shown: str) -> None:
    screen = Screen(terminal=False)
    Display(screen).poll(NOTHING, Events.of([event("received", id=message_id)]))
    assert screen.getvalue().split("  ")[-2:] == [shown, "464 B\n"]


@pytest.mark.parametrize(("base", "where"), [("http://h:1", "http://h:1/in/acme/orders"), (None, "/in/acme/orders")])
def test_an_in_is_shown_with_the_address_that_the_node_listens_on(minimal: Path, base: str | None, where: str) -> None:
    screen = Screen(terminal=False)
    Display(screen, Path("data/files")).ready(base, load_all(minimal))
    assert screen.getvalue().splitlines()[:2] == [
        f"acme/orders  POST {where}",
        "  to default  data/files/acme/orders.ndjson",
    ]


def test_a_url_that_is_a_secret_is_shown_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "hook.yaml").write_text(
        "customer: acme\npipeline: hook\nin: {http: {path: /hook}}\nout: {http: {url: {secret: chat}}}\n"
    )
    screen = Screen(terminal=False)
    Display(screen, tmp_path).ready(None, load_all(tmp_path / "hook.yaml"))
    assert screen.getvalue().splitlines()[1] == "  to default  POST the URL in the secret chat"


def test_what_a_message_says_cannot_drive_the_terminal() -> None:
    screen = Screen(terminal=False)
    Display(screen).poll(stats(), Events.of([event("dead", code="script/threw", why="\x1b[2J\x07\u202egone\r\n")]))
    assert screen.getvalue().count("\n") == 1
    assert screen.getvalue().strip().isprintable()
    assert "\\x1b[2J" in screen.getvalue()


def test_a_flood_is_cut_and_said_to_be() -> None:
    screen = Screen(terminal=False)
    Display(screen).poll(stats(), Events.of([event("received")] * 256))
    assert screen.getvalue().splitlines()[-1] == "... and 236 more"


def test_rates_are_plain_lines_where_there_is_no_terminal_and_only_when_something_changed() -> None:
    screen, clock = Screen(terminal=False), Clock()
    display = Display(screen, clock=clock)
    clock.now += 10
    display.poll(stats(received=50, filtered=20, delivered=30, dead=1), Events())
    clock.now += 10
    display.poll(NOTHING, Events())
    assert screen.getvalue().splitlines() == ["in 5/s (50)  filtered 2/s (20)  out 3/s (30)  dead 1"]


def test_on_a_terminal_the_line_of_rates_stays_below_the_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    screen, clock = Screen(terminal=True), Clock()
    display = Display(screen, clock=clock)
    display.poll(stats(received=1), Events.of([event("received")]))
    display.poll(stats(received=1), Events.of([event("received")]))
    display.end()
    shown = [line.rpartition("\r\x1b[2K")[2] for line in screen.getvalue().split("\n")]
    assert "464 B" in shown[0]
    assert "464 B" in shown[1]
    assert shown[2].startswith("stopped: 1 in")


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen, clock = Screen(terminal=True), Clock()
    display = Display(screen, clock=clock)
    clock.now += 10
    display.poll(stats(received=50), Events.of([event("received")]))
    display.end()
    assert screen.getvalue().count("\n") == 3
    assert screen.getvalue().replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("terminal", "no_color", "colours"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colours_are_for_terminals_whose_owner_wants_them(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, no_color: str, colours: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    assert (Terminal(Screen(terminal)).bad("x") != "x") is colours


UP = {"state": "up", "since_ms": 1_700_000_000_123}
FAILING = {"state": "failing", "code": "http/connect", "since_ms": 1_700_000_001_456}


def test_an_in_or_out_is_shown_when_it_fails_and_when_it_is_up_again() -> None:
    screen = Screen(terminal=False)
    display = Display(screen)
    for erp in (UP, FAILING, FAILING, FAILING | {"code": "http/timeout"}, UP):
        display.poll(Changes([row(received=1) | {"in": UP, "outs": {"audit": UP, "erp": erp}}], []), Events())
    lines = [line.split("  ", 1)[1] for line in screen.getvalue().splitlines()]
    assert lines == [
        "failing    acme/orders  out erp  http/connect",
        "failing    acme/orders  out erp  http/timeout",
        "up         acme/orders  out erp",
    ]


def test_what_was_asked_for_is_the_totals_and_everything_that_is_not_well() -> None:
    screen = Screen(terminal=False)
    display = Display(screen)
    rows = [row(f"p{number}", received=2) | {"in": UP, "outs": {"erp": FAILING}} for number in range(30)]
    display.poll(Changes([row(received=5), *rows], []), Events())
    before = len(screen.getvalue().splitlines())
    display.report([row(received=5), *rows])
    lines = screen.getvalue().splitlines()[before:]
    assert lines[0].startswith("in 0/s (65)")
    assert [line.split("  ", 1)[1] for line in lines[1:-1]] == [
        f"failing    acme/p{number}  out erp  http/connect" for number in range(30)
    ]
    assert lines[-1] == "pipelines: 31; ins and outs that are not well: 30"
    display.report([row(received=5)])
    assert screen.getvalue().splitlines()[-1] == "pipelines: 1; ins and outs that are not well: 0"


def said(screen: Screen) -> list[dict[str, Any]]:
    return [json.loads(line) for line in screen.getvalue().splitlines()]


def test_a_line_of_stats_has_what_has_changed_since_the_one_before() -> None:
    screen, clock = Screen(terminal=False), Clock()
    display = JsonDisplay(screen, clock)
    display.poll(Changes([row("a", received=1), row("b"), row("c")], []), Events())
    display.poll(Changes([row("a", received=2), row("b", received=1)], [("acme", "c")]), Events())
    display.poll(Changes([row("a", received=3)], [("acme", "b")]), Events())
    assert len(said(screen)) == 1
    clock.now += 1
    display.poll(NOTHING, Events())
    clock.now += 1
    display.poll(NOTHING, Events())
    display.poll(Changes([row("c")], []), Events())
    first, second, third = said(screen)
    assert [one["pipeline"] for one in first["pipelines"]] == ["a", "b", "c"]
    assert second == {
        "kind": "stats",
        "all": False,
        "pipelines": [row("a", received=3)],
        "removed": [{"customer": "acme", "pipeline": "c"}, {"customer": "acme", "pipeline": "b"}],
        "left_out": 0,
        "waiting": [],
        "waiting_total": 0,
    }
    assert third["pipelines"] == [row("c")]


def test_the_last_changes_come_before_the_end() -> None:
    screen, clock = Screen(terminal=False), Clock()
    display = JsonDisplay(screen, clock)
    display.poll(stats(received=1), Events())
    display.poll(stats(received=2), Events())
    display.end()
    assert [one["kind"] for one in said(screen)] == ["stats", "stats", "stopped"]
    assert said(screen)[1]["pipelines"] == [row(received=2)]


def test_stats_that_were_asked_for_are_said_at_once_and_not_again() -> None:
    screen, clock = Screen(terminal=False), Clock()
    display = JsonDisplay(screen, clock)
    display.poll(Changes([row("a"), row("b")], []), Events())
    display.poll(Changes([row("a", received=1)], []), Events())
    display.report([row("a", received=1), row("b")])
    clock.now += 2
    display.poll(NOTHING, Events())
    display.end()
    first, second, stopped = said(screen)
    assert (first["all"], second["all"], stopped["kind"]) == (False, True, "stopped")
    assert second["pipelines"] == [row("a", received=1), row("b")]


@pytest.mark.parametrize("ends", [False, True], ids=["later", "at the end"])
def test_dropped_lines_are_counted_in_a_note_once(ends: bool) -> None:
    text, program = Screen(terminal=False), Screen(terminal=False)
    for screen, display in ((text, Display(text)), (program, JsonDisplay(program))):
        screen.behind, screen.lines_dropped = not ends, 1_204
        if ends:
            display.end()
        else:
            assert display.is_behind()
            assert display.is_behind()
    note = "lines that nobody read in time are left out here: 1,204"
    assert text.getvalue().splitlines()[0] == note
    assert said(program)[0] == {"kind": "note", "text": note}
    assert len(said(program)) == (2 if ends else 1)


def test_files_that_are_not_left_out_any_more_are_news() -> None:
    screen = Screen(terminal=False)
    display = JsonDisplay(screen)
    display.left_out([], 2)
    display.end()
    assert [(one["kind"], one["left_out"]) for one in said(screen)] == [("stats", 2), ("stopped", 2)]


GONE = Waiting("acme", "gone", STEPS, 1)
CRM = Waiting("acme", "orders", "crm", 1_204)


def test_what_waits_for_what_is_not_served_is_a_warning_and_counted_at_the_end() -> None:
    screen = Screen(terminal=False)
    display = Display(screen)
    display.waiting([GONE, CRM], [GONE, CRM])
    display.waiting([], [CRM])
    display.end()
    assert screen.getvalue().splitlines() == [
        "waiting  acme/gone  1 message for its steps: not served here",
        "waiting  acme/orders  1,204 messages for out crm: not served here",
        "they go on when it is served again; `vrsky parked ls` lists what is set aside",
        "stopped: 0 in, 0 filtered, 0 out, 1,204 messages wait for what is not served here",
    ]


def test_as_json_it_is_a_line_once_and_in_all_stats() -> None:
    screen = Screen(terminal=False)
    display = JsonDisplay(screen)
    display.waiting([CRM], [CRM])
    display.poll(NOTHING, Events())
    line = {"customer": "acme", "pipeline": "orders", "out": "crm", "messages": 1_204}
    assert [json.loads(text) for text in screen.getvalue().splitlines()] == [
        {"kind": "waiting", **line},
        {
            "kind": "stats",
            "all": False,
            "pipelines": [],
            "removed": [],
            "left_out": 0,
            "waiting": [line],
            "waiting_total": 1,
        },
    ]


def test_the_last_line_as_json_counts_the_messages_that_wait() -> None:
    screen = Screen(terminal=False)
    display = JsonDisplay(screen)
    display.waiting([GONE, CRM], [GONE, CRM])
    display.end()
    assert said(screen)[-1] == {"kind": "stopped", "left_out": 0, "waiting": 1_205}


def test_stats_name_some_of_many_and_say_how_many_there_are() -> None:
    screen = Screen(terminal=False)
    display = JsonDisplay(screen)
    display.waiting([], [CRM] * 250)
    display.poll(NOTHING, Events())
    (line,) = said(screen)
    assert (len(line["waiting"]), line["waiting_total"]) == (100, 250)
