"""Sources that one node alone may read: two nodes on one server, of which one is killed, frozen or cut off."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.leases import LEASES
from vrsky_fast.control.subjects import ask

from ..mosquitto import Mosquitto
from .clock import Clock
from .node import Node, a_number, eventually
from .proxy import in_between
from .test_configured import Deployment
from .test_files_in import ROWS, put
from .test_metrics import base, scrape, status

SENSORS = """\
customer: acme
pipeline: sensors
in:
  mqtt:
    broker: {{url: '{url}'}}
    topics: [sensors/#]
out:
  file: {{path: sensors.ndjson}}
"""


class Pair:
    """Two nodes that take messages in, from one folder, and one that does the rest; all of them have this pipeline."""

    def __init__(self, deployment: Deployment, pipeline: str, *, url: str = "", clock: Clock | None = None) -> None:
        self.deployment, self._url = deployment, url
        self.shared = deployment.folder / "shared"
        self.shared.mkdir()
        self.outs = deployment.node("logic", "outgoing", "--allow", "127.0.0.0/8")
        self.ins = [self.start(), self.start(url, clock)]
        deployment.applies({"pipeline.yaml": pipeline}, "--wait", "60")

    def start(self, url: str = "", clock: Clock | None = None) -> Node:
        more = ["incoming", "--files", str(self.shared), "--allow", "127.0.0.0/8", "--metrics", "127.0.0.1:0"]
        environment = clock.environment if clock is not None else None
        return self.deployment.node(*more, *(["--nats", url] if url else []), environment=environment)

    def inbox(self) -> Path:
        return self.shared / "acme" / "inbox"

    def brings(self, name: str, count: int) -> set[int]:
        """A file with so many rows; their numbers."""
        numbers = [a_number() for _ in range(count)]
        put(self.inbox(), name, "n;text\n" + "".join(f"{n};text of {n}\n" for n in numbers))
        return set(numbers)

    def holder(self) -> Node:
        """The node that has the lease, once somebody has."""
        return eventually(self.reading, "a holder")

    def reading(self) -> Node | None:
        return next((one for one in self.ins if took(one)[-1:] == [True]), None)

    def other(self, node: Node) -> Node:
        (other,) = (one for one in self.ins if one is not node)
        return other

    def lines(self, name: str = "rows.ndjson") -> list[int]:
        return [one["n"] for one in self.outs.lines(name)]

    def delivers(self, numbers: set[int], name: str = "rows.ndjson") -> None:
        self.outs.delivers_all(name, numbers)

    def stored(self) -> int:
        """How many messages the lane of logic has ever stored."""

        async def last() -> int:
            async with connect(endpoint_of(self.deployment.url())) as client:
                told = await ask(client, "STREAM.INFO.VRSKY_LOGIC_T1000_0", {}, "the lane")
                assert told is not None
                return int(told["state"]["last_seq"])

        return asyncio.run(last())

    def shortens_window(self) -> None:
        """The lane drops nothing that comes again after a second."""

        async def change() -> None:
            async with connect(endpoint_of(self.deployment.url())) as client:
                told = await ask(client, "STREAM.INFO.VRSKY_LOGIC_T1000_0", {}, "the lane")
                assert told is not None
                config: dict[str, Any] = told["config"] | {"duplicate_window": int(1e9)}
                assert await ask(client, "STREAM.UPDATE.VRSKY_LOGIC_T1000_0", config, "the lane")

        asyncio.run(change())


def notes(node: Node) -> list[str]:
    return [json.dumps(one) for one in list(node.said)]


def took(node: Node) -> list[bool]:
    """Each time that it has taken the lease, or lost it."""
    words = {"read by this node from now on": True, "is lost": False, "nats/lease-lost": False}
    return [word for said in notes(node) for text, word in words.items() if text in said]


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path)
    yield deployment
    deployment.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path / "broker")
    yield broker
    broker.close()


def test_kill_9_of_the_holder_in_the_middle_of_a_file_loses_no_row_and_doubles_none(deployment: Deployment) -> None:
    pair = Pair(deployment, ROWS)
    holder = pair.holder()
    numbers = pair.brings("large.csv", 100_000)
    eventually(lambda: len(pair.lines()) > 5_000, "some rows")
    holder.kill()
    assert len(pair.lines()) < len(numbers)
    other = pair.other(holder)
    eventually(lambda: took(other) == [True], "the other node reads")
    pair.delivers(numbers)
    assert sorted(pair.lines()) == sorted(numbers)
    eventually((pair.shared / "acme" / "done" / "large.csv").exists, "the file has moved")
    assert other.stop() == 0


def test_a_holder_that_was_frozen_publishes_nothing_more_when_it_wakes(deployment: Deployment) -> None:
    pair = Pair(deployment, ROWS)
    holder = pair.holder()
    other = pair.other(holder)
    pair.shortens_window()
    numbers = pair.brings("large.csv", 100_000)
    eventually(lambda: len(pair.lines()) > 5_000, "some rows")
    os.kill(holder.process.pid, signal.SIGSTOP)
    eventually(lambda: took(other) == [True], "the other node reads")
    pair.delivers(numbers)
    eventually((pair.shared / "acme" / "done" / "large.csv").exists, "the file has moved")
    before = pair.stored()
    os.kill(holder.process.pid, signal.SIGCONT)
    eventually(lambda: took(holder)[-1:] == [False], "it says that it reads no more")
    more = pair.brings("more.csv", 1_000)
    pair.delivers(more)
    assert pair.stored() == before + len(more)
    assert took(other) == [True]
    assert holder.stop() == 0
    assert other.stop() == 0


def test_a_holder_that_is_cut_from_the_server_stops_and_the_other_one_goes_on(deployment: Deployment) -> None:
    with in_between(deployment.port) as proxy:
        pair = Pair(deployment, ROWS, url=f"nats://127.0.0.1:{proxy.port}")
        reached, cut = pair.ins
        # The one behind the proxy is to hold it.
        reached.stop()
        eventually(lambda: took(cut)[-1:] == [True], "the one behind the proxy reads")
        pair.ins[0] = reached = pair.start()
        pair.shortens_window()
        numbers = pair.brings("large.csv", 50_000)
        eventually(lambda: len(pair.lines()) > 2_000, "some rows")
        proxy.hold_answers()
        eventually(lambda: took(reached) == [True], "the other node reads")
        eventually(lambda: "nats/lease-lost" in " ".join(notes(cut)), "it says that it reads no more")
        pair.delivers(numbers)
        before = pair.stored()
        more = pair.brings("more.csv", 1_000)
        pair.delivers(more)
        assert pair.stored() == before + len(more)


def test_a_stop_gives_the_lease_back_and_nothing_comes_twice(deployment: Deployment) -> None:
    pair = Pair(deployment, ROWS)
    holder = pair.holder()
    other = pair.other(holder)
    pair.shortens_window()
    numbers = pair.brings("large.csv", 50_000)
    eventually(lambda: len(pair.lines()) > 2_000, "some rows")
    assert holder.stop() == 0
    eventually(lambda: took(other) == [True], "the other node reads")
    pair.delivers(numbers)
    assert sorted(pair.lines()) == sorted(numbers)
    assert pair.stored() == len(numbers)
    assert not any("holds its leases no more" in one for one in notes(other)), "it did not have to wait"


def test_a_clock_an_hour_off_takes_no_lease_from_anybody_and_keeps_none(deployment: Deployment, tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    clock.jump(1)
    pair = Pair(deployment, ROWS, clock=clock)
    holder = pair.holder()
    clock.jump(-1)
    numbers = pair.brings("a.csv", 2_000)
    pair.delivers(numbers)
    other = pair.other(holder)
    assert took(other) == []
    holder.kill()
    eventually(lambda: took(other) == [True], "the other node reads")
    more = pair.brings("b.csv", 2_000)
    pair.delivers(more)
    assert sorted(pair.lines()) == sorted(numbers | more)


def test_a_bucket_that_is_deleted_is_made_again_and_one_node_reads(deployment: Deployment) -> None:
    pair = Pair(deployment, ROWS)
    pair.holder()
    numbers = pair.brings("a.csv", 2_000)
    pair.delivers(numbers)

    async def delete() -> None:
        async with connect(endpoint_of(pair.deployment.url())) as client:
            await ask(client, f"STREAM.DELETE.{LEASES.stream}", {}, LEASES.name)

    asyncio.run(delete())
    eventually(lambda: sum(took(one).count(True) for one in pair.ins) == 2, "it is taken again")
    more = pair.brings("b.csv", 2_000)
    pair.delivers(more)
    assert sorted(pair.lines()) == sorted(numbers | more)
    assert sum(took(one)[-1:] == [True] for one in pair.ins) == 1


def test_one_node_alone_is_connected_to_a_broker_and_another_one_after_it(
    deployment: Deployment, broker: Mosquitto
) -> None:
    pair = Pair(deployment, SENSORS.format(url=broker.url))
    holder = pair.holder()

    def publishes() -> None:
        number = a_number()
        broker.publish("sensors/1", [json.dumps({"n": number})])
        pair.delivers({number}, "sensors.ndjson")

    # A retained message is there for whoever subscribes.
    first = a_number()
    broker.publish("sensors/0", [json.dumps({"n": first})], "-r")
    pair.delivers({first}, "sensors.ndjson")
    for _ in range(20):
        publishes()
    log = (broker.folder / "log").read_text()
    assert "already connected" not in log, "no session was taken over"
    assert log.count(" as vrsky_acme_sensors ") == 1
    holder.kill()
    eventually(lambda: took(pair.other(holder)) == [True], "the other node reads")
    publishes()
    lines = pair.lines("sensors.ndjson")
    assert len(lines) == len(set(lines))


def test_status_and_metrics_say_who_reads_and_nobody_is_unready_for_it(deployment: Deployment) -> None:
    pair = Pair(deployment, ROWS)
    holder = pair.holder()
    shown = deployment.vrsky("status", "acme/rows")
    assert "its source is read by " in shown.stdout
    report = deployment.says("status")
    lease = report["pipelines"][0]["lease"]
    assert lease["node"] in {one["node"] for one in report["nodes"]}
    found = scrape(base(holder))
    assert found["vrsky_leases"] == found["vrsky_lease_changes_total change=taken"] == 1
    assert found["vrsky_lease_since_seconds customer=acme pipeline=rows"] > 1_600_000_000
    other = pair.other(holder)
    assert scrape(base(other))["vrsky_leases"] == 0
    assert [status(f"{base(one)}/readyz") for one in pair.ins] == [200, 200]
    assert took(other) == []


def test_a_node_may_take_leases_with_the_permissions_of_the_page(tmp_path: Path) -> None:
    may = [
        "vrsky.>",
        "$JS.API.>",
        "$JS.ACK.>",
        "$JS.FC.>",
        "_INBOX.*.a.marker",
        "$KV.vrsky_nodes.>",
        "$KV.vrsky_leases.>",
    ]
    allowed = json.dumps([*may, "$SYS.REQ.USER.INFO"])
    denied = json.dumps(["$JS.API.STREAM.DELETE.>", "$JS.API.STREAM.PURGE.>"])
    permissions = (
        f"{{publish: {{allow: {allowed}, deny: {denied}}}, subscribe: {{allow: ['_INBOX.>', 'vrsky.tap.>']}}}}"
    )
    users = (
        'authorization { users = [{user: ann, password: "a"},'
        f' {{user: node, password: "n", permissions: {permissions}}}] }}'
    )
    deployment = Deployment(tmp_path, users, "ann:a")
    try:
        node = deployment.node("--type", "incoming", "--nats", deployment.url("node:n"))
        deployment.applies({"rows.yaml": ROWS})
        eventually(lambda: took(node) == [True], "it reads")
        assert "nats/authorization" not in " ".join(notes(node))
    finally:
        deployment.close()
