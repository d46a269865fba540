"""`vrsky check`: which pipelines a run would serve, and whether their connectors would work, before anything runs."""

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
from ..control.server_config import MAX_PAYLOAD
from ..errors import ConfigError, NatsError, SecretError, VrskyError, error_for
from ..facts import Ceilings
from ..node import Profile, Settings, check_free, checked, reconcile
from ..node.engine import Engine
from ..node.pipelines import is_about_files
from ..node.preview import preview
from . import ceilings, exit_codes, nats, variables
from .terminal import Terminal, safe

_HELP = """Look whether `run` would serve PATHS, files or folders, and whether every in and out would work here. No
message is sent, nothing is made.

Files that `run` would leave out are reported with all of their problems: what is wrong in them, or in conflict with
another file of PATHS, or not allowed here, or missing. The connectors of every file that compiles are looked at.

Secrets have to be defined, addresses allowed and reachable, folders of files writable; with --nats, the
server and the streams have to be there; with --listen, the address has to be free. Exit code 0: all of it
is so. 1: a file would be left out for what it says, whatever else there is. 3: something is missing or cannot
be reached, such as a secret, and that is all.

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
@ceilings.options
@variables.option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    paths: tuple[Path, ...],
    listen: str | None,
    server: nats.Server,
    data: Path,
    folder: Path | None,
    allow: tuple[str, ...],
    files_anywhere: bool,
    ceilings: Ceilings,
    given: dict[str, str],
    as_json: bool,
) -> int:
    allowed = Profile.of_process(data, listen, allow=allow, files_anywhere=files_anywhere, ceilings=ceilings)
    settings = Settings(data, allowed, server.url, server.tls, folder, given=given, access=server.access)
    report = asyncio.run(_look(paths, settings, checked(settings), server))
    if as_json:
        click.echo(json.dumps(report.as_json()))
    else:
        _show(Terminal(sys.stdout), report)
    if is_about_files(problem for one in report.not_served for problem in one.problems):
        return exit_codes.FINDINGS
    return exit_codes.OK if report.is_ok else exit_codes.ENVIRONMENT


@dataclass
class _Report:
    """`away` is why the server that was named cannot be asked."""

    not_served: tuple[reconcile.Finding, ...]
    found: list[Finding]
    away: NatsError | None

    @property
    def is_ok(self) -> bool:
        return not self.not_served and self.away is None and all(one.state != "failed" for one in self.found)

    def as_json(self) -> dict[str, Any]:
        not_served = [one.as_json() for one in self.not_served]
        told: dict[str, Any] = {"ok": self.is_ok, "not_served": not_served}
        told["connectors"] = [asdict(one) for one in self.found]
        if self.away is not None:
            code = self.away.code
            told["nats"] = {"code": code, "reason": self.away.reason, "hint": advice(code) or None}
        return told


async def _look(paths: Sequence[Path], settings: Settings, profile: Profile, server: nats.Server) -> _Report:
    max_payload, away = await _max_payload(server)
    engine = Engine.to_ask(profile, max_payload)
    expected = await preview(paths, settings.secrets, profile, engine, settings.given)
    pipelines = expected.pipelines
    found = [finding for one in pipelines for finding in _connectors(one, engine, settings.secrets, server)]
    if profile.listen is not None:
        _listener(profile.listen, _through("listener", pipelines, found))
    # The server has to say something about them.
    asked = _through("nats", pipelines, found)
    if away is None:
        away = await _streams(server, pipelines, asked)
    else:
        for finding in asked:
            finding.fail(away)
    refused = [] if away else [one for one in asked if (one.direction, one.state) == ("in", "failed")]
    return _Report(_and_refused(expected.findings, pipelines, refused), found, away)


def _and_refused(
    findings: Sequence[reconcile.Finding], pipelines: Sequence[config.PipelineFile], refused: Sequence[Finding]
) -> tuple[reconcile.Finding, ...]:
    """`findings` and the files whose in the server refuses: a run leaves them out, while an out is tried again."""
    problems = {one.path: one.problems for one in findings}
    files = _by_name(pipelines)
    for one in refused:
        file = files[one.customer, one.pipeline]
        # What is wrong in a file is its durable, which another customer has.
        beside = "/durable" if (one.code or "").startswith("config/") else ""
        problem = file.problem(one.code or "", one.reason or "", file.summary.source.pointer + beside)
        problems[problem.file] = (*problems.get(problem.file, ()), problem)
    return tuple(reconcile.Finding(path, told) for path, told in problems.items())


def _by_name(pipelines: Sequence[config.PipelineFile]) -> dict[tuple[str, str], config.PipelineFile]:
    return {(one.customer, one.pipeline): one for one in pipelines}


async def _max_payload(server: nats.Server) -> tuple[int | None, NatsError | None]:
    """Of the server that a run would use; or why it does not answer."""
    if server.url is None:
        return MAX_PAYLOAD, None
    try:
        async with connect(endpoint_of(server.url, server.tls, server.access)) as client:
            return client.max_payload, None
    except NatsError as error:
        return None, error


def _connectors(
    one: config.PipelineFile, engine: Engine, folder: Path | None, server: nats.Server
) -> Iterator[Finding]:
    """What the node itself would find; a secret is named with the places it is looked for in."""
    values, missing = _resolve(one, folder)
    for row in engine.check(one, values):
        finding = Finding(one.customer, one.pipeline, row["direction"], row.get("name"), row["kind"], "ok")
        connector = _connector(one, finding)
        if not row["ok"]:
            named = set(connector.secrets)
            reasons = [missing[name] for name in sorted(named & missing.keys())]
            if row["code"] == "secret/not-found":
                finding.fail(error_for(reasons[0].code, "; ".join(one.reason for one in reasons)))
            else:
                finding.fail(error_for(row["code"], row["reason"]))
        elif server.url is None and connector.through == "nats":
            finding.state, finding.hint = "unchecked", "Name the server with --nats."
        yield finding


def _resolve(one: config.PipelineFile, folder: Path | None) -> tuple[dict[str, str], dict[str, SecretError]]:
    """The values by name, and what is wrong with those that have none."""
    values: dict[str, str] = {}
    missing: dict[str, SecretError] = {}
    for name in one.summary.secrets:
        try:
            values |= secrets.resolve(one.customer, {name}, folder)
        except SecretError as error:
            missing[name] = error
    return values, missing


def _connector(one: config.PipelineFile, finding: Finding) -> Connector:
    if finding.direction == "in":
        return one.summary.source
    return next(out for out in one.summary.outs if out.name == finding.name)


def _through(through: str, pipelines: Sequence[config.PipelineFile], found: Sequence[Finding]) -> list[Finding]:
    """Those that are well so far and are served through that."""
    files = _by_name(pipelines)
    good = [one for one in found if one.state == "ok"]
    return [one for one in good if _connector(files[one.customer, one.pipeline], one).through == through]


def _listener(listen: str, served: Sequence[Finding]) -> None:
    if not served:
        return
    try:
        check_free(listen)
    except ConfigError as error:
        for finding in served:
            finding.fail(error)


async def _streams(
    server: nats.Server, pipelines: Sequence[config.PipelineFile], asked: Sequence[Finding]
) -> NatsError | None:
    """Asks the server for the streams of NATS connectors; the error when there is no asking."""
    if server.url is None:
        return None
    files = _by_name(pipelines)
    try:
        async with connect(endpoint_of(server.url, server.tls, server.access)) as client:
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


def _show(terminal: Terminal, report: _Report) -> None:
    for left_out in report.not_served:
        terminal.problems(left_out.problems)
        terminal.line(f"{terminal.warning('not served')}  {safe(left_out.path)}")
    words = {"ok": terminal.good("ok  "), "failed": terminal.bad("FAIL"), "unchecked": terminal.warning("?   ")}
    for one in report.found:
        place = one.direction if one.name is None else f"{one.direction} {one.name}"
        said = [one.code, one.reason] if one.code else []
        parts = [f"{one.customer}/{one.pipeline}", place, one.kind, *said]
        terminal.line("  ".join([words[one.state], *(safe(part) for part in parts)]))
        if one.hint:
            terminal.line(f"      hint: {safe(one.hint)}")
    if report.away is not None:
        code, reason = report.away.code, report.away.reason
        terminal.line("  ".join([words["failed"], "the NATS server", safe(code), safe(reason)]))
        terminal.line(f"      hint: {safe(advice(code))}")
