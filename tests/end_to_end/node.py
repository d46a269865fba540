"""The node under test: a `vrsky run --json` as a process, what it says, and what it wrote."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Condition, Thread
from typing import Any, TypeVar

from vrsky_fast.control import server_config
from vrsky_fast.control.process import Identity
from vrsky_fast.control.server_config import Endpoint

from ..conftest import clean_environment, command, post

T = TypeVar("T")

# Far more than anything here takes: a test that waits so long has failed.
PATIENCE = 60.0

_numbers = itertools.count(1_000_000)


def eventually(check: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first true result of `check`."""
    until = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < until, f"never happened: {what}"
        time.sleep(0.02)
    return result


def settled(look: Callable[[], int], what: str, seconds: float, enough: int) -> int:
    """The first result of `look` that stays the same for so long, or is at least `enough`."""
    until = time.monotonic() + PATIENCE
    result, since = look(), time.monotonic()
    while result < enough and time.monotonic() - since < seconds:
        assert time.monotonic() < until, f"never settled: {what}, at last {result}"
        time.sleep(0.02)
        if (now := look()) != result:
            result, since = now, time.monotonic()
    return result


def a_number() -> int:
    """One that no other message of this test run has."""
    return next(_numbers)


class Node:
    """One run. `folder` holds `pipelines/`; messages are kept in `data`, by default below `folder`. `verb` is what is
    run instead, such as `vrsky node`."""

    def __init__(
        self,
        folder: Path,
        *arguments: str | Path,
        data: Path | None = None,
        environment: Mapping[str, str] | None = None,
        verb: Sequence[str | Path] | None = None,
    ) -> None:
        self.folder = folder
        self.data = data or folder / ".vrsky"
        self.said: list[dict[str, Any]] = []
        self._news = Condition()
        self._ended = False
        self.errors = folder / "stderr.txt"
        served = verb or ("run", folder / "pipelines")
        with self.errors.open("a") as errors:
            self.process = self._popen(
                command(*served, "--listen", "127.0.0.1:0", "--data", self.data, "--json") + list(map(str, arguments)),
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=clean_environment() | dict(environment or {}),
            )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self._base = ""

    def _popen(self, arguments: list[str], **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(arguments, **options)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.said.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    # -- what it says ---------------------------------------------------------------------------

    def hears(self, kind: str, **wanted: object) -> dict[str, Any]:
        """The first thing said of this kind that has these values; waits for it."""
        until = time.monotonic() + PATIENCE
        seen = 0
        with self._news:
            while True:
                for one in self.said[seen:]:
                    if one.get("kind") == kind and all(one.get(name) == value for name, value in wanted.items()):
                        return one
                seen = len(self.said)
                left = until - time.monotonic()
                assert not self._ended, f"the run ended before it said {kind} {wanted}; {self.ended_with()}"
                assert left > 0, f"it never said {kind} {wanted}; last: {self.said[-20:]}"
                self._news.wait(left)

    def ended_with(self) -> str:
        return f"exit code {self.process.poll()}, {self.errors.read_text()[-2000:]}"

    def counters(self, pipeline: str) -> dict[str, Any]:
        """Its counters and conditions as they were said last; empty before. A line has only what has changed."""
        with self._news:
            lines = [one["pipelines"] for one in self.said if one["kind"] == "stats"]
        return next((one for line in reversed(lines) for one in line if one["pipeline"] == pipeline), {})

    @property
    def base(self) -> str:
        if not self._base:
            self._base = str(self.hears("ready")["address"])
        return self._base

    def url(self, path: str, customer: str = "acme") -> str:
        return f"{self.base}/in/{customer}{path}"

    def assert_alive(self) -> None:
        assert self.process.poll() is None, self.ended_with()

    # -- messages -------------------------------------------------------------------------------

    def accepts(self, path: str, body: bytes, content_type: str = "application/json", **headers: str) -> str:
        """Posts a message that has to be answered with 202; its id."""
        status, answer = post(self.url(path), body, content_type, **headers)
        assert status == 202, answer
        return str(answer["id"])

    def refuses(self, path: str, body: bytes, content_type: str = "application/json", **headers: str) -> dict[str, Any]:
        """Posts a message that has to be refused; the problem document."""
        status, problem = post(self.url(path), body, content_type, **headers)
        assert status >= 400, problem
        assert problem["status"] == status
        return problem

    def lines(self, name: str, customer: str = "acme") -> list[Any]:
        """The complete lines of a customer's file out."""
        path = self.data / "files" / customer / name
        if not path.exists():
            return []
        complete, _, _ = path.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in complete.split(b"\n") if line]

    def numbers(self, name: str, customer: str = "acme") -> set[int]:
        """The `n` of every line."""
        return {line["n"] for line in self.lines(name, customer)}

    def delivers_all(self, name: str, numbers: set[int]) -> None:
        """Waits until each of them is in the file out."""
        missing: set[int] = set()

        def all_there() -> bool:
            missing.clear()
            missing.update(numbers - self.numbers(name))
            if missing:
                self.assert_alive()
            return not missing

        try:
            eventually(all_there, f"all of {len(numbers)} messages in {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}; {len(missing)} are missing, such as {sorted(missing)[:5]}") from None

    def delivers_once(self, name: str, numbers: set[int]) -> None:
        """The same, then ends it in order: each of them is there once, and nothing else."""
        self.delivers_all(name, numbers)
        assert self.stop() == 0
        assert sorted(line["n"] for line in self.lines(name)) == sorted(numbers)

    def still_works(self, path: str, name: str) -> None:
        """The process lives, and a good message, sent now, is delivered."""
        self.assert_alive()
        number = a_number()
        self.accepts(path, b'{"n": %d}' % number)
        self.delivers_all(name, {number})
        self.assert_alive()

    # -- dead letters ---------------------------------------------------------------------------

    def dead_letters(self) -> list[dict[str, Any]]:
        """As `vrsky dlq ls --json` lists them."""
        listed = self._dlq("ls", "--json", "--limit", "100000")
        return [json.loads(line) for line in listed.splitlines()]

    def dead_letters_of(self, ids: set[str]) -> dict[str, dict[str, Any]]:
        """Those of these messages, by id; waits until there is one for each."""

        def all_there() -> dict[str, dict[str, Any]]:
            found = {one["id"]: one for one in self.dead_letters() if one["id"] in ids}
            return found if len(found) == len(ids) else {}

        return eventually(all_there, f"dead letters of {ids}")

    def dead_letter(self, id: str) -> dict[str, Any]:
        """The one dead letter of a message, with headers and payload."""
        self.hears("dead", id=id)
        found = self.dead_letters_of({id})[id]
        shown = self.shown(found["sequence"])
        assert {name: shown[name] for name in found} == found
        assert shown["headers"]["Customer-ID"] == "acme"
        assert shown["headers"]["Vrsky-Code"] == shown["code"]
        return shown

    def shown(self, sequence: int) -> dict[str, Any]:
        """As `vrsky dlq show --json` shows it."""
        letter: dict[str, Any] = json.loads(self._dlq("show", str(sequence), "--json"))
        return letter

    def redrives(self, *arguments: str | int, exits: int = 0) -> dict[str, Any]:
        """Sends dead letters again without asking; the report."""
        done = self.dlq("redrive", *arguments, "--yes", "--json")
        assert done.returncode == exits, done.stderr + done.stdout
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def dlq(self, *arguments: str | int) -> subprocess.CompletedProcess[str]:
        """`vrsky dlq` on the data folder, until it ends."""
        return subprocess.run(
            command("dlq", *map(str, arguments), "--data", self.data),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=clean_environment(),
        )

    def _dlq(self, *arguments: str) -> str:
        done = self.dlq(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # -- its end --------------------------------------------------------------------------------

    def server(self) -> Identity:
        """The process of the embedded nats-server."""
        return self._recorded()[0]

    def endpoint(self) -> Endpoint:
        """Where the embedded nats-server listens, with its credentials."""
        return self._recorded()[1]

    def _recorded(self) -> tuple[Identity, Endpoint]:
        recorded = server_config.recall(server_config.Layout(self.data))
        assert recorded is not None
        return recorded

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Ends it in order; the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """`kill -9`. Its nats-server lives on."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            # Whether it ends in order is for tests to ask; a drain may take as long as it likes.
            self.kill()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        # What a killed run leaves behind.
        recorded = server_config.recall(server_config.Layout(self.data))
        if recorded is not None and recorded[0].runs(str(server_config.Layout(self.data.absolute()).config)):
            recorded[0].end(10.0)
