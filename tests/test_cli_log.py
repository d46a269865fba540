"""The lines of a run before a reader that stands still, reads late, or has gone."""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from vrsky_fast.cli import log as log_module
from vrsky_fast.cli.log import Log
from vrsky_fast.cli.terminal import Terminal

from .conftest import fill_pipe
from .end_to_end.node import eventually

# More than any pipe holds, and enough to be behind.
HUGE = "x" * 2_000_000 + "\n"


class Pipe:
    """Both ends of a pipe; what is written to it is read when a test says so."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self.reader, self.writer = open(reader, "rb"), open(writer, "w")  # noqa: SIM115
        self._bytes = b""
        self._thread = threading.Thread(target=self._read)

    def read(self) -> None:
        """From now on, until the writer is closed."""
        self._thread.start()

    def _read(self) -> None:
        self._bytes = self.reader.read()

    def text(self) -> str:
        """Everything that was written, now that nothing else will be."""
        self.writer.close()
        self._thread.join()
        return self._bytes.decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.reader.close()
    pipe.writer.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that stands still is not waited for."""
    for name in ("_FULL_SECONDS", "_END_SECONDS", "_FORCED_SECONDS"):
        monkeypatch.setattr(log_module, name, 0.01)


def test_a_reader_that_comes_late_gets_every_text_in_order(pipe: Pipe) -> None:
    lines = [f"{number}\n" for number in range(1_000)]
    with Log(pipe.writer) as log:
        log.write(HUGE)
        for line in lines:
            log.write(line)
        assert log.is_behind()
        pipe.read()
        assert log.drain()
        assert not log.is_behind()
    assert pipe.text() == HUGE + "".join(lines)


def test_the_end_waits_for_a_reader_that_reads(pipe: Pipe) -> None:
    with Log(pipe.writer) as log:
        log.write(HUGE)
        log.write("stopped\n")
        pipe.read()
    assert pipe.text() == HUGE + "stopped\n"


def test_a_reader_that_reads_loses_no_line_of_a_burst(pipe: Pipe) -> None:
    pipe.read()
    with Log(pipe.writer) as log:
        for _ in range(10):
            log.write(HUGE)
        log.drain()
        assert log.dropped() == 0
    assert pipe.text() == HUGE * 10


@pytest.mark.usefixtures("impatient")
def test_lines_beyond_the_bound_are_dropped_and_counted_in_their_place(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Log(pipe.writer) as log:
        for _ in range(7):
            log.write(HUGE)
        assert log.dropped() == 0
        monkeypatch.setattr(log_module, "_END_SECONDS", 60.0)
        pipe.read()
        assert log.drain()
        log.write("still in the gap\n")
        dropped = log.dropped()
        log.write(f"{dropped} dropped\n")
        assert log.dropped() == 0
    # 8 MB, and the text that crosses them at most.
    kept = pipe.text().removesuffix(f"{dropped} dropped\n").count("\n")
    assert kept in {4, 5}
    assert dropped == 7 - kept + 1


@pytest.mark.usefixtures("impatient")
def test_an_end_that_nobody_reads_is_an_end_and_what_comes_later_goes_nowhere(pipe: Pipe) -> None:
    with Log(pipe.writer) as log:
        log.write(HUGE)
        log.drain_at_once()
        assert log.is_behind()
    pipe.writer.write(HUGE)
    pipe.writer.flush()


def test_what_a_reader_that_has_gone_did_not_get_is_raised_by_what_comes_next(pipe: Pipe) -> None:
    pipe.reader.close()
    with pytest.raises(BrokenPipeError), Log(pipe.writer) as log:  # noqa: PT012
        log.write("one\n")
        assert log.drain()
        with pytest.raises(BrokenPipeError):
            log.write("two\n")
        with pytest.raises(BrokenPipeError):
            log.is_behind()


def test_the_end_of_a_failed_run_is_its_own_error(pipe: Pipe) -> None:
    pipe.reader.close()
    with pytest.raises(KeyError), Log(pipe.writer) as log:  # noqa: PT012
        log.write("one\n")
        raise KeyError("the run's")


@pytest.mark.parametrize("text", ["one\n", HUGE])
def test_a_full_disk_leaves_lines_out(text: str) -> None:
    with open("/dev/full", "w") as full, Log(full) as log:
        log.write(text)
        assert log.drain()
        log.write(text)
    assert not log.is_behind()


def test_another_error_is_raised_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    with (tmp_path / "log").open() as only_read:
        stream: TextIO = only_read  # type: ignore[assignment]
        with pytest.raises(OSError, match="Bad file") as raised, Log(stream) as log:
            log.write("one\n")
    assert raised.value.errno == errno.EBADF


def test_a_live_line_that_waits_is_replaced_by_the_next(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    monkeypatch.setattr(Log, "isatty", lambda _: True)
    with Log(pipe.writer) as log:
        terminal = Terminal(log)
        fill_pipe(pipe.writer.fileno())
        terminal.line("first")
        eventually(lambda: not log._texts, "the thread has the first line")
        for number in range(1_000):
            terminal.live(f"live {number}")
        terminal.line("last")
        pipe.read()
    assert pipe.text().strip("\n") == "\r\x1b[2Kfirst\n\r\x1b[2Klast\nlive 999"


def test_a_line_that_a_pipe_holds_is_one_write(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    write = os.write

    def counted(descriptor: int, data: memoryview) -> int:
        writes.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", counted)
    line = "x" * (select.PIPE_BUF - 1) + "\n"
    with Log(pipe.writer) as log:
        for _ in range(3):
            log.write(line)
        assert log.drain()
    pipe.read()
    assert pipe.text() == line * 3
    assert writes == [len(line)] * 3
