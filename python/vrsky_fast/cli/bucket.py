"""What the commands on the buckets of nodes share: their options, their connection, and names on the command
line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import click
from nats.aio.client import Client

from .._native import is_name
from ..control.connection import connect, endpoint_of
from ..control.identity import login, user_of
from . import nats

_NOTE_CHARACTERS = 200


def options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds --nats, those that go with it, and --json."""
    as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
    return nats.options("The NATS server that holds the bucket.")(as_json(function))


def writing(what: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Adds the options of a command that changes the bucket: --yes does `what` without asking."""
    added: list[Callable[[Any], Any]] = [
        click.option("--yes", is_flag=True, help=f"{what} without asking."),
        click.option(
            "--wait",
            "seconds",
            default=30.0,
            show_default=True,
            type=click.FloatRange(0, 3600),
            metavar="SECONDS",
            help="How long to wait for the nodes; 0 for not at all.",
        ),
        click.option("--note", default="", metavar="TEXT", help="Why, for the history."),
    ]

    def wrap(function: Callable[..., int]) -> Callable[..., int]:
        for option in reversed(added):
            function = option(function)
        return function

    return wrap


@asynccontextmanager
async def client_of(server: nats.Server) -> AsyncIterator[Client]:
    """A connection to the server that is named. Raises UsageError where none is, and NatsError."""
    async with connect(endpoint_of(nats.required(server.url), server.tls, server.access)) as client:
        yield client


async def author(client: Client, note: str) -> tuple[str, str]:
    """The user as the server knows it, and a note that ends with the login here."""
    text = note.strip()[:_NOTE_CHARACTERS]
    return await user_of(client), f"{text} ({login()})" if text else login()


def key_of(text: str) -> str:
    """The key of CUSTOMER/PIPELINE. Raises UsageError."""
    customer, slash, pipeline = text.partition("/")
    if not slash or not is_name(customer) or not is_name(pipeline):
        raise click.UsageError(f"{text!r} is no CUSTOMER/PIPELINE, such as acme/orders")
    return f"{customer}.{pipeline}"
