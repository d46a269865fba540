"""Fixtures for tests that need more than a function: a real nats-server, the command line, files."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, TypeVar

import pytest

from vrsky_fast.control.server import Server
from vrsky_fast.control.server_config import Endpoint

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent

MINIMAL = """\
customer: acme
pipeline: orders
in:
  http: {path: /orders}
steps:
  - convert: {from: xml, numbers: [order.total]}
  - filter: order.total > 100.0
out:
  file: {path: orders.ndjson}
"""
MINIMAL_TESTS = """\
tests:
  - name: a large one passes
    in: {text: '<order><total>150</total></order>'}
    out: {default: {json: {order: {total: 150}}}}
  - name: a small one is dropped
    in: {text: '<order><total>50</total></order>'}
    dropped: true
  - name: one without a total fails
    in: {text: '<order><id>1</id></order>'}
    error: filter/missing-field
"""
GOOD_ORDER = "<order><total>150</total></order>"

# Make targets of their own: they take minutes.
APART = (ROOT / "tests" / "faults", ROOT / "tests" / "kube")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What stands apart runs when it is named."""
    if collection_path in APART and not any(collection_path.name in one for one in config.args):
        return True
    return None


class Background:
    """An event loop in a thread, for tests that drive asynchronous parts from synchronous code."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def __call__(self, work: Coroutine[Any, Any, T], seconds: float = 30.0) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(seconds)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    loop = Background()
    yield loop
    loop.close()


@pytest.fixture
def server(tmp_path: Path, background: Background) -> Iterator[Server]:
    """A real nats-server of its own, on a port of its own."""
    data = tmp_path / "server-data"
    (data / "nats").mkdir(parents=True)
    server = Server(data)
    background(server.start())
    yield server
    background(server.stop())


@pytest.fixture
def endpoint(server: Server) -> Endpoint:
    return server.endpoint


Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a text file below the test's folder."""

    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return to


@pytest.fixture
def minimal(write: Write) -> Path:
    """A pipeline file that is right."""
    return write("orders.yaml", MINIMAL)


Vrsky = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def vrsky(tmp_path: Path) -> Vrsky:
    """Runs the command in the test's folder until it ends."""

    def run(*arguments: str | Path, input: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
            env=clean_environment() | environment,
        )

    return run


def command(*arguments: str | Path) -> list[str]:
    """The installed command, through the interpreter under test."""
    return [sys.executable, "-m", "vrsky_fast.cli", *map(str, arguments)]


def clean_environment() -> dict[str, str]:
    """The environment without what would change the command's output."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("VRSKY_", "NO_COLOR", "NATS_"))}


class Running:
    """A `vrsky run --json` in the background; `wait_for` blocks on what it says, never on time."""

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        with (folder / "stderr.txt").open("w") as errors:
            self.process = subprocess.Popen(
                [*command("run", *arguments), "--listen", "127.0.0.1:0", "--json"],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=clean_environment(),
            )
        self.said: list[dict[str, Any]] = []
        self._lines: Queue[str | None] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 30.0) -> dict[str, Any]:
        """The next thing said that is wanted. Fails when the run ends, or says nothing for too long."""
        while True:
            line = self._lines.get(timeout=seconds)
            assert line is not None, f"the run ended with {self.process.wait()}; it said {self.said}"
            said = json.loads(line)
            self.said.append(said)
            if wanted(said):
                return said

    def kind(self, kind: str) -> dict[str, Any]:
        return self.wait_for(lambda said: said["kind"] == kind)

    def ready(self) -> str:
        """The address of HTTP pipelines, once messages flow."""
        return str(self.kind("ready")["address"])

    def stop(self, sign: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(sign)
        return self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts `vrsky run` with these arguments; ended with the test."""
    runs: list[Running] = []

    def run(*arguments: str | Path) -> Running:
        runs.append(Running(tmp_path, *arguments))
        return runs[-1]

    yield run
    for one in runs:
        one.close()


def fill_pipe(writer: int) -> None:
    """With empty lines: the next write waits for a reader."""
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"\n")
    except BlockingIOError:
        os.set_blocking(writer, True)


def post(url: str, body: bytes, content_type: str = "application/xml", **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON body of the answer."""
    all_headers = {"Content-Type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, headers=all_headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
