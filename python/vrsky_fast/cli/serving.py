"""What `vrsky run` and `vrsky node` share: the options of a node, and how it is run and shown."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..config import InvalidConfig
from ..errors import VrskyError
from ..facts import DEFAULTS, MAX_THREADS, NODE_TYPES, TOPOLOGIES
from ..node import MakeOrigin, Settings, serve
from . import exit_codes, nats
from .display import Display, JsonDisplay
from .json_log import JsonLog
from .log import Log


def options(what: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Adds them; `what` says what --nats is for."""
    path = click.Path(path_type=Path)
    added: list[Callable[[Any], Any]] = [
        click.option(
            "--listen",
            default="127.0.0.1:8080",
            show_default=True,
            metavar="IP:PORT",
            help="Where HTTP pipelines are served.",
        ),
        nats.options(what),
        click.option(
            "--data", default=".vrsky", show_default=True, type=path, help="Where messages and file outs are kept."
        ),
        click.option(
            "--threads",
            default=DEFAULTS.threads,
            show_default=True,
            type=click.IntRange(1, MAX_THREADS),
            help="Shards, one thread each.",
        ),
        click.option(
            "--topology",
            type=click.Choice(tuple(TOPOLOGIES)),
            default=DEFAULTS.topology,
            show_default=True,
            help="Whether all steps of a message are run in one go, or each row of steps of one kind from lanes of its"
            " own, by the node types converter and filter. The same for all nodes of a deployment.",
        ),
        click.option(
            "--type",
            "types",
            multiple=True,
            type=click.Choice(NODE_TYPES),
            help="Serve this part of the way only; may be repeated. Needs --nats, and other nodes for the rest.",
        ),
        click.option(
            "--replicas",
            type=click.Choice(("1", "3", "5")),
            callback=lambda _context, _option, value: value and int(value),
            help="How many servers of the cluster hold each stream. Needs --nats; left out, streams stay as they are.",
        ),
        click.option("--secrets", type=path, metavar="DIR", help="Secrets as files DIR/CUSTOMER/NAME."),
        click.option(
            "--allow",
            multiple=True,
            metavar="NETWORK",
            help="Let outgoing HTTP reach this address or network, such as 10.0.0.0/8, though it is not public; may be"
            " repeated. A metadata service, such as 169.254.169.254, has to be named by its own address.",
        ),
        click.option(
            "--files-anywhere",
            is_flag=True,
            help="Let file outs name absolute paths: any file that this process may write, other customers' too."
            " Without it a customer's files are below files/CUSTOMER in the data folder.",
        ),
        click.option(
            "--metrics",
            metavar="IP:PORT",
            help="Where /metrics for Prometheus, /livez and /readyz are served, to whoever reaches it.",
        ),
        click.option(
            "--take-over",
            is_flag=True,
            help="Take the place of the run on the same data folder, if there is one: it hands over the sockets it"
            " listens on, drains and ends, and no connection is refused meanwhile.",
        ),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output."),
        click.option(
            "--log-format",
            type=click.Choice(("text", "json")),
            default="text",
            show_default=True,
            help="What is written to standard error: text for people, or one JSON object a line for a collector of"
            " logs. Not with --json, which has everything on standard output.",
        ),
    ]

    def wrap(function: Callable[..., int]) -> Callable[..., int]:
        wrapped = function
        for option in reversed(added):
            wrapped = option(wrapped)
        return wrapped

    return wrap


def served(make: MakeOrigin, settings: Settings, as_json: bool, log_format: str) -> int:
    """Runs a node until it ends in order."""
    if as_json and log_format == "json":
        raise click.UsageError("--json and --log-format json are two ways to be told the same: choose one")
    with Log(sys.stdout if as_json else sys.stderr) as log:
        display = _display(log, as_json, log_format, settings.profile.files)
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(serve(make, settings, display))
        except VrskyError as error:
            if not isinstance(display, JsonLog):
                raise
            return _log_failure(display, error)
        display.end()
    return exit_codes.OK


def _display(log: Log, as_json: bool, log_format: str, files: Path) -> Display | JsonDisplay | JsonLog:
    if as_json:
        return JsonDisplay(log)
    return JsonLog(log) if log_format == "json" else Display(log, files)


def _log_failure(display: JsonLog, error: VrskyError) -> int:
    """A collector of logs reads no text for people."""
    for problem in error.problems if isinstance(error, InvalidConfig) else ():
        display.failed(problem.code, f"{problem.place}: {problem.reason}")
    if not isinstance(error, InvalidConfig):
        display.failed(error.code, error.reason)
    return exit_codes.of(error)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
