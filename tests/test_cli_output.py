"""Output that goes nowhere, early or to a terminal: no traceback, no escape sequence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import GOOD_ORDER, MINIMAL, MINIMAL_TESTS, Vrsky, Write, clean_environment, command


@pytest.mark.parametrize("arguments", ["lint --json", "lint", "test", "dry-run", "check --json", "--help"])
@pytest.mark.parametrize("size", [1, 20_000])
def test_output_that_cannot_be_written_is_one_line_and_exit_code_3(
    write: Write, tmp_path: Path, arguments: str, size: int
) -> None:
    verb, *options = arguments.split()
    # Longer than what is held back before it is written, too.
    name = "x" * size
    path = write("orders.yaml", MINIMAL + MINIMAL_TESTS.replace("a large one passes", name))
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(verb, *options, *([] if verb == "--help" else [path])),
            cwd=tmp_path,
            input=GOOD_ORDER,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=clean_environment(),
        )
    assert done.returncode == 3
    assert done.stderr == "vrsky: standard output cannot be written: No space left on device\n"


def test_a_reader_that_goes_early_makes_no_noise(minimal: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as gone:
        arguments = command("lint", minimal)
        done = subprocess.run(
            arguments, cwd=tmp_path, stdout=gone, stderr=subprocess.PIPE, text=True, timeout=60, env=clean_environment()
        )
    assert done.stderr == ""


def test_what_a_message_holds_cannot_drive_the_terminal(vrsky: Vrsky, write: Write) -> None:
    head = "customer: a\npipeline: b\nin: {http: {path: /x}}\n"
    write("echo.yaml", head + "steps: [{convert: {from: json, to: json}}]\nout: {stdout: {}}\n")
    done = vrsky("dry-run", "echo.yaml", input='{"a": "\\u001b[2J\\u202e"}')
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
