"""`vrsky doctor`: whether this machine can isolate scripts."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence

import click

from ..node.sandbox import Layer, probe
from . import exit_codes
from .terminal import Terminal, safe

_HELP = """Look what this machine, its kernel and the container around it let a node take from the processes in which
customers' scripts run. Each layer is tried, as the user that you are.

Run it where the node runs, and as the node does: a container has fewer rights than its machine. Exit code 3 when a
required layer is missing: there a node with `--isolation customer` does not start.

\b
Examples:
  vrsky doctor
  vrsky doctor --json | jq -r '.layers[] | select(.ok | not) | .layer'
  kubectl exec deploy/vrsky-logic -- vrsky doctor
"""


@click.command(name="doctor", help=_HELP)
@click.option("--json", "as_json", is_flag=True, help="A JSON object on standard output.")
def command(as_json: bool) -> int:
    try:
        layers = probe()
    except OSError as error:
        return _failed(error, as_json)
    missing = [layer for layer in layers if layer.required and not layer.ok]
    if as_json:
        found = [{"layer": layer.name, **_without_name(layer)} for layer in layers]
        click.echo(json.dumps({"ok": not missing, "layers": found}))
    else:
        _show(Terminal(sys.stdout), layers, missing)
    return exit_codes.ENVIRONMENT if missing else exit_codes.OK


def _failed(error: OSError, as_json: bool) -> int:
    reason = f"no process for scripts can be started: {error}"
    if as_json:
        click.echo(json.dumps({"ok": False, "layers": [], "reason": reason}))
    else:
        terminal = Terminal(sys.stdout)
        terminal.line(f"{terminal.bad('fails')}  {safe(reason)}")
    return exit_codes.ENVIRONMENT


def _without_name(layer: Layer) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(layer).items() if name != "name"}


def _show(terminal: Terminal, layers: Sequence[Layer], missing: Sequence[Layer]) -> None:
    terminal.line("Processes of scripts, and what is taken from them:")
    for layer in layers:
        if layer.ok:
            mark = terminal.good("ok      ")
        elif layer.required:
            mark = terminal.bad("missing ")
        else:
            mark = terminal.warning("missing ")
        reason = "" if layer.reason is None else f" ({layer.reason})"
        terminal.line(f"  {mark} {layer.name:<18} {layer.stops}{safe(reason)}")
    if missing:
        names = ", ".join(layer.name for layer in missing)
        terminal.line(f"{terminal.bad('Scripts cannot be isolated here')}: {names} is required.")
    elif all(layer.ok for layer in layers):
        terminal.line("All layers are to be had.")
    else:
        terminal.line("All required layers are to be had. The others need rights that this user or container lacks.")
