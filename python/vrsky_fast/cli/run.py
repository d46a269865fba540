"""`vrsky run`: serve pipelines until Ctrl-C."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ..node import of_folder
from . import serving, variables

_HELP = """Serve the pipelines of PATH, a pipeline file or a folder of them, until Ctrl-C.

Files that cannot be served are reported and left out; the others run. Changed, new and removed files, their scripts
and secrets take effect while messages flow, and so does SIGHUP at once. What is broken leaves the earlier revision
running.

SIGUSR1 asks for the counters of all pipelines, or with --json for a line `stats` of them.

HTTP pipelines are served at /in/CUSTOMER/PATH; sockets that a supervisor gives by LISTEN_FDS, such as systemd, are used
in place of --listen. Without --nats an embedded nats-server keeps the messages in the data folder. The first Ctrl-C
drains and exits with 0, the second one ends at once.

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
  vrsky run pipelines/ --nats nats://nats:4222 --topology split --type converter
"""


@click.command(name="run", help=_HELP)
@click.argument("path", type=click.Path(path_type=Path))
@serving.options("A running NATS server instead of the embedded one.", allow_loopback=True)
@variables.option
@click.option("--strict", is_flag=True, help="Start only when every file can be served.")
@click.option(
    "--watch/--no-watch", default=True, help="Whether changed, new and removed files take effect while it runs."
)
def command(path: Path, asked: serving.Asked, given: dict[str, str], strict: bool, watch: bool) -> int:
    settings = replace(asked.settings, strict=strict, watch=watch, given=given)
    return replace(asked, settings=settings).serve(of_folder(path))
