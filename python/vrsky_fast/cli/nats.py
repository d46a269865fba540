"""The options that say which NATS server, how it is trusted, and where its JetStream is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..control.access import AS_USUAL, Access
from ..control.tls import Tls
from ..errors import error_for


@dataclass(frozen=True)
class Server:
    """The server named, if one is, or several of a cluster; `repr` shows no credentials."""

    url: str | None
    tls: Tls
    access: Access

    def __repr__(self) -> str:
        return "Server()"


def options(what: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Adds the options; the command gets them as `server`."""
    file = click.Path(path_type=Path)
    creds, nkey = "The user's JWT and seed, as nsc writes them.", "The seed of the user's NKey."
    added = [
        click.option(
            "--nats",
            metavar="URL",
            envvar="VRSKY_NATS",
            help=f"{what} Servers of a cluster have commas between them. Also from VRSKY_NATS.",
        ),
        click.option("--nats-ca", type=file, metavar="FILE", help="Authorities to believe instead of the system's."),
        click.option("--nats-cert", type=file, metavar="FILE", help="The client certificate, with its chain."),
        click.option("--nats-key", type=file, metavar="FILE", help="The key of --nats-cert."),
        click.option("--nats-tls-first", is_flag=True, help="TLS before INFO, for a server with handshake_first."),
        _from_environment("--nats-creds", "VRSKY_NATS_CREDS", creds, type=file, metavar="FILE"),
        _from_environment("--nats-nkey", "VRSKY_NATS_NKEY", nkey, type=file, metavar="FILE"),
        click.option("--nats-no-discovery", is_flag=True, help="Use only the servers named, not those they tell of."),
        click.option("--nats-domain", metavar="NAME", help="JetStream's domain, where it is not the server's own."),
        click.option("--nats-api-prefix", metavar="PREFIX", help="What JetStream's API begins with, if not $JS.API."),
    ]

    def wrap(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def with_server(
            nats: str | None,
            nats_ca: Path | None,
            nats_cert: Path | None,
            nats_key: Path | None,
            nats_tls_first: bool,
            nats_creds: Path | None,
            nats_nkey: Path | None,
            nats_no_discovery: bool,
            nats_domain: str | None,
            nats_api_prefix: str | None,
            **rest: Any,
        ) -> int:
            tls = Tls(nats_ca, nats_cert, nats_key, nats_tls_first)
            access = Access(nats_creds, nats_nkey, not nats_no_discovery, nats_domain, nats_api_prefix)
            return function(server=_server(nats, tls, access), **rest)

        wrapped: Callable[..., int] = with_server
        for option in reversed(added):
            wrapped = option(wrapped)
        return wrapped

    return wrap


def replicas(what: str, more: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Adds --replicas, for `what` of the cluster."""
    return click.option(
        "--replicas",
        type=click.Choice(("1", "3", "5")),
        callback=lambda _context, _option, value: value and int(value),
        help=f"How many servers of the cluster hold {what}. {more}",
    )


def required(url: str | None) -> str:
    """The address. Raises UsageError where none is named."""
    if url is None:
        raise click.UsageError("it needs a NATS server: name it with --nats URL, or in VRSKY_NATS")
    return url


def _from_environment(name: str, variable: str, what: str, **more: Any) -> Callable[[Callable[..., int]], Any]:
    return click.option(name, envvar=variable, help=f"{what} Also from {variable}.", **more)


def _server(url: str | None, tls: Tls, access: Access) -> Server:
    if url is None and (tls.wanted or access != AS_USUAL):
        raise error_for("config/invalid-value", "the options that begin with --nats- need --nats")
    access.check()
    return Server(url, tls, access)
