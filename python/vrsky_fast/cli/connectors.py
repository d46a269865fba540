"""`vrsky connectors`: which kinds there are, and their options."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from .. import _native
from . import exit_codes
from .terminal import Terminal

_HELP = """List the kinds of connectors, or show the options of one KIND, what `vrsky check` looks at,
and an example.

With --json the options are a JSON Schema, in which secrets are `writeOnly`.

\b
Examples:
  vrsky connectors
  vrsky connectors http
  vrsky connectors http --json | jq '.[].schema'
"""


@click.command(name="connectors", help=_HELP)
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="A JSON list on standard output.")
def command(kind: str | None, as_json: bool) -> int:
    specs = json.loads(_native.connectors())
    chosen = [spec for spec in specs if kind in {None, spec["kind"]}]
    if not chosen:
        known = ", ".join(sorted({spec["kind"] for spec in specs}))
        raise click.UsageError(f"there is no connector {kind!r}; there are {known}")
    if as_json:
        click.echo(json.dumps(chosen))
        return exit_codes.OK
    terminal = Terminal(sys.stdout)
    for spec in chosen:
        padded = f"{spec['kind']:<7}"
        terminal.line(f"{spec['direction']:<4} {terminal.strong(padded)} {spec['summary']}")
        for name, option in spec["schema"].get("properties", {}).items() if kind else ():
            needed = "  required" if name in spec["schema"].get("required", []) else _default(option)
            terminal.line(f"       {terminal.strong(name)}{needed}")
            terminal.line("           " + " ".join(option.get("description", "").split()))
        if kind:
            _more(terminal, spec)
    return exit_codes.OK


def _more(terminal: Terminal, spec: dict[str, Any]) -> None:
    terminal.line(f"       {terminal.quiet('vrsky check looks at it:')} {spec['checked']}")
    terminal.line(f"       {terminal.quiet('An example:')}")
    for line in spec["example"].splitlines():
        terminal.line(f"         {line}".rstrip())
    terminal.line("")


def _default(option: dict[str, Any]) -> str:
    return f"  default {json.dumps(option['default'])}" if "default" in option else ""
