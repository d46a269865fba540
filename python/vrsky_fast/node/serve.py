"""The order in which a node starts, runs and ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from ..control.lock import DataFolder
from ..control.server import Server
from ..control.server_config import Endpoint
from ..control.upkeep import Upkeep
from ..errors import ConfigError, error_for
from ..facts import SERVES_HTTP
from .earlier_files import earlier_files
from .engine import Engine
from .exposition import CUSTOMERS, Exposition, NodeCollector
from .following import Following
from .lanes import LanePoll
from .leases import LeaseKeeper
from .listeners import Handover, address_of, held, inherited, take_over
from .monitor import Monitor, monitoring
from .options import check_free, checked, parse_listen, refused
from .origin import MakeOrigin, Origin
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
from .states import Ready
from .unread import UnreadPoll
from .waiting import WaitingPoll

DRAIN_SECONDS = 20.0

Work = Callable[[], Coroutine[Any, Any, NoReturn]]


async def serve(make: MakeOrigin, settings: Settings, watcher: Watcher) -> None:
    """Serves the pipelines of an origin until a signal; returns after a drain. What cannot be served is left out.
    Raises ConfigError, SecretError or NatsError before anything flows: where settings or server cannot be used, where
    an origin that wants pipelines at the start has none to serve, or with `strict` not all; and NatsError when the
    embedded server does not stay up."""
    with held(inherited()) as sockets:
        await _on(make, _given(checked(settings), sockets), settings, watcher, sockets)


async def _on(
    make: MakeOrigin, profile: Profile, settings: Settings, watcher: Watcher, sockets: list[socket.socket]
) -> None:
    origin = make(lambda one: refused(one, profile), settings, watcher)
    with stop_signals(watcher.drain_at_once) as stop:
        try:
            metrics = settings.metrics and parse_listen(settings.metrics, "--metrics")
            if settings.take_over:
                # What could not run is no reason to end what does. Its ports are free afterwards.
                if not await origin.first(stop):
                    return
                _check_states(settings, origin)
                profile = await _taken_over(profile, settings, watcher, sockets)
            with monitoring(metrics, watcher.note) as monitor:
                if settings.take_over or await origin.first(stop):
                    await _serve(settings, profile, origin, watcher, monitor, stop)
        finally:
            await origin.close()


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
            reason = f"the run to take over listens on {found}, and this one is to on {wanted}"
            raise error_for("config/cannot-listen", reason)

    taken = await take_over(settings.data, fits, watcher.note)
    sockets += taken
    return profile if profile.inherited else _given(profile, taken)


async def _serve(
    settings: Settings, profile: Profile, origin: Origin, watcher: Watcher, monitor: Monitor, stop: Stop
) -> None:
    _check_states(settings, origin)
    profile = _listening(profile.following(origin.deployment, origin.closed), origin, watcher)
    with DataFolder(settings.data) as data:
        async with nats_server(settings, data.path, watcher, stop) as (endpoint, server):
            max_payload = await prepare(endpoint, server, profile, watcher, stop.asked)
            if max_payload is None:
                return
            profile = replace(profile, leases=origin.member is not None)
            engine = Engine(profile, endpoint, max_payload)
            nats = None if server else endpoint.url
            pipelines = Pipelines(engine, endpoint, origin, watcher, data.path, nats)
            pipelines.is_deaf = profile.listen is None and SERVES_HTTP in profile.types
            await pipelines.update(say=False)
            _check(pipelines.findings, settings, origin, bool(pipelines.running))
            for text in earlier_files(pipelines.running, profile):
                watcher.note(text)
            following = Following(profile, engine, endpoint, server, watcher.note)
            waits = WaitingPoll(
                endpoint, lambda: following.profile, lambda: pipelines.serving, pipelines.changed, watcher.waiting
            )
            await waits.start()
            await engine.start()
            origin.report_canaries(engine.canaries)
            keeps = upkeep(endpoint, server, lambda: following.profile, watcher)
            lanes = LanePoll(endpoint, lambda: following.profile)
            leases = _leases(endpoint, origin, profile, engine, pipelines, watcher)
            numbers = partial(engine.metrics, CUSTOMERS)
            held = (lambda: leases.held) if leases is not None else None
            found = NodeCollector(
                numbers, lambda: lanes.found, lambda: len(pipelines.findings), held, lambda: origin.follows
            )
            monitor.watch(engine.shards, Exposition(found), lambda: lanes.leaderless)
            watcher.ready(engine.address(), pipelines.running)
            handover = Handover(data.path, engine.listeners, stop.asked.set)
            works: dict[str, Work] = {
                "the upkeep of the streams": keeps.run,
                "the count of messages that wait": waits.run,
                "the look at lanes that nobody reads": UnreadPoll(
                    endpoint, lambda: following.profile, watcher.note
                ).run,
            }
            if settings.metrics is not None:
                works["the look at the lanes"] = lanes.run
            if leases is not None:
                works["the leases of sources"] = leases.run
            with handover.offered(watcher.note):
                await _run(engine, server, keeps, works, origin, pipelines, following, leases, watcher, monitor, stop)


def _leases(
    endpoint: Endpoint, origin: Origin, profile: Profile, engine: Engine, pipelines: Pipelines, watcher: Watcher
) -> LeaseKeeper | None:
    """None where no other node could read the same sources, and where none are read here."""
    if origin.member is None or SERVES_HTTP not in profile.types:
        return None
    return LeaseKeeper(endpoint, origin.member, engine, lambda: pipelines.exclusive, watcher.note)


def _check_states(settings: Settings, origin: Origin) -> None:
    some = any(isinstance(one, Ready) for one in origin.states.values())
    _check(plan(origin.states, {}).findings, settings, origin, some)


def _check(findings: Sequence[Finding], settings: Settings, origin: Origin, some: bool) -> None:
    """Raises what keeps a run from starting."""
    problems = [problem for one in findings for problem in one.problems]
    empty = None if some else origin.if_empty
    if settings.strict and problems:
        raise refusal(problems)
    if empty is not None:
        raise refusal(problems or [empty])


def _listening(profile: Profile, origin: Origin, watcher: Watcher) -> Profile:
    """It listens for HTTP pipelines that may come; until there is one, an address that is taken stops nobody."""
    ready = (one.file for one in origin.states.values() if isinstance(one, Ready))
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
    origin: Origin,
    pipelines: Pipelines,
    following: Following,
    leases: LeaseKeeper | None,
    watcher: Watcher,
    monitor: Monitor,
    stop: Stop,
) -> None:
    """Polls until a signal comes or the server is lost for good; then drains."""
    reloading = asyncio.create_task(keep(origin, pipelines, following, stop))
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
        await origin.close()
        watcher.note("draining; press Ctrl-C again to stop at once")
        drain = asyncio.create_task(_drain(engine, leases))
        await poll_until([drain], engine, watcher, keeps, monitor, stop)
        if not drain.result():
            watcher.note("not everything was finished; what is left stays in its stream until the next start")
    finally:
        for task in ends:
            task.cancel()


async def _drain(engine: Engine, leases: LeaseKeeper | None) -> bool:
    """Whether everything was finished. Sources that others wait for come first."""
    if leases is not None:
        await leases.close()
    return await engine.drain(DRAIN_SECONDS)
