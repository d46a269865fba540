"""The options that say which NATS server, and how it is trusted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..control.tls import Tls
from ..errors import error_for


@dataclass(frozen=True)
class Server:
    """The server named, if one is; `repr` shows no credentials."""

    url: str | None
    tls: Tls

    def __repr__(self) -> str:
        return "Server()"


def options(what: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Adds the options; the command gets them as `server`."""
    file = click.Path(path_type=Path)
    added = [
        click.option("--nats", metavar="URL", envvar="VRSKY_NATS", help=f"{what} Also from VRSKY_NATS."),
        click.option("--nats-ca", type=file, metavar="FILE", help="Authorities to believe instead of the system's."),
        click.option("--nats-cert", type=file, metavar="FILE", help="The client certificate, with its chain."),
        click.option("--nats-key", type=file, metavar="FILE", help="The key of --nats-cert."),
        click.option("--nats-tls-first", is_flag=True, help="TLS before INFO, for a server with handshake_first."),
    ]

    def wrap(function: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(function)
        def with_server(
            nats: str | None,
            nats_ca: Path | None,
            nats_cert: Path | None,
            nats_key: Path | None,
            nats_tls_first: bool,
            **rest: Any,
        ) -> int:
            return function(server=_server(nats, Tls(nats_ca, nats_cert, nats_key, nats_tls_first)), **rest)

        wrapped: Callable[..., int] = with_server
        for option in reversed(added):
            wrapped = option(wrapped)
        return wrapped

    return wrap


def _server(url: str | None, tls: Tls) -> Server:
    if url is None and tls.wanted:
        raise error_for("config/invalid-value", "--nats-ca, --nats-cert, --nats-key and --nats-tls-first need --nats")
    return Server(url, tls)
