"""A run that takes the place of another one, or is started by a supervisor that holds the sockets: whoever connects
meanwhile waits, and is neither refused nor reset."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from ..clusters import free_ports
from ..conftest import clean_environment, command, post
from .conftest import StartNode
from .load import ORDERS
from .node import PATIENCE, Node, a_number, eventually
from .servers import closed_port


class Clients:
    """Each request has a connection of its own. `accepted`: the numbers answered with 202; `failed`: every other end of
    a request."""

    def __init__(self, url: str) -> None:
        self.accepted: set[int] = set()
        self.failed: list[str] = []
        self._url, self._enough = url, Event()
        self._threads = [Thread(target=self._post_on, daemon=True) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _post_on(self) -> None:
        while not self._enough.is_set():
            number = a_number()
            try:
                status, told = post(self._url, b'{"n": %d}' % number, "application/json")
            except OSError as error:
                self.failed.append(repr(error))
                continue
            if status == 202:
                self.accepted.add(number)
            else:
                self.failed.append(str(told))

    def wait_for(self, more: int) -> None:
        wanted = len(self.accepted) + more
        eventually(lambda: len(self.accepted) >= wanted or self.failed, f"{more} more accepted")

    def stop(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def clients(url: str) -> Iterator[Clients]:
    these = Clients(url)
    try:
        yield these
    finally:
        these.stop()


@pytest.mark.parametrize(("threads", "later_threads"), [(1, 1), (2, 1), (1, 2)])
def test_a_run_is_taken_over_under_load_and_no_connection_is_refused(
    start_node: StartNode, threads: int, later_threads: int
) -> None:
    listen = ["--listen", f"127.0.0.1:{closed_port()}"]
    first = start_node({"orders.yaml": ORDERS}, *listen, "--threads", str(threads))
    with clients(first.url("/orders")) as load:
        load.wait_for(50)
        second = start_node({}, *listen, "--threads", str(later_threads), "--take-over")
        assert second.url("/orders") == first.url("/orders")
        assert first.process.wait(PATIENCE) == 0, first.ended_with()
        load.wait_for(50)
    assert load.failed == []
    second.delivers_once("orders.ndjson", load.accepted)
    assert second.stop() == 0


def test_without_a_run_to_take_over_it_is_a_start_like_any_other(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": ORDERS}, "--take-over")
    node.accepts("/orders", b'{"n": 1}')
    assert node.stop() == 0


def test_a_run_that_could_not_serve_leaves_the_other_one_alone(start_node: StartNode) -> None:
    listen = ["--listen", f"127.0.0.1:{closed_port()}"]
    first = start_node({"orders.yaml": ORDERS}, *listen)
    first.hears("ready")
    elsewhere = start_node({}, "--listen", f"127.0.0.1:{closed_port()}", "--take-over")
    assert elsewhere.process.wait(PATIENCE) != 0
    assert "config/cannot-listen" in elsewhere.errors.read_text() + str(elsewhere.said)
    broken = start_node({"orders.yaml": "customer: [", "more.yaml": "customer: ["}, *listen, "--take-over", "--strict")
    assert broken.process.wait(PATIENCE) != 0
    first.accepts("/orders", b'{"n": 1}')
    assert first.stop() == 0


def test_metrics_are_served_on_the_address_that_the_earlier_run_had(start_node: StartNode) -> None:
    listen, metrics = free_ports(2)
    arguments = ["--listen", f"127.0.0.1:{listen}", "--metrics", f"127.0.0.1:{metrics}"]
    first = start_node({"orders.yaml": ORDERS}, *arguments)
    first.hears("ready")
    second = start_node({}, *arguments, "--take-over")
    second.hears("ready")
    assert first.process.poll() == 0
    assert any("metrics and probes" in str(one) for one in second.said)
    assert second.stop() == 0


# Gives descriptor 3 to the program that it becomes, as systemd does.
SUPERVISOR = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": sys.argv[2]}
os.execv(sys.argv[3], sys.argv[3:])
"""


class Supervised(Node):
    """A run that a supervisor has started with its socket."""

    def __init__(self, folder: Path, held: socket.socket, count: int = 1) -> None:
        self._held, self._count = held, count
        super().__init__(folder)

    def _popen(self, arguments: list[str], **options: Any) -> subprocess.Popen[str]:
        descriptor = self._held.fileno()
        whole = [sys.executable, "-c", SUPERVISOR, str(descriptor), str(self._count), *arguments]
        return subprocess.Popen(whole, pass_fds=[descriptor], **options)


def test_a_supervisors_socket_is_served_and_whoever_comes_between_two_runs_waits(
    start_node: StartNode, tmp_path: Path
) -> None:
    start_node({"orders.yaml": ORDERS}).stop()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as held:
        first = Supervised(tmp_path, held)
        assert first.base == f"http://127.0.0.1:{held.getsockname()[1]}"
        with clients(first.url("/orders")) as load:
            load.wait_for(20)
            assert first.stop() == 0
            first.close()
            second = Supervised(tmp_path, held)
            second.hears("ready")
            load.wait_for(20)
        assert load.failed == []
        second.delivers_once("orders.ndjson", load.accepted)
        assert second.stop() == 0
        second.close()


@pytest.mark.parametrize("count", ["2", "many"])
def test_a_supervisor_that_promises_what_is_not_there_is_an_error(tmp_path: Path, count: str) -> None:
    (tmp_path / "orders.yaml").write_text(ORDERS)
    with socket.create_server(("127.0.0.1", 0)) as held:
        descriptor = str(held.fileno())
        run = command("run", tmp_path / "orders.yaml", "--data", tmp_path / "data")
        done = subprocess.run(
            [sys.executable, "-c", SUPERVISOR, descriptor, count, *run],
            pass_fds=[held.fileno()],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert "config/cannot-listen" in done.stderr
    assert done.returncode not in {0, os.EX_SOFTWARE}
