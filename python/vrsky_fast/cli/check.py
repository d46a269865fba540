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
from ..config.pipeline import advice
from ..config.summary import Connector
from ..control.connection import connect, endpoint_of
from ..control.durables import Owner
from ..control.presence import look_for_stream
from ..errors import ConfigError, NatsError, SecretError, VrskyError, error_for
from ..node import Profile, check_allow, check_free, check_open, check_secrets, parse_listen
from ..node.engine import Engine
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
    profile = Profile.of_one_machine(data, allow=allow, files_anywhere=files_anywhere)
    check_secrets(folder)
    check_allow(profile)
    engine = Engine.to_ask(profile)
    found = [finding for one in pipelines for finding in _connectors(one, engine, folder, server)]
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


def _connectors(
    one: config.PipelineFile, engine: Engine, folder: Path | None, server: nats.Server
) -> Iterator[Finding]:
    """What the node itself would find; a secret is named with the places it is looked for in."""
    values, missing = _resolve(one, folder)
    for row in engine.check(one, values):
        finding = Finding(one.customer, one.pipeline, row["direction"], row.get("name"), row["kind"], "ok")
        if not row["ok"]:
            named = set(_connector(one, finding).secrets)
            reasons = [missing[name] for name in sorted(named & missing.keys())]
            reason = "; ".join(reasons) if row["code"] == "secret/not-found" else row["reason"]
            finding.fail(error_for(row["code"], reason))
        elif finding.kind == "nats" and server.url is None:
            finding.state, finding.hint = "unchecked", "Name the server with --nats."
        yield finding


def _resolve(one: config.PipelineFile, folder: Path | None) -> tuple[dict[str, str], dict[str, str]]:
    """The values by name, and the reasons of those that have none."""
    values: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name in one.summary.secrets:
        try:
            values |= secrets.resolve(one.customer, {name}, folder)
        except SecretError as error:
            missing[name] = error.reason
    return values, missing


def _connector(one: config.PipelineFile, finding: Finding) -> Connector:
    if finding.direction == "in":
        return one.summary.source
    return next(out for out in one.summary.outs if out.name == finding.name)


def _listener(pipelines: Sequence[config.PipelineFile], listen: str, found: Sequence[Finding]) -> None:
    """Raises as `run` does when the address is none, or serves what has no `auth` beyond loopback."""
    with_http = [one for one in pipelines if one.summary.source.address is not None]
    if not with_http:
        return
    address = parse_listen(listen)
    check_open(with_http, address)
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
    needed = _connector(one, finding).jetstream
    if needed is None:
        return
    try:
        await look_for_stream(client, needed, Owner(one.customer, one.pipeline))
    except (NatsError, ConfigError) as error:
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
