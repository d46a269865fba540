"""The order in which a node starts, runs and ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ..config.folder import nothing_in
from ..control.lock import DataFolder
from ..control.server import Server
from ..control.upkeep import Upkeep
from ..errors import ConfigError, error_for
from ..facts import SERVES_HTTP
from .disk import Disk, Ready
from .earlier_files import earlier_files
from .engine import Engine
from .exposition import CUSTOMERS, Exposition
from .lanes import LanePoll
from .listeners import Handover, address_of, held, inherited, take_over
from .monitor import Monitor, monitoring
from .options import check_free, checked, parse_listen, refused
from .pipelines import Pipelines, refusal
from .polling import Watcher, poll_until
from .profile import Profile
from .provision import prepare, upkeep
from .reconcile import Finding, plan
from .reload import keep
from .restarting import restarting
from .server import nats_server
from .settings import Settings
from .signals import Stop, stop_signals
from .waiting import WaitingPoll

DRAIN_SECONDS = 20.0

Work = Callable[[], Coroutine[Any, Any, NoReturn]]


async def serve(path: Path, settings: Settings, watcher: Watcher) -> None:
    """Serves the pipeline files of `path` until a signal; returns after a drain. Files that cannot be served are left
    out. Raises ConfigError, SecretError or NatsError before anything flows: where none can be served, or with
    `strict` not all; and NatsError when the embedded server does not stay up."""
    with held(inherited()) as sockets:
        await _on(path, _given(checked(settings), sockets), settings, watcher, sockets)


async def _on(path: Path, profile: Profile, settings: Settings, watcher: Watcher, sockets: list[socket.socket]) -> None:
    disk = Disk(path, settings.secrets, lambda one: refused(one, profile), given=settings.given)
    with stop_signals(watcher.drain_at_once) as stop:
        try:
            metrics = settings.metrics and parse_listen(settings.metrics, "--metrics")
            if settings.take_over:
                # What could not run is no reason to end what does. Its ports are free afterwards.
                if not await _first_look(disk, stop):
                    return
                _check_files(disk, settings, path)
                profile = await _taken_over(profile, settings, watcher, sockets)
            with monitoring(metrics, watcher.note) as monitor:
                if settings.take_over or await _first_look(disk, stop):
                    await _serve(path, settings, profile, disk, watcher, monitor, stop)
        finally:
            disk.give_up()


def _given(profile: Profile, sockets: list[socket.socket]) -> Profile:
    """With the sockets of a supervisor, where this node serves HTTP."""
    if not sockets or profile.listen is None:
        return profile
    return replace(profile, listen=address_of(sockets), inherited=tuple(one.fileno() for one in sockets))


async def _taken_over(profile: Profile, settings: Settings, watcher: Watcher, sockets: list[socket.socket]) -> Profile:
    """With the sockets of the earlier run, which has ended. Raises ConfigError where it listens elsewhere than this one
    is to, since that decides what may be served without `auth`; it goes on then."""

    def fits(taken: list[socket.socket]) -> None:
        wanted = profile.listen
        if not taken or wanted is None or profile.inherited:
            return
        host, _, port = wanted.rpartition(":")
        if (found := address_of(taken)) != wanted and (port != "0" or found.rpartition(":")[0] != host):
            raise error_for(
                "config/cannot-listen", f"the run to take over listens on {found}, and this one on {wanted}"
            )

    taken = await take_over(settings.data, fits, watcher.note)
    sockets += taken
    return profile if profile.inherited else _given(profile, taken)


async def _first_look(disk: Disk, stop: Stop) -> bool:
    """False when a signal to stop came meanwhile."""
    looking, asked = asyncio.create_task(asyncio.to_thread(disk.look, True)), asyncio.create_task(stop.asked.wait())
    await asyncio.wait([looking, asked], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not looking.done():
        disk.give_up()
    await looking
    return not stop.asked.is_set()


async def _serve(
    path: Path,
    settings: Settings,
    profile: Profile,
    disk: Disk,
    watcher: Watcher,
    monitor: Monitor,
    stop: Stop,
) -> None:
    _check_files(disk, settings, path)
    profile = _listening(profile, disk, watcher)
    with DataFolder(settings.data) as data:
        async with nats_server(settings, data.path, watcher, stop) as (endpoint, server):
            max_payload = await prepare(endpoint, server, profile, watcher, stop.asked)
            if max_payload is None:
                return
            engine = Engine(profile, endpoint, max_payload)
            nats = None if server else endpoint.url
            pipelines = Pipelines(engine, endpoint, disk, watcher, data.path, nats)
            pipelines.is_deaf = profile.listen is None and SERVES_HTTP in profile.types
            await pipelines.update(say=False)
            _check(pipelines.findings, settings, bool(pipelines.running), path)
            for text in earlier_files(pipelines.running, profile):
                watcher.note(text)
            waits = WaitingPoll(endpoint, profile, lambda: pipelines.serving, pipelines.changed, watcher.waiting)
            await waits.start()
            await engine.start()
            keeps = upkeep(endpoint, server, profile, watcher)
            lanes = LanePoll(endpoint, profile)
            numbers = partial(engine.metrics, CUSTOMERS)
            monitor.watch(engine.shards, Exposition(numbers, lambda: lanes.found, lambda: len(pipelines.findings)))
            watcher.ready(engine.address(), pipelines.running)
            reloads = keep(disk, pipelines, stop, settings.watch)
            handover = Handover(data.path, engine.listeners, stop.asked.set)
            works: dict[str, Work] = {
                "the upkeep of the streams": keeps.run,
                "the count of messages that wait": waits.run,
            }
            if settings.metrics is not None:
                works["the look at the lanes"] = lanes.run
            with handover.offered(watcher.note):
                await _run(engine, server, keeps, works, reloads, watcher, monitor, stop)


def _check_files(disk: Disk, settings: Settings, path: Path) -> None:
    some = any(isinstance(one, Ready) for one in disk.states.values())
    _check(plan(disk.states, {}).findings, settings, some, path)


def _check(findings: Sequence[Finding], settings: Settings, some: bool, path: Path) -> None:
    """Raises what keeps a run from starting."""
    problems = [problem for one in findings for problem in one.problems]
    if not some or (settings.strict and problems):
        raise refusal(problems or [nothing_in(path)])


def _listening(profile: Profile, disk: Disk, watcher: Watcher) -> Profile:
    """It listens for HTTP pipelines that may come; until there is one, an address that is taken stops nobody."""
    ready = (one.file for one in disk.states.values() if isinstance(one, Ready))
    if profile.listen is None or profile.inherited or any(one.summary.source.address is not None for one in ready):
        return profile
    try:
        check_free(profile.listen)
    except ConfigError as error:
        watcher.note(f"no HTTP pipeline can be served until the next start: {error.reason}")
        return replace(profile, listen=None)
    return profile


async def _run(
    engine: Engine,
    server: Server | None,
    keeps: Upkeep,
    works: Mapping[str, Work],
    reloads: Coroutine[Any, Any, NoReturn],
    watcher: Watcher,
    monitor: Monitor,
    stop: Stop,
) -> None:
    """Polls until a signal comes or the server is lost for good; then drains."""
    reloading = asyncio.create_task(reloads)
    ends: list[asyncio.Task[Any]] = [asyncio.create_task(stop.asked.wait())]
    ends.append(reloading)  # which ends by a defect alone
    # Those end only with what the watcher raises.
    ends.extend(asyncio.create_task(restarting(what, work, watcher.note)) for what, work in works.items())
    if server is not None:
        ends.append(asyncio.create_task(server.watch(watcher.note)))
    try:
        await poll_until(ends, engine, watcher, keeps, monitor, stop)
        monitor.drain()
        for task in ends:
            if task.done():
                await task
        reloading.cancel()
        watcher.note("draining; press Ctrl-C again to stop at once")
        drain = asyncio.create_task(engine.drain(DRAIN_SECONDS))
        await poll_until([drain], engine, watcher, keeps, monitor, stop)
        if not drain.result():
            watcher.note("not everything was finished; what is left stays in its stream until the next start")
    finally:
        for task in ends:
            task.cancel()
