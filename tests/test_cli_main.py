"""The command line as a whole: help, exit codes, errors as JSON."""

from __future__ import annotations

import json

import pytest

from .conftest import Vrsky


def test_help_shows_examples_and_exit_codes(vrsky: Vrsky) -> None:
    shown = vrsky("--help")
    assert shown.returncode == 0
    assert "vrsky run orders.yaml" in shown.stdout
    assert "another run uses the data folder" in shown.stdout
    for verb in ("run", "lint", "check", "connectors", "test", "dry-run", "dlq"):
        help_of = vrsky(verb, "--help")
        assert help_of.returncode == 0
        assert f"vrsky {verb}" in help_of.stdout
        assert "Examples:" in help_of.stdout


def test_the_version_is_the_packages(vrsky: Vrsky) -> None:
    from importlib.metadata import version

    assert version("vrsky-fast") in vrsky("--version").stdout


@pytest.mark.parametrize("arguments", [["fly"], ["run"], ["lint"], ["run", "x", "--threads", "0"], ["--nope"]])
def test_a_wrong_command_line_is_exit_code_2(vrsky: Vrsky, arguments: list[str]) -> None:
    done = vrsky(*arguments)
    assert done.returncode == 2
    assert "Usage:" in done.stderr
    assert done.stdout == ""


def test_errors_are_json_with_a_hint_for_programs(vrsky: Vrsky) -> None:
    done = vrsky("dlq", "ls", "--json")
    assert done.returncode == 3
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["code"] == "config/data-folder-unusable"
    assert problem["hint"].endswith(".")
