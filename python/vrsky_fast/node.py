"""One node from start to drain: server, streams, pipelines, signals.

    lock ─► server (or --nats) ─► provision ─► install ─► start ─► watch ... signal ─► drain ─► stop

The first SIGINT or SIGTERM drains: no new messages, those in hand are finished, the rest stays in its
stream and goes on at the next start. The second one ends the process at once, which loses nothing
either, but lets the next start deliver some messages again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from nats.aio.client import Client

from . import _native
from .config import InvalidConfig, PipelineFile
from .config.secrets import resolve
from .control import served, streams
from .control.connection import connect, endpoint_of
from .control.lock import DataFolder
from .control.provision import consumer_of_source, provision, share
from .control.served import Served, Serving
from .control.server import Server
from .control.server_config import Endpoint
from .control.tls import AS_THE_SERVER_SAYS, Tls
from .errors import ConfigError, VrskyError, error_for

DRAIN_SECONDS = 20.0
POLL_SECONDS = 0.25
# Between two looks at how much room the disk has.
SHARE_SECONDS = 30.0
FORCED = 130
NODE_TYPES = ("incoming", "logic", "outgoing")


@dataclass(frozen=True)
class Settings:
    """What `vrsky run` takes. `nats` names a running server; without it one is started in `data`. `types`
    is what of a message's way this node serves, some of `NODE_TYPES`; `tls` is for `nats`. `allow` names
    networks that outgoing HTTP may reach though they are not public. With `files_anywhere` file outs may name
    absolute paths; without it each customer's files are below its own folder, `data`/files/CUSTOMER."""

    data: Path
    listen: str = "127.0.0.1:8080"
    nats: str | None = None
    threads: int = 1
    secrets: Path | None = None
    types: Sequence[str] = NODE_TYPES
    tls: Tls = AS_THE_SERVER_SAYS
    allow: Sequence[str] = ()
    files_anywhere: bool = False


class Watcher(Protocol):
    """Who is told what happens; called on the event loop, and never blocks for long."""

    def note(self, text: str) -> None:
        """Something about the node itself, for people."""

    def ready(self, base: str | None) -> None:
        """Messages flow. `base` is the address of HTTP pipelines, such as http://127.0.0.1:8080."""

    def poll(self, stats: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
        """A few times a second: the counters of every pipeline, and what happened since."""


async def serve(pipelines: Sequence[PipelineFile], settings: Settings, watcher: Watcher) -> None:
    """Returns after a drain. Raises ConfigError, SecretError or NatsError before anything flows, and
    NatsError when the embedded server does not stay up."""
    check_types(settings)
    check_secrets(settings)
    check_allow(settings)
    check_files(pipelines, settings)
    listen = check_listen(pipelines, settings.listen) if "incoming" in settings.types else None
    secrets = [resolve(one.customer, one.secrets, settings.secrets) for one in pipelines]
    with DataFolder(settings.data) as data:
        async with _signals() as stop, _server(settings, data.path, watcher, stop) as (endpoint, server):
            await _provision(endpoint, pipelines, server, watcher)
            for text in files_of_before(pipelines, data.files) if "outgoing" in settings.types else ():
                watcher.note(text)
            node = _native.Node(_config(endpoint, listen, settings, data.files))
            for one, values in zip(pipelines, secrets, strict=True):
                node.install(one.json, one.scripts, values)
            _record(data.path, None if server else endpoint.url, pipelines)
            await asyncio.to_thread(node.start)
            await _watch(node, server, watcher, stop)


def _record(data: Path, nats: str | None, pipelines: Sequence[PipelineFile]) -> None:
    """For commands that look at the streams beside the run."""
    served.write(data, nats, Serving.of(Served.of(one.model, one.outs) for one in pipelines))


def check_types(settings: Settings) -> None:
    """A part of the way needs somebody for the rest: raises ConfigError where nobody could be."""
    if settings.nats is None and set(settings.types) != set(NODE_TYPES):
        reason = "--type needs --nats: only this process knows the embedded server, and nobody would do the rest"
        raise error_for("config/invalid-value", reason)


def check_secrets(settings: Settings) -> None:
    """A folder that is misspelt would look like one without secrets: raises SecretError."""
    if settings.secrets is None:
        return
    try:
        is_there = settings.secrets.is_dir()
    except OSError:
        is_there = False  # behind a folder that may not be entered
    if not is_there:
        raise error_for("secret/not-found", f"the folder of secrets {settings.secrets} is not there")


def check_allow(settings: Settings) -> None:
    """Raises ConfigError when what is allowed is no network, as the core reads them."""
    try:
        node_to_ask(settings)
    except ConfigError as error:
        raise error_for(error.code, f"--allow: {error.reason}") from None


def check_files(pipelines: Sequence[PipelineFile], settings: Settings) -> None:
    """An absolute path leads to every customer's files: raises InvalidConfig naming each, unless they are allowed."""
    if settings.files_anywhere or "outgoing" not in settings.types:
        return
    reason = "the path is absolute; a customer's files are below its own folder"
    problems = [
        one.problem("file/outside", reason, pointer)
        for one in pipelines
        for pointer, path in one.file_outs
        if path.is_absolute()
    ]
    if problems:
        raise InvalidConfig(problems)


def files_of_before(pipelines: Sequence[PipelineFile], files: Path) -> Iterator[str]:
    """What customers' outs have written before each customer had a folder of its own: one note for each file."""
    customers = {one.customer for one in pipelines}
    for one in pipelines:
        for _, path in one.file_outs:
            before = files / path
            if not path.is_absolute() and path.parts[0] not in customers and before.is_file():
                now = files / one.customer / path
                yield f"{one.customer}/{one.pipeline} writes {now}; what it wrote before is in {before}"


def check_listen(pipelines: Sequence[PipelineFile], listen: str) -> str | None:
    """The address as IP:port; None when no pipeline has HTTP in. A route without `auth` must not be
    reachable from elsewhere: raises InvalidConfig naming each."""
    with_http = [one for one in pipelines if "http" in one.model["in"]]
    if not with_http:
        return None
    host, _, port = listen.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        address = ipaddress.ip_address(host)
        if not 0 <= int(port) <= 65535:
            raise ValueError
    except ValueError:
        reason = f"--listen {listen}: write IP:PORT, such as 127.0.0.1:8080 or [::1]:8080"
        raise error_for("config/invalid-value", reason) from None
    if not address.is_loopback:
        reason = f"the route has no `auth`, and {listen} is more than loopback"
        open_ones = [one for one in with_http if "auth" not in one.model["in"]["http"]]
        if open_ones:
            raise InvalidConfig([one.problem("config/needs-auth", reason, "/in/http") for one in open_ones])
    return f"[{address}]:{int(port)}" if address.version == 6 else f"{address}:{int(port)}"


def check_free(listen: str) -> None:
    """Whether a node could listen on what `check_listen` gave. Raises ConfigError `config/cannot-listen`."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # As the node does it: connections in TIME_WAIT are not in the way, a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), int(port)))
    except OSError as error:
        raise error_for("config/cannot-listen", f"cannot listen on {listen}: {error.strerror}") from None


def _config(endpoint: Endpoint, listen: str | None, settings: Settings, files: Path) -> str:
    nats = {
        "url": endpoint.url,
        "user": endpoint.user,
        "password": endpoint.password,
        "token": endpoint.token,
        "ca": endpoint.tls.ca and str(endpoint.tls.ca),
        "cert": endpoint.tls.cert and str(endpoint.tls.cert),
        "key": endpoint.tls.key and str(endpoint.tls.key),
        "tls_first": endpoint.tls.first,
    }
    return json.dumps(
        {
            "nats": {name: value for name, value in nats.items() if value is not None},
            "listen": listen,
            "types": list(settings.types),
            "threads": settings.threads,
            "lanes": 1,
            "tiers": list(streams.TIERS),
            "files": str(files),
            # One user on one machine: the example's receiver is on loopback.
            "allow_loopback": True,
            "allow": list(settings.allow),
            "absolute_files": settings.files_anywhere,
        }
    )


def node_to_ask(settings: Settings) -> _native.Node:
    """A node that is asked whether connectors would work, and never started: it needs no server."""
    return _native.Node(_config(Endpoint("nats://127.0.0.1:4222"), None, settings, settings.data / "files"))


async def _provision(
    endpoint: Endpoint, pipelines: Sequence[PipelineFile], server: Server | None, watcher: Watcher
) -> None:
    async with connect(endpoint) as client:
        done = await _streams(client, server)
        for one in pipelines:
            source = one.model["in"].get("nats")
            if source and source.get("mode") == "jetstream":
                durable = source.get("durable") or f"vrsky_{one.customer}_{one.pipeline}"
                done += await consumer_of_source(client, source["stream"], durable, source["subject"])
            elif source:
                watcher.note(f"{one.customer}/{one.pipeline}: core NATS in is at most once")
    if done:
        watcher.note(f"provisioned {len(done)} streams and consumers")


async def _streams(client: Client, server: Server | None) -> list[str]:
    wanted = list(streams.topology(list(streams.TIERS), 1))
    # Another server's disk is its operator's.
    return await provision(client, wanted) if server is None else await share(client, wanted, server.layout.store)


async def _share_again(server: Server, watcher: Watcher) -> NoReturn:
    """Others take room on the disk, and leave it again."""
    while True:
        await asyncio.sleep(SHARE_SECONDS)
        try:
            async with connect(server.endpoint) as client:
                done = await _streams(client, server)
        except (VrskyError, OSError):
            continue  # the server is away, or the disk is full: later
        if done:
            watcher.note(f"the room on the disk has changed: {'; '.join(done)}")


class _Stop:
    """The two signals."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.server: Server | None = None

    def on_signal(self) -> None:
        if self.asked.is_set():
            self.force()
        self.asked.set()

    def force(self) -> NoReturn:
        """Ends the process without waiting for anything. The server would outlive it."""
        if self.server is not None:
            self.server.kill()
        os._exit(FORCED)


@asynccontextmanager
async def _signals() -> AsyncIterator[_Stop]:
    loop, stop = asyncio.get_running_loop(), _Stop()
    # The terminal that goes away is a request to stop as well, unless `nohup` says otherwise.
    hang_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    signals = [signal.SIGINT, signal.SIGTERM, *hang_up]
    for sign in signals:
        loop.add_signal_handler(sign, stop.on_signal)
    try:
        yield stop
    finally:
        for sign in signals:
            loop.remove_signal_handler(sign)


@asynccontextmanager
async def _server(
    settings: Settings, data: Path, watcher: Watcher, stop: _Stop
) -> AsyncIterator[tuple[Endpoint, Server | None]]:
    if settings.nats is not None:
        endpoint = endpoint_of(settings.nats, settings.tls)
        watcher.note(f"NATS at {endpoint.url}")
        yield endpoint, None
        return
    server = Server(data)
    stop.server = server
    try:
        endpoint = await server.start()
        watcher.note(f"embedded nats-server at {endpoint.url}, messages in {server.layout.store}")
        yield endpoint, server
    finally:
        await server.stop()


async def _watch(node: _native.Node, server: Server | None, watcher: Watcher, stop: _Stop) -> None:
    """Polls until a signal comes or the server is lost for good; then drains."""
    addresses = node.addresses()
    watcher.ready(f"http://{addresses[0]}" if addresses else None)
    watch = asyncio.create_task(server.watch(watcher.note)) if server else None
    shares = asyncio.create_task(_share_again(server, watcher)) if server else None
    waits = asyncio.create_task(stop.asked.wait())
    try:
        while not waits.done() and not (watch and watch.done()):
            await asyncio.wait(
                [task for task in (waits, watch) if task],
                timeout=POLL_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            _poll(node, watcher)
        if watch and watch.done():
            await watch
        watcher.note("draining; press Ctrl-C again to stop at once")
        drain = asyncio.create_task(asyncio.to_thread(node.drain, DRAIN_SECONDS))
        while not drain.done():
            await asyncio.wait([drain], timeout=POLL_SECONDS)
            _poll(node, watcher)
        if not drain.result():
            watcher.note("not everything was finished; what is left stays in its stream until the next start")
    finally:
        for task in (waits, watch, shares):
            if task:
                task.cancel()


def _poll(node: _native.Node, watcher: Watcher) -> None:
    watcher.poll(json.loads(node.stats()), json.loads(node.events()))
