"""Signals that come before messages flow, or when no more do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import MINIMAL, Write, clean_environment

# Gets the signals of its second argument when it first calls the function of its first one.
_RUN = """
import os, pkgutil, sys
from vrsky_fast.cli.main import main

place, name = sys.argv.pop(1).split(" ")
signs = [int(sign) for sign in sys.argv.pop(1).split(",")]
owner = pkgutil.resolve_name(place)
function = getattr(owner, name)

def signalled(*arguments, **named):
    while signs:
        os.kill(os.getpid(), signs.pop(0))
    return function(*arguments, **named)

setattr(owner, name, signalled)
main()
"""
IMPORTS = "importlib import_module"
FILES = "vrsky_fast.node.disk:Disk look"
END = "vrsky_fast.cli.display:JsonDisplay end"
# Behind the last line; threads that block no signal still run.
CLOSING = "asyncio.runners:Runner close"


@contextmanager
def run(folder: Path, place: str, *signs: signal.Signals) -> Iterator[subprocess.Popen[str]]:
    numbers = ",".join(str(int(sign)) for sign in signs)
    arguments = [place, numbers, "run", "orders.yaml", "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", _RUN, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.parametrize("place", [IMPORTS, FILES])
def test_signals_that_ask_for_something_wait_for_the_start(write: Write, tmp_path: Path, place: str) -> None:
    write("orders.yaml", MINIMAL)
    with run(tmp_path, place, signal.SIGHUP, signal.SIGUSR1) as process:
        assert process.stdout is not None
        said = (json.loads(line)["kind"] for line in process.stdout)
        assert "ready" in said, process.returncode
        assert "stats" in said
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 0


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_the_run_before_it_starts(write: Write, tmp_path: Path, sign: signal.Signals) -> None:
    write("orders.yaml", MINIMAL)
    with run(tmp_path, FILES, sign) as process:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert '"ready"' not in out
    assert not (tmp_path / ".vrsky").exists()


@pytest.mark.parametrize("place", [END, CLOSING])
def test_signals_that_ask_for_something_at_the_end_change_nothing(write: Write, tmp_path: Path, place: str) -> None:
    write("orders.yaml", MINIMAL)
    with run(tmp_path, place, signal.SIGHUP, signal.SIGUSR1) as process:
        assert process.stdout is not None
        assert any('"ready"' in line for line in process.stdout)
        process.terminate()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err


def test_a_second_signal_to_stop_at_the_end_ends_the_run_at_once(write: Write, tmp_path: Path) -> None:
    write("orders.yaml", MINIMAL)
    with run(tmp_path, CLOSING, signal.SIGTERM) as process:
        assert process.stdout is not None
        assert any('"ready"' in line for line in process.stdout)
        process.terminate()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
