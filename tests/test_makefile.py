"""What make would do, asked without doing it: which change builds what."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def dry_run(*arguments: str) -> str:
    """The commands that `make` would run; nothing of a make that runs these tests reaches it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--dry-run", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def prerequisites(target: str) -> set[str]:
    """The files whose change makes `target` anew."""
    rule = next(line for line in dry_run("--print-data-base").splitlines() if line.startswith(f"{target}: "))
    return set(rule.partition(": ")[2].split())


@pytest.mark.parametrize("extension", [".venv/.extension", ".venv/wheel/.installed"])
def test_rust_sources_alone_build_the_extension(extension: str) -> None:
    files = prerequisites(extension)
    assert {"native/flow/src/lib.rs", "native/script/src/runtime/prelude.js", "Cargo.lock"} <= files
    assert not [file for file in files if file.startswith("python/")]
    assert not [file for file in files if "/tests/" in file or "/harness/" in file or file.endswith("/tests.rs")]


def test_python_sources_are_copied_before_every_run() -> None:
    copy = ".venv/bin/python .ci/package.py copy .venv/wheel"
    for target in ["test-python", "lint-python"]:
        assert copy in dry_run(target)


def test_a_name_calls_for_its_tests_alone() -> None:
    assert dry_run("test", "T=flow::parked").splitlines()[-1].endswith(".ci/matching.py")
    assert "cargo test --workspace" in dry_run("test")
