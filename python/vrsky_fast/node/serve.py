"""The order in which a node starts, runs and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..config import PipelineFile
from ..config.secrets import resolve
from ..control import served
from ..control.lock import DataFolder
from ..control.served import Served, Serving
from ..control.server import Server
from ..control.upkeep import Upkeep
from ..facts import SERVES_HTTP
from .earlier_files import earlier_files
from .engine import Engine
from .options import check_allow, check_files, check_open, check_secrets, check_types, parse_listen
from .polling import Watcher, poll_until
from .profile import Profile
from .provision import prepare, upkeep
from .server import nats_server
from .settings import Settings
from .signals import Stop, stop_signals

DRAIN_SECONDS = 20.0


async def serve(pipelines: Sequence[PipelineFile], settings: Settings, watcher: Watcher) -> None:
    """Returns after a drain. Raises ConfigError, SecretError or NatsError before anything flows, and
    NatsError when the embedded server does not stay up."""
    profile = _checked(pipelines, settings)
    secrets = [resolve(one.customer, one.summary.secrets, settings.secrets) for one in pipelines]
    with DataFolder(settings.data) as data, stop_signals() as stop:
        async with nats_server(settings, data.path, watcher, stop) as (endpoint, server):
            if not await prepare(endpoint, server, profile, pipelines, watcher, stop.asked):
                return
            for text in earlier_files(pipelines, profile):
                watcher.note(text)
            engine = Engine(profile, endpoint)
            for one, values in zip(pipelines, secrets, strict=True):
                await engine.install(one, values)
            # For commands that look at the streams beside the run.
            serving = Serving.of(Served.of(one.summary) for one in pipelines)
            served.write(data.path, None if server else endpoint.url, serving)
            await engine.start()
            await _run(engine, server, upkeep(endpoint, server, profile, watcher), watcher, stop)


def _checked(pipelines: Sequence[PipelineFile], settings: Settings) -> Profile:
    """The profile as the engine gets it: it listens only where HTTP is served."""
    profile = settings.profile
    check_types(profile, settings.nats)
    check_secrets(settings.secrets)
    check_allow(profile)
    check_files(pipelines, profile)
    with_http = [one for one in pipelines if one.summary.source.address is not None]
    if profile.listen is None or SERVES_HTTP not in profile.types or not with_http:
        return replace(profile, listen=None)
    listen = parse_listen(profile.listen)
    check_open(with_http, listen)
    return replace(profile, listen=listen)


async def _run(engine: Engine, server: Server | None, keeps: Upkeep, watcher: Watcher, stop: Stop) -> None:
    """Polls until a signal comes or the server is lost for good; then drains."""
    watcher.ready(engine.address())
    ends: list[asyncio.Task[Any]] = [asyncio.create_task(stop.asked.wait())]
    others: list[asyncio.Task[Any]] = [asyncio.create_task(keeps.run())]
    if server is not None:
        ends.append(asyncio.create_task(server.watch(watcher.note)))
    try:
        await poll_until(ends, engine, watcher, keeps)
        for task in ends:
            if task.done():
                await task
        watcher.note("draining; press Ctrl-C again to stop at once")
        drain = asyncio.create_task(engine.drain(DRAIN_SECONDS))
        await poll_until([drain], engine, watcher, keeps)
        if not drain.result():
            watcher.note("not everything was finished; what is left stays in its stream until the next start")
    finally:
        for task in ends + others:
            task.cancel()
