"""Runs and servers that are killed at any moment, stopped under load, or started twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from vrsky_fast.control.server import Server

from ..conftest import Background, clean_environment, command
from .conftest import StartNode
from .load import ORDERS, under_load
from .node import PATIENCE, a_number, eventually


def test_kill_9_at_any_moment_loses_nothing_that_was_accepted(start_node: StartNode) -> None:
    moments = random.Random(20_240_229)
    accepted: set[int] = set()
    for turn in range(5):
        node = start_node({"orders.yaml": ORDERS})
        with under_load(node.url("/orders")) as load:
            load.wait_for(moments.randint(1, 400))
            if turn % 2:
                # With its server: what was acknowledged is on disk.
                os.kill(node.server().pid, signal.SIGKILL)
            node.kill()
            accepted |= load.stop()
        tear(node.data / "files" / "acme" / "orders.ndjson")
    node = start_node({"orders.yaml": ORDERS})
    node.delivers_all("orders.ndjson", accepted)
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0
    written = (node.data / "files" / "acme" / "orders.ndjson").read_bytes()
    assert written.endswith(b"\n")
    # Every line is whole: the torn ones are gone, not glued to the next.
    assert all(json.loads(line)["seen"] is True for line in written.splitlines())


def test_kill_9_with_large_payloads_in_hand_loses_none_of_them(start_node: StartNode) -> None:
    accepted: set[int] = set()
    for count in (3, 12):
        node = start_node({"orders.yaml": ORDERS})
        with under_load(node.url("/orders"), padding=2_000_000) as load:
            load.wait_for(count)
            node.kill()
            accepted |= load.stop()
    node = start_node({"orders.yaml": ORDERS})
    node.delivers_all("orders.ndjson", accepted)
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0


def test_a_torn_last_line_is_mended_at_the_start_before_any_message(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": ORDERS})
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0
    file = node.data / "files" / "acme" / "orders.ndjson"
    whole = file.read_bytes()
    tear(file)
    node = start_node({"orders.yaml": ORDERS})
    eventually(lambda: file.read_bytes() == whole, "the torn line's end")
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0


def tear(path: Path) -> None:
    """What a write looks like that was cut off."""
    text = path.read_bytes() if path.exists() else b""
    if text.endswith(b"\n"):
        path.write_bytes(text + b'{"n": 99999999, "se')


def test_the_server_killed_in_the_middle_loses_nothing_and_the_run_goes_on(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": ORDERS})
    with under_load(node.url("/orders")) as load:
        for _ in range(3):
            load.wait_for(100)
            os.kill(node.server().pid, signal.SIGKILL)
        load.wait_for(100)
        accepted = load.stop()
    assert {status for status, _ in load.refused} <= {503}
    assert {code.partition("/")[0] for _, code in load.refused} <= {"nats", "http"}
    node.hears("node")
    node.delivers_all("orders.ndjson", accepted)
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0


def test_a_server_of_ones_own_may_be_killed_and_come_back(
    start_node: StartNode, server: Server, background: Background
) -> None:
    endpoint = server.endpoint
    url = endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")
    restarts: list[str] = []
    watching = asyncio.run_coroutine_threadsafe(server.watch(restarts.append), background.loop)
    node = start_node({"orders.yaml": ORDERS}, "--nats", url)
    with under_load(node.url("/orders")) as load:
        for turn in range(2):
            load.wait_for(100)
            server.kill()
            eventually(lambda wanted=turn + 1: len(restarts) == wanted, "the server's restart")
        load.wait_for(100)
        accepted = load.stop()
    assert node.hears("node")["code"].startswith("nats/")
    node.delivers_all("orders.ndjson", accepted)
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0
    watching.cancel()


def test_a_second_run_on_the_same_folder_is_refused_and_the_first_goes_on(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": ORDERS})
    node.still_works("/orders", "orders.ndjson")
    second = subprocess.run(
        command("run", node.folder / "pipelines", "--data", node.data, "--listen", "127.0.0.1:0", "--json"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=clean_environment(),
    )
    assert second.returncode == 4
    (problem,) = json.loads(second.stdout)["problems"]
    assert problem["code"] == "config/data-folder-in-use"
    assert str(node.data) in problem["reason"]
    assert f"process {node.process.pid}" in problem["reason"]
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_loses_nothing_and_exits_with_0(start_node: StartNode, sign: signal.Signals) -> None:
    node = start_node({"orders.yaml": ORDERS})
    with under_load(node.url("/orders"), clients=8) as load:
        load.wait_for(300)
        assert node.stop(sign) == 0, node.ended_with()
        accepted = load.stop()
    node = start_node({"orders.yaml": ORDERS})
    node.delivers_all("orders.ndjson", accepted)
    number = a_number()
    node.accepts("/orders", b'{"n": %d}' % number)
    node.delivers_all("orders.ndjson", {number})
    assert node.stop() == 0
