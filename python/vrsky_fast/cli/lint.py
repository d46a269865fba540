"""`vrsky lint`: check pipeline files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from .. import config
from ..config import PipelineFile, Problem
from ..errors import VrskyError
from ..facts import Ceilings
from . import ceilings, exit_codes, variables
from .terminal import Terminal, safe

_HELP = """Check the pipeline files of PATHS, files or folders, and the scripts, tables and snippets beside them.

All problems of all files are reported, each with file, line, column and a hint. What is no
YAML comes first, then, outside of `tests`, keys that are unknown or missing, values of the wrong kind, words
and times that are none, and lists that are far too long: as long as a file has one of these, nothing is said
of its expressions and scripts, nor of what one part demands of another.

Limits above what the operator of a node allows are problems, too. Say what that is where it is not the default.

\b
Examples:
  vrsky lint orders.yaml
  vrsky lint pipelines/ --json
  vrsky lint orders.yaml --var ERP=https://erp.example
"""


@click.command(name="lint", help=_HELP)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@ceilings.options
@variables.option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(paths: tuple[Path, ...], ceilings: Ceilings, given: dict[str, str], as_json: bool) -> int:
    good: list[PipelineFile] = []
    problems: list[Problem] = []
    for path in paths:
        loaded, found = config.examine(path, given)
        problems += found
        for one in loaded:
            above = list(_above(one, ceilings))
            problems += above
            if not above:
                good.append(one)
    if as_json:
        report = {
            "ok": not problems,
            "pipelines": [{"file": str(one.path), "customer": one.customer, "pipeline": one.pipeline} for one in good],
            "problems": [problem.as_json() for problem in problems],
        }
        click.echo(json.dumps(report))
    else:
        terminal = Terminal(sys.stdout)
        for one in good:
            terminal.line(f"{terminal.good('ok')}  {safe(one.path)}  {one.customer}/{one.pipeline}")
        terminal.problems(problems)
        if problems:
            terminal.line(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}")
    return exit_codes.FINDINGS if problems else exit_codes.OK


def _above(one: PipelineFile, ceilings: Ceilings) -> Iterator[Problem]:
    """Limits that a node with these ceilings refuses."""
    try:
        one.compiled.check_ceilings(json.dumps(asdict(ceilings)))
    except VrskyError as error:
        for fault in error.faults:
            yield one.problem(fault.code, fault.reason, fault.pointer or "")
