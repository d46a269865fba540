"""`vrsky lint`: check pipeline files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from .. import config
from . import exit_codes, variables
from .terminal import Terminal, safe

_HELP = """Check the pipeline files of PATHS, files or folders, and the scripts, tables and snippets beside them.

All problems of all files are reported, each with file, line, column and a hint. What is no
YAML comes first, then, outside of `tests`, keys that are unknown or missing, values of the wrong kind, words
and times that are none, and lists that are far too long: as long as a file has one of these, nothing is said
of its expressions and scripts, nor of what one part demands of another.

\b
Examples:
  vrsky lint orders.yaml
  vrsky lint pipelines/ --json
  vrsky lint orders.yaml --var ERP=https://erp.example
"""


@click.command(name="lint", help=_HELP)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@variables.option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(paths: tuple[Path, ...], given: dict[str, str], as_json: bool) -> int:
    good, problems = [], []
    for path in paths:
        loaded, found = config.examine(path, given)
        good += loaded
        problems += found
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
