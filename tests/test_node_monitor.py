"""Probes and scrapes: what they say, and what a peer that does not read or send cannot do."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from vrsky_fast.errors import ConfigError
from vrsky_fast.node.exposition import Exposition, NodeCollector
from vrsky_fast.node.monitor import STUCK_SECONDS, Monitor, monitoring

from .test_node_exposition import NUMBERS


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Shards:
    """Two, whose counters a test moves."""

    def __init__(self) -> None:
        self.ticks, self.connected = [0, 0], [True, True]

    def __call__(self) -> list[dict[str, Any]]:
        both = zip(self.ticks, self.connected, strict=True)
        return [{**NUMBERS["shards"][0], "ticks": t, "connected": c} for t, c in both]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shards() -> Shards:
    return Shards()


def watching(clock: Clock, shards: Shards) -> Monitor:
    monitor = Monitor(clock)
    monitor.watch(shards, Exposition(NodeCollector(lambda: NUMBERS, dict, lambda: 0)))
    return monitor


def test_what_starts_lives_and_is_not_ready() -> None:
    monitor = Monitor()
    assert (monitor.stuck(), monitor.unready(), monitor.metrics("")) == ([], ["it starts"], None)


def test_a_shard_that_stands_still_is_stuck_until_it_moves(clock: Clock, shards: Shards) -> None:
    monitor = watching(clock, shards)
    assert monitor.stuck() == monitor.unready() == []
    clock.now += STUCK_SECONDS
    shards.ticks[0] += 1
    monitor.loops()
    assert monitor.stuck() == [f"shard 1 has stood still for {STUCK_SECONDS:.0f} s"]
    assert monitor.unready() == monitor.stuck()
    shards.ticks[1] += 1
    assert monitor.stuck() == []


def test_nobody_who_looks_only_now_and_then_takes_a_shard_for_stuck(clock: Clock, shards: Shards) -> None:
    monitor = watching(clock, shards)
    for _ in range(3):
        clock.now += 10 * STUCK_SECONDS
        shards.ticks = [ticks + 1 for ticks in shards.ticks]
        monitor.loops()
        assert monitor.stuck() == []


def test_a_control_loop_that_stands_still_is_stuck(clock: Clock, shards: Shards) -> None:
    monitor = watching(clock, shards)
    clock.now += STUCK_SECONDS
    shards.ticks = [1, 1]
    assert monitor.stuck() == [f"the control loop has stood still for {STUCK_SECONDS:.0f} s"]


def test_without_its_server_it_lives_and_is_not_ready(clock: Clock, shards: Shards) -> None:
    monitor = watching(clock, shards)
    shards.connected[1] = False
    assert (monitor.stuck(), monitor.unready()) == ([], ["shard 1 has no connection to NATS"])


def test_a_stream_without_a_leader_makes_it_unready_while_the_server_is_there(clock: Clock, shards: Shards) -> None:
    monitor = Monitor(clock)
    leaderless = ["VRSKY_LOGIC_T1000_0"]
    monitor.watch(shards, Exposition(NodeCollector(lambda: NUMBERS, dict, lambda: 0)), lambda: leaderless)
    (reason,) = monitor.unready()
    assert reason.startswith("the stream VRSKY_LOGIC_T1000_0 has no leader; NATS elects one")
    assert monitor.stuck() == [], "to start the process again would help nobody"
    shards.connected[0] = False
    assert monitor.unready() == ["shard 0 has no connection to NATS"]
    shards.connected[0] = True
    leaderless.clear()
    assert monitor.unready() == []


def test_a_drain_is_no_standstill_and_not_ready(clock: Clock, shards: Shards) -> None:
    monitor = watching(clock, shards)
    monitor.drain()
    clock.now += 10 * STUCK_SECONDS
    assert (monitor.stuck(), monitor.unready()) == ([], ["it drains"])


@pytest.fixture
def served(clock: Clock, shards: Shards) -> Iterator[tuple[Monitor, str]]:
    said: list[str] = []
    with monitoring("127.0.0.1:0", said.append) as monitor:
        yield monitor, said[0].removeprefix("metrics and probes: ")


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_paths_are_answered(served: tuple[Monitor, str], shards: Shards) -> None:
    monitor, url = served
    assert get(f"{url}/livez")[0] == 200
    assert get(f"{url}/readyz") == (503, json.dumps({"ok": False, "reasons": ["it starts"]}) + "\n")
    assert get(f"{url}/metrics") == (503, "it starts\n")
    monitor.watch(shards, Exposition(NodeCollector(lambda: NUMBERS, dict, lambda: 0)))
    assert get(f"{url}/readyz?verbose") == (200, json.dumps({"ok": True, "reasons": []}) + "\n")
    assert "vrsky_pipelines 3.0\n" in get(f"{url}/metrics")[1]
    assert get(f"{url}/")[0] == 404


def test_peers_that_send_and_read_nothing_leave_room_for_others(served: tuple[Monitor, str], shards: Shards) -> None:
    monitor, url = served
    monitor.watch(shards, Exposition(NodeCollector(lambda: NUMBERS, dict, lambda: 0)))
    port = int(url.rpartition(":")[2])
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
    for one in silent:
        one.sendall(b"GET /metrics HTTP/1.0\r\nX: ")
    # None of them has gone: the oldest makes room.
    for _ in range(3):
        assert get(f"{url}/livez")[0] == 200
    for one in silent:
        one.settimeout(60)
        with suppress(ConnectionError):
            while one.recv(65536):
                pass
        one.close()


def test_a_scraper_that_never_reads_its_answer_holds_up_nobody(served: tuple[Monitor, str], shards: Shards) -> None:
    monitor, url = served
    # More than the kernel holds for a reader that does not come.
    many = {f"code/{number:06}": number for number in range(100_000)}
    monitor.watch(shards, Exposition(NodeCollector(lambda: {**NUMBERS, "dead": many}, dict, lambda: 0)))
    port = int(url.rpartition(":")[2])
    with ExitStack() as held:
        for _ in range(2):
            one = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            one.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert one.recv(15) == b"HTTP/1.0 200 OK", "the answer has begun, and nobody reads the rest"
        monitor.loops()
        assert get(f"{url}/livez")[0] == get(f"{url}/readyz")[0] == 200


def test_a_thousand_scrapes_at_once_are_answered_or_cut_and_the_next_one_is_answered(
    served: tuple[Monitor, str], shards: Shards
) -> None:
    monitor, url = served
    monitor.watch(shards, Exposition(NodeCollector(lambda: NUMBERS, dict, lambda: 0)))
    port = int(url.rpartition(":")[2])

    def scrape(_: int) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60) as one:
            one.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            answer = b""
            while part := one.recv(65536):
                answer += part
            return answer.startswith(b"HTTP/1.0 200 OK") and answer.endswith(b"\n")
        return False

    with ThreadPoolExecutor(100) as scrapers:
        assert any(scrapers.map(scrape, range(1000)))
    assert get(f"{url}/livez")[0] == 200
    assert "vrsky_pipelines 3.0\n" in get(f"{url}/metrics")[1]


def test_an_address_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match="--metrics: cannot listen") as error, monitoring(listen, print):
            pass
        assert error.value.code == "config/cannot-listen"
