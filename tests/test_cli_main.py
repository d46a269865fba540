"""The command line as a whole: help, exit codes, errors as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from vrsky_fast.cli.main import group

from .conftest import Vrsky


def commands(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    """`command` and all below it, as they are called after `vrsky`."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield from commands(below, *path, name)


def test_help_shows_exit_codes(vrsky: Vrsky) -> None:
    shown = vrsky("--help")
    assert shown.returncode == 0
    assert "vrsky run orders.yaml" in shown.stdout
    assert "another run uses the data folder" in shown.stdout


@pytest.mark.parametrize("path", [pytest.param(path, id=" ".join(("vrsky", *path))) for path in commands(group)])
def test_the_help_of_every_command_has_an_example_of_it(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(group, [*path, "--help"], prog_name="vrsky")
    assert shown.exit_code == 0
    examples = shown.output.partition("Examples:\n")[2].partition("\n\n")[0]
    assert " ".join(("vrsky", *path)) in examples


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
