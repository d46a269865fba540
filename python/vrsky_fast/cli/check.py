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
from ..errors import ConfigError, NatsError, SecretError, VrskyError, error_for
from ..node import Settings, check_allow, check_free, check_listen, check_secrets, node_to_ask
from . import exit_codes, nats
from .terminal import Terminal, safe

_HELP = """Look whether every in and out of PATHS, files or folders, would work here. No message is sent,
nothing is made.

Secrets have to be defined, addresses allowed and reachable, folders of files writable; with --nats, the
server and the streams have to be there; with --listen, the address has to be free. Exit code 0: all of it
is so. 1: a pipeline file is wrong. 3: something is missing or cannot be reached.

\b
Examples:
  vrsky check orders.yaml
  vrsky check pipelines/ --secrets /run/secrets --json
  VRSKY_NATS=nats://user:password@127.0.0.1:4222 vrsky check pipelines/
  vrsky check pipelines/ --nats tls://nats.internal:4222 --nats-ca ca.pem
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

    def fail(self, error: VrskyError) -> None:
        self.state, self.code, self.reason = "failed", error.code, error.reason
        self.hint = advice(error.code) or None


@click.command(name="check", help=_HELP)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--listen", metavar="IP:PORT", help="As for `run`; by default the address is not looked at.")
@nats.options("The NATS server that pipelines will run on.")
@click.option("--data", default=".vrsky", show_default=True, type=click.Path(path_type=Path), help="As for `run`.")
@click.option("--secrets", "folder", type=click.Path(path_type=Path), metavar="DIR", help="As for `run`.")
@click.option("--allow", multiple=True, metavar="NETWORK", help="As for `run`; may be repeated.")
@click.option("--files-anywhere", is_flag=True, help="As for `run`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    paths: tuple[Path, ...],
    listen: str | None,
    server: nats.Server,
    data: Path,
    folder: Path | None,
    allow: tuple[str, ...],
    files_anywhere: bool,
    as_json: bool,
) -> int:
    pipelines = [one for path in paths for one in config.load_all(path)]
    settings = Settings(
        data, nats=server.url, secrets=folder, tls=server.tls, allow=allow, files_anywhere=files_anywhere
    )
    check_secrets(settings)
    check_allow(settings)
    found = [finding for one in pipelines for finding in _connectors(one, settings)]
    if listen is not None:
        _listener(pipelines, listen, found)
    away = asyncio.run(_streams(server, pipelines, found))
    ok = not any(one.state == "failed" for one in found) and away is None
    if as_json:
        report: dict[str, Any] = {"ok": ok, "connectors": [asdict(one) for one in found]}
        if away is not None:
            report["nats"] = {"code": away.code, "reason": away.reason, "hint": advice(away.code) or None}
        click.echo(json.dumps(report))
    else:
        _show(Terminal(sys.stdout), found, away)
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
            reason = "; ".join(reasons) if row["code"] == "secret/not-found" else row["reason"]
            finding.fail(error_for(row["code"], reason))
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


def _listener(pipelines: Sequence[config.PipelineFile], listen: str, found: Sequence[Finding]) -> None:
    """Raises as `run` does when the address is none, or serves what has no `auth` beyond loopback."""
    address = check_listen(pipelines, listen)
    if address is None:
        return
    try:
        check_free(address)
    except ConfigError as error:
        for finding in found:
            if (finding.direction, finding.kind, finding.state) == ("in", "http", "ok"):
                finding.fail(error)


async def _streams(
    server: nats.Server, pipelines: Sequence[config.PipelineFile], found: Sequence[Finding]
) -> NatsError | None:
    """Asks the server for the streams of NATS connectors; the error when there is no asking."""
    if server.url is None:
        return None
    files = {(one.customer, one.pipeline): one for one in pipelines}
    asked = [finding for finding in found if finding.kind == "nats" and finding.state == "ok"]
    try:
        async with connect(endpoint_of(server.url, server.tls)) as client:
            for finding in asked:
                await _stream(client, files[finding.customer, finding.pipeline], finding)
    except NatsError as error:
        for finding in asked:
            finding.fail(error)
        return error
    return None


async def _stream(client: Client, one: config.PipelineFile, finding: Finding) -> None:
    try:
        await look_for_stream(client, finding.direction, _options(one, finding))
    except NatsError as error:
        finding.fail(error)


def _show(terminal: Terminal, found: Sequence[Finding], away: NatsError | None) -> None:
    words = {"ok": terminal.good("ok  "), "failed": terminal.bad("FAIL"), "unchecked": terminal.warning("?   ")}
    for one in found:
        place = one.direction if one.name is None else f"{one.direction} {one.name}"
        said = [one.code, one.reason] if one.code else []
        parts = [f"{one.customer}/{one.pipeline}", place, one.kind, *said]
        terminal.line("  ".join([words[one.state], *(safe(part) for part in parts)]))
        if one.hint:
            terminal.line(f"      hint: {safe(one.hint)}")
    if away is not None:
        terminal.line("  ".join([words["failed"], "the NATS server", safe(away.code), safe(away.reason)]))
        terminal.line(f"      hint: {safe(advice(away.code))}")
