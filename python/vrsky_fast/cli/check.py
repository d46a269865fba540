"""`vrsky check`: whether the connectors of pipelines would work here, before anything runs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from nats.aio.client import Client

from .. import config
from ..config import secrets
from ..config.pipeline import advice, secret_names
from ..control.connection import connect, endpoint_of
from ..control.presence import look_for_stream
from ..errors import NatsError, SecretError
from ..node import Settings, node_to_ask
from . import exit_codes
from .terminal import Terminal, safe

_HELP = """Look whether every in and out of PATHS, files or folders, would work here. No message is sent,
nothing is made.

Secrets have to be defined, addresses allowed and reachable, folders of files writable; with --nats,
streams have to be there. Exit code 0: all of it is so. 1: a pipeline file is wrong. 3: something is
missing or cannot be reached.

\b
Examples:
  vrsky check orders.yaml
  vrsky check pipelines/ --secrets /run/secrets --json
  vrsky check pipelines/ --nats nats://user:password@127.0.0.1:4222
"""


@dataclass
class Finding:
    """One connector; `state` is `ok`, `failed`, or `unchecked` for a NATS one without --nats."""

    customer: str
    pipeline: str
    direction: str
    name: str | None
    kind: str
    state: str
    code: str | None = None
    reason: str | None = None
    hint: str | None = None

    def fail(self, code: str, reason: str) -> None:
        self.state, self.code, self.reason, self.hint = "failed", code, reason, advice(code) or None


@click.command(name="check", help=_HELP)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--nats", metavar="URL", help="The NATS server that pipelines will run on.")
@click.option("--data", default=".vrsky", show_default=True, type=click.Path(path_type=Path), help="As for `run`.")
@click.option("--secrets", "folder", type=click.Path(path_type=Path), metavar="DIR", help="As for `run`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(paths: tuple[Path, ...], nats: str | None, data: Path, folder: Path | None, as_json: bool) -> int:
    pipelines = [one for path in paths for one in config.load_all(path)]
    settings = Settings(data, nats=nats, secrets=folder)
    found = [finding for one in pipelines for finding in _connectors(one, settings)]
    server = asyncio.run(_streams(nats, pipelines, found)) if nats else None
    ok = not any(one.state == "failed" for one in found) and server is None
    if as_json:
        report = {"ok": ok, "connectors": [asdict(one) for one in found]}
        click.echo(json.dumps(report | ({"nats": {"code": server.code, "reason": server.reason}} if server else {})))
    else:
        _show(Terminal(sys.stderr), found, server)
    return exit_codes.OK if ok else exit_codes.ENVIRONMENT


def _connectors(one: config.PipelineFile, settings: Settings) -> Iterator[Finding]:
    """What the node itself would find; a secret is named with the places it is looked for in."""
    values, missing = _resolve(one, settings.secrets)
    answer = node_to_ask(settings).check(one.json, one.scripts, values)
    for row in json.loads(answer):
        finding = Finding(one.customer, one.pipeline, row["direction"], row.get("name"), row["kind"], "ok")
        named = secret_names(_options(one, finding))
        if not row["ok"]:
            reasons = [missing[name] for name in sorted(named & missing.keys())]
            finding.fail(row["code"], "; ".join(reasons) if row["code"] == "secret/not-found" else row["reason"])
        elif finding.kind == "nats" and settings.nats is None:
            finding.state, finding.hint = "unchecked", "Name the server with --nats."
        yield finding


def _resolve(one: config.PipelineFile, folder: Path | None) -> tuple[dict[str, str], dict[str, str]]:
    """The values by name, and the reasons of those that have none."""
    values: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name in sorted(one.secrets):
        try:
            values |= secrets.resolve(one.customer, {name}, folder)
        except SecretError as error:
            missing[name] = error.reason
    return values, missing


def _options(one: config.PipelineFile, finding: Finding) -> dict[str, Any]:
    connector = one.model["in"] if finding.direction == "in" else one.outs[finding.name or "default"]
    options: dict[str, Any] = connector[finding.kind]
    return options


async def _streams(nats: str, pipelines: Sequence[config.PipelineFile], found: Sequence[Finding]) -> NatsError | None:
    """Asks the server for the streams of NATS connectors; the error when there is no asking."""
    files = {(one.customer, one.pipeline): one for one in pipelines}
    try:
        async with connect(endpoint_of(nats)) as client:
            for finding in found:
                if finding.kind == "nats" and finding.state == "ok":
                    await _stream(client, files[finding.customer, finding.pipeline], finding)
    except NatsError as error:
        return error
    return None


async def _stream(client: Client, one: config.PipelineFile, finding: Finding) -> None:
    try:
        await look_for_stream(client, finding.direction, _options(one, finding))
    except NatsError as error:
        finding.fail(error.code, error.reason)


def _show(terminal: Terminal, found: Sequence[Finding], server: NatsError | None) -> None:
    words = {"ok": terminal.good("ok  "), "failed": terminal.bad("FAIL"), "unchecked": terminal.warning("?   ")}
    for one in found:
        place = one.direction if one.name is None else f"{one.direction} {one.name}"
        said = [one.code, one.reason] if one.code else []
        parts = [f"{one.customer}/{one.pipeline}", place, one.kind, *said]
        terminal.line("  ".join([words[one.state], *(safe(part) for part in parts)]))
        if one.hint:
            terminal.line(f"      hint: {safe(one.hint)}")
    if server is not None:
        terminal.line("  ".join([words["failed"], "the NATS server", safe(server.code), safe(server.reason)]))
        terminal.line(f"      hint: {safe(advice(server.code))}")
