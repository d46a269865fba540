"""`vrsky node`: serve what the bucket vrsky_pipelines says, until a signal."""

from __future__ import annotations

import click

from .._native import is_name
from ..node import of_bucket
from . import nats, serving

_HELP = """Serve the pipelines that `vrsky apply` has written to a NATS server, until Ctrl-C.

With TYPEs it serves these parts of the way alone, and other nodes the rest: incoming, logic and outgoing, or with
`topology=split` converter and filter in the place of logic.

A node needs no files: it reads the KV bucket vrsky_pipelines, watches it, and says in vrsky_nodes what it runs. It
makes both where they are missing. A changed pipeline takes effect between two batches; one that cannot be served is
reported, and leaves its earlier revision running. So does it follow the settings of the deployment, which `vrsky
settings` changes. While the server or the bucket is away, what runs goes on.

Secrets are looked up on the node; the bucket holds their names. SIGHUP reads bucket and secrets again. The first
Ctrl-C drains and exits with 0, the second one ends at once.

\b
Examples:
  VRSKY_NATS=tls://node:password@nats.internal:4222 vrsky node
  vrsky node --nats nats://nats:4222 --listen 0.0.0.0:8080 --secrets /run/secrets
  vrsky node logic outgoing --nats nats://nats:4222
  vrsky settings set customers.acme.lanes=own && vrsky node --customer acme --data /var/lib/vrsky-acme
"""


@click.command(name="node", help=_HELP)
@serving.options("The NATS server that holds the bucket.", allow_loopback=False, follows=True)
@click.option(
    "--customer",
    metavar="NAME",
    help="Serve this customer alone, from lanes of its own, once `vrsky settings` says that it has such; without it all"
    " customers that share lanes.",
)
def command(asked: serving.Asked, customer: str | None) -> int:
    nats.required(asked.settings.nats)
    if customer is not None and not is_name(customer):
        raise click.BadParameter(f"{customer!r} is no name of a customer", param_hint="--customer")
    return asked.of_customer(customer).serve(of_bucket(customer))
