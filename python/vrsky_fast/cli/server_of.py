"""The NATS server of a command that looks at streams: the one named, or that of a data folder."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import click
from nats.aio.client import Client

from ..control import served, server_config
from ..control.connection import connect, endpoint_of
from ..control.lock import FOR_A_MOMENT, DataFolder, on_disk
from ..control.served import Serving
from ..control.server import Server
from ..errors import error_for
from . import nats
from .terminal import Terminal


def options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds --nats, --data and --json; the command gets them as `server`, `data` and `as_json`."""
    folder = click.Path(path_type=Path)
    data = click.option(
        "--data", default=".vrsky", show_default=True, type=folder, help="The data folder of `vrsky run`."
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
    return nats.options("A running NATS server.")(data(as_json(function)))


@asynccontextmanager
async def client_of(named: nats.Server, data: Path) -> AsyncIterator[Client]:
    """A connection to --nats, to the running server of the data folder, or to one started for this."""
    if named.url is not None:
        async with connect(endpoint_of(named.url, named.tls, named.access)) as client:
            yield client
        return
    with on_disk(data):
        is_one = (data / "jetstream").is_dir()
    if not is_one:
        raise error_for("config/data-folder-unusable", f"{data} is no data folder of `vrsky run`")
    folder = DataFolder(data)
    if not folder.try_lock(FOR_A_MOMENT):
        recorded = server_config.recall(server_config.Layout(folder.path))
        if recorded is None:
            raise error_for("config/data-folder-in-use", f"{data} is in use, and its server is not up yet")
        async with connect(recorded[1]) as client:
            yield client
        return
    server = Server(folder.path)
    try:
        async with connect(await server.start()) as client:
            yield client
    finally:
        await server.stop()
        folder.unlock()


def known(named: nats.Server, data: Path) -> Serving | None:
    """What a run on this data folder serves, or served last, on that server; None when that is not known."""
    return served.read(data, None if named.url is None else endpoint_of(named.url).url)


def agrees(question: str, doing: str, done: str) -> bool:
    """Asks on the terminal, and says so when nothing was `done`. `doing` is what --yes does without asking. Call it
    before there is a connection: a run waits for those who use its data folder."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"there is no terminal to ask on; --yes {doing} without asking")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    Terminal(sys.stderr).line(f"nothing was {done}")
    return False
