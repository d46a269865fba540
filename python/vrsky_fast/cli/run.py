"""`vrsky run`: serve pipelines until Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from ..facts import DEFAULTS, MAX_THREADS, NODE_TYPES
from ..node import Profile, Settings, serve
from . import exit_codes, nats, variables
from .display import Display, JsonDisplay
from .log import Log

_HELP = """Serve the pipelines of PATH, a pipeline file or a folder of them, until Ctrl-C.

Files that cannot be served are reported and left out; the others run. Changed, new and removed files, their scripts
and secrets take effect while messages flow, and so does SIGHUP at once. What is broken leaves the earlier revision
running.

SIGUSR1 asks for the counters of all pipelines, or with --json for a line `stats` of them.

HTTP pipelines are served at /in/CUSTOMER/PATH; sockets that a supervisor gives by LISTEN_FDS, such as systemd, are used
in place of --listen. Without --nats an embedded nats-server keeps the messages
in the data folder. The first Ctrl-C drains and exits with 0, the second one ends at once.

\b
Examples:
  vrsky run orders.yaml
  vrsky run pipelines/ --listen 0.0.0.0:8080 --threads 2
  VRSKY_NATS=tls://user:password@nats.internal:4222 vrsky run orders.yaml
  vrsky run orders.yaml --nats tls://nats.internal:4222 --nats-ca ca.pem
  vrsky run orders.yaml --secrets /run/secrets --json | jq .kind
  vrsky run pipelines/ --strict --no-watch
  vrsky run pipelines/ --var ERP=https://erp.internal --var REGION=eu
  vrsky run pipelines/ --allow 10.1.0.0/16 --allow 192.168.7.20
  vrsky run pipelines/ --metrics 0.0.0.0:9100
  vrsky run pipelines/ --nats nats://nats:4222 --type logic --type outgoing
"""


@click.command(name="run", help=_HELP)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--listen",
    default="127.0.0.1:8080",
    show_default=True,
    metavar="IP:PORT",
    help="Where HTTP pipelines are served.",
)
@nats.options("A running NATS server instead of the embedded one.")
@click.option(
    "--data",
    default=".vrsky",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where messages and file outs are kept.",
)
@click.option(
    "--threads",
    default=DEFAULTS.threads,
    show_default=True,
    type=click.IntRange(1, MAX_THREADS),
    help="Shards, one thread each.",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    type=click.Choice(NODE_TYPES),
    help="Serve this part of the way only; may be repeated. Needs --nats, and other nodes for the rest.",
)
@click.option(
    "--replicas",
    type=click.Choice(("1", "3", "5")),
    callback=lambda _context, _option, value: value and int(value),
    help="How many servers of the cluster hold each stream. Needs --nats; left out, streams stay as they are.",
)
@click.option("--secrets", type=click.Path(path_type=Path), metavar="DIR", help="Secrets as files DIR/CUSTOMER/NAME.")
@click.option(
    "--allow",
    multiple=True,
    metavar="NETWORK",
    help="Let outgoing HTTP reach this address or network, such as 10.0.0.0/8, though it is not public; may be"
    " repeated. A metadata service, such as 169.254.169.254, has to be named by its own address.",
)
@click.option(
    "--files-anywhere",
    is_flag=True,
    help="Let file outs name absolute paths: any file that this process may write, other customers' too. Without it"
    " a customer's files are below files/CUSTOMER in the data folder.",
)
@click.option(
    "--metrics",
    metavar="IP:PORT",
    help="Where /metrics for Prometheus, /livez and /readyz are served, to whoever reaches it.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="Take the place of the run on the same data folder, if there is one: it hands over the sockets it listens on,"
    " drains and ends, and no connection is refused meanwhile.",
)
@variables.option
@click.option("--strict", is_flag=True, help="Start only when every file can be served.")
@click.option(
    "--watch/--no-watch", default=True, help="Whether changed, new and removed files take effect while it runs."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
def command(
    path: Path,
    listen: str,
    server: nats.Server,
    data: Path,
    threads: int,
    types: tuple[str, ...],
    secrets: Path | None,
    allow: tuple[str, ...],
    files_anywhere: bool,
    metrics: str | None,
    take_over: bool,
    given: dict[str, str],
    replicas: int | None,
    strict: bool,
    watch: bool,
    as_json: bool,
) -> int:
    profile = Profile.of_one_machine(data, listen, threads, types or NODE_TYPES, allow, files_anywhere, replicas)
    settings = Settings(
        data,
        profile,
        server.url,
        server.tls,
        secrets,
        strict,
        watch,
        given,
        access=server.access,
        metrics=metrics,
        take_over=take_over,
    )
    with Log(sys.stdout if as_json else sys.stderr) as log:
        display = JsonDisplay(log) if as_json else Display(log, data / "files")
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(path, settings, display))
        display.end()
    return exit_codes.OK


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
