"""A run whose lines nobody reads, as below `| less`: it serves, reloads and stops all the same."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest

from ..conftest import clean_environment, command, fill_pipe, post
from .conftest import write_pipelines
from .node import PATIENCE, eventually

PIPELINE = """\
customer: acme
pipeline: {name}
in: {{http: {{path: /{name}, content_types: [json]}}}}
out: {{file: {{path: {name}.ndjson}}}}
"""


class Unread:
    """A run before a pipe that is full from the start."""

    def __init__(self, folder: Path, *arguments: str, program: Sequence[str] = ()) -> None:
        reader, writer = os.pipe()
        self.lines: BinaryIO = open(reader, "rb")  # noqa: SIM115
        fill_pipe(writer)
        with socket.create_server(("127.0.0.1", 0)) as free:
            listen = f"127.0.0.1:{free.getsockname()[1]}"
        self.base = f"http://{listen}/in/acme"
        stdout, stderr = (writer, subprocess.DEVNULL) if "--json" in arguments else (subprocess.DEVNULL, writer)
        usual = command("run", folder / "pipelines", "--listen", listen, "--data", folder / ".vrsky", *arguments)
        self.process = subprocess.Popen(
            [*program, *usual[usual.index("run") :]] if program else usual,
            cwd=folder,
            stdout=stdout,
            stderr=stderr,
            env=clean_environment(),
        )
        os.close(writer)

    def accepts(self, name: str) -> bool:
        assert self.process.poll() is None
        try:
            return post(f"{self.base}/{name}", b"{}", "application/json")[0] == 202
        except OSError:
            return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.lines.read()
        self.lines.close()
        self.process.wait(PATIENCE)


# Nobody takes what is in hand, so that a drain and the last lines are waited for in vain.
SHORT = """
import importlib
importlib.import_module("vrsky_fast.node.serve").DRAIN_SECONDS = 0.5
importlib.import_module("vrsky_fast.cli.log")._END_SECONDS = 0.5
importlib.import_module("vrsky_fast.cli").main()
"""


@pytest.fixture(params=["--json", "--watch"], ids=["json", "text"])
def unread(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Unread]:
    write_pipelines(tmp_path, {"one.yaml": PIPELINE.format(name="one")})
    run = Unread(tmp_path, request.param)
    yield run
    run.close()


def test_a_run_that_nobody_reads_serves_reloads_and_stops(unread: Unread, tmp_path: Path) -> None:
    eventually(lambda: unread.accepts("one"), "it serves")
    write_pipelines(tmp_path, {"two.yaml": PIPELINE.format(name="two")})
    eventually(lambda: unread.accepts("two"), "it reads a new file")
    assert unread.stop() == 0


@pytest.mark.parametrize("unread", ["--json"], indirect=True)
def test_a_reader_that_comes_late_gets_all_lines(unread: Unread, tmp_path: Path) -> None:
    eventually(lambda: unread.accepts("one"), "it serves")
    write_pipelines(tmp_path, {"two.yaml": PIPELINE.format(name="two")})
    eventually(lambda: unread.accepts("two"), "it reads a new file")
    files = [tmp_path / ".vrsky" / "files" / "acme" / f"{name}.ndjson" for name in ("one", "two")]
    eventually(lambda: all(file.exists() and file.read_text() for file in files), "both are delivered")
    unread.process.send_signal(signal.SIGTERM)
    said = [json.loads(line) for line in unread.lines.read().splitlines() if line]
    assert unread.process.wait(PATIENCE) == 0
    kinds = [one["kind"] for one in said]
    assert kinds.index("ready") < kinds.index("installed") < kinds.index("stopped") == len(kinds) - 1
    assert (kinds.count("received"), kinds.count("delivered")) == (2, 2)
    assert not any("nobody read" in one.get("text", "") for one in said)


def test_a_stdout_out_that_nobody_reads_does_not_keep_a_run_from_its_end(tmp_path: Path) -> None:
    text = PIPELINE.format(name="one").replace("file: {path: one.ndjson}", "stdout: {}")
    write_pipelines(tmp_path, {"one.yaml": text})
    with closing(Unread(tmp_path, "--json", program=[sys.executable, "-c", SHORT])) as run:
        eventually(lambda: run.accepts("one"), "it serves")
        assert run.stop() == 0
