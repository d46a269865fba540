"""The KV bucket vrsky_pipelines as the origin: watched, compiled some hundred at a time, and acknowledged.

    Watch ──batches──► compile and judge, on a thread ──► states ──► pipelines.update ──► handled ──► vrsky_nodes

While the server or the bucket is away, what runs goes on. What a bucket does not hold that was made anew goes on as
well, until the node starts again or SIGHUP asks to read everything: a bucket that was lost is no order to stop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from ..config import InvalidConfig, PipelineFile, Problem
from ..config.deployment import DeploymentSettings
from ..config.files import Stat, stat_of
from ..config.stored import load_each, revision_of
from ..control.buckets import PIPELINES, Entry, make
from ..control.connection import connect, endpoint_of
from ..control.nodes import Refusal, SettingsSeen
from ..control.upkeep import provisioned
from ..control.watch import Batch, Watch
from ..errors import VrskyError
from .acknowledgement import Acknowledgement
from .deployment import Deployment
from .following import conflict
from .leases import Member
from .moves import Moves
from .origin import MakeOrigin
from .polling import Watcher, pause_after
from .profile import Profile
from .reconcile import Finding
from .restarting import restarting
from .settings import Settings
from .signals import Stop
from .states import Broken, Canary, Check, Ready, State, judge, says_the_same, secret_files

# Between two looks at the files of secrets.
_LEAST_SECONDS, _MOST_SECONDS = 2.0, 10.0
_AGAIN_SECONDS = 1.0
# Between two looks at the lanes that a customer leaves.
_MOVE_SECONDS = 0.5
_WATCH, _RECORD, _SETTINGS = "the watch of the bucket", "the record of this node", "the watch of the settings"
# Batches that wait to be compiled; the server holds the rest back.
_MAX_WAITING = 4


_Arrival = Batch | VrskyError | OSError
_Beside = tuple[PipelineFile, int] | InvalidConfig | None


@dataclass(slots=True)
class _Known:
    """What a key holds: `revision` as its value says it, and the files of its secrets as they were."""

    sequence: int
    revision: str | None
    state: State
    files: dict[str, Stat]
    canary: _Beside = None


class Bucket:
    """An `Origin`; serves all customers that share lanes, or one that has its own."""

    def __init__(self, check: Check, settings: Settings, watcher: Watcher, customer: str | None) -> None:
        self._check, self._secrets, self._note = check, settings.secrets, watcher.note
        self._endpoint = endpoint_of(settings.nats or "", settings.tls, settings.access)
        self._replicas = settings.profile.replicas
        self._watch = Watch(PIPELINES, (">",) if customer is None else (f"{customer}.>",))
        self._known: dict[str, _Known] = {}
        self._unseen: set[str] = set()
        self._is_other = False
        self._taken, self._identity = 0, ""
        self._served: Mapping[str, int] = {}
        self._due = time.monotonic() + _LEAST_SECONDS
        self._arrived: asyncio.Queue[_Arrival] = asyncio.Queue(_MAX_WAITING)
        self._getting: asyncio.Task[_Arrival] | None = None
        self._tasks: dict[str, asyncio.Task[NoReturn]] = {}
        self._starts = True
        self._acknowledgement = Acknowledgement(self._endpoint, customer, self._replicas, self._note)
        self._member = Member(self._acknowledgement.id, customer, self._replicas)
        self._deployment = Deployment(self._endpoint, self._replicas, self._note)
        self._moves = Moves(self._endpoint, settings.profile, self._note)
        # What was followed last of the settings.
        self._followed = SettingsSeen()

    @property
    def states(self) -> Mapping[str, State]:
        serves = self._moves.serves
        return {key: known.state for key, known in self._known.items() if serves(key.partition(".")[0])}

    @property
    def deployment(self) -> DeploymentSettings:
        return self._deployment.settings

    @property
    def closed(self) -> tuple[str, ...]:
        return self._moves.closed

    @property
    def member(self) -> Member | None:
        return self._member

    @property
    def follows(self) -> Mapping[str, int]:
        return self._served

    @property
    def if_empty(self) -> Problem | None:
        return None

    async def first(self, stop: Stop) -> bool:
        done = await provisioned(self._make, stop.asked, self._note)
        if done is None:
            return False
        for one in done:
            self._note(f"made the {one}")
        self._start(_SETTINGS, self._deployment.follow)
        self._start(_WATCH, self._follow)
        asked = asyncio.create_task(stop.asked.wait())
        try:
            while not stop.asked.is_set():
                batch = await self._next({asked}, None)
                if isinstance(batch, Exception):
                    raise batch
                if batch is not None:
                    await self._take([batch])
                    if batch.is_current:
                        self._starts = False
                        return True
        finally:
            asked.cancel()
        return False

    async def changed(self, stop: Stop) -> bool:
        others = {asyncio.create_task(one.wait()) for one in (stop.reload, self._deployment.arrived)}
        try:
            seconds = max(self._due - time.monotonic(), 0)
            batch = await self._next(others, min(seconds, _MOVE_SECONDS) if self._moves.unsettled else seconds)
        finally:
            for one in others:
                one.cancel()
        everything = stop.reload.is_set()
        if everything:
            stop.reload.clear()
            self._start(_WATCH, self._follow)
        changed = await self._look_at_settings()
        if isinstance(batch, Batch):
            batches = [batch]
            while not self._arrived.empty() and isinstance(more := self._arrived.get_nowait(), Batch):
                batches.append(more)
            await self._take(batches)
            changed = True
        if everything or time.monotonic() >= self._due:
            changed |= await asyncio.to_thread(self._look_at_secrets, everything)
        return changed or everything

    def handled(self, findings: Sequence[Finding], running: int, profile: Profile) -> None:
        refused = {
            one.path: Refusal.of(known.revision, [each.as_json() for each in one.problems], one.goes_on is not None)
            for one in findings
            if (known := self._known.get(one.path)) is not None
        }
        # The latest first: somebody waits for them.
        in_order = sorted(refused, key=lambda key: -self._known[key].sequence)
        settings = self._settings_seen(profile)
        self._served = {"pipelines": self._taken, "settings": settings.seen}
        self._acknowledgement.report(
            profile.types,
            settings,
            self._identity,
            self._taken,
            running,
            {key: refused[key] for key in in_order},
        )
        if _RECORD not in self._tasks:
            self._start(_RECORD, self._acknowledgement.run)

    def report_canaries(self, canaries: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        self._acknowledgement.canaries = canaries

    async def close(self) -> None:
        tasks = [*self._tasks.values(), *([self._getting] if self._getting else [])]
        self._tasks, self._getting = {}, None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._acknowledgement.remove()

    # -- the watch ------------------------------------------------------------------------------

    async def _make(self) -> list[str]:
        async with connect(self._endpoint) as client:
            made = await make(client, PIPELINES, self._replicas) + await self._deployment.read(client)
            settings = self._deployment
            await self._moves.begin(client, settings.settings, settings.seen, settings.identity)
            return made

    async def _follow(self) -> NoReturn:
        # What it had in hand when it ended may be lost.
        self._watch.forget()
        said = ""
        while True:
            try:
                async with connect(self._endpoint) as client:
                    async for batch in self._watch.follow(client):
                        if said:
                            self._note("the bucket vrsky_pipelines is watched again")
                            said = ""
                        await self._arrived.put(batch)
            except (VrskyError, OSError) as error:
                if self._starts:
                    await self._arrived.put(error)
                elif str(error) != said:
                    said = str(error)
                    count = len(self._known)
                    self._note(f"the bucket cannot be watched, {count} pipelines go on as they are: {error}")
            await asyncio.sleep(_AGAIN_SECONDS)

    def _start(self, what: str, work: Callable[[], Coroutine[Any, Any, NoReturn]]) -> None:
        """In place of what did the same before."""
        if (before := self._tasks.get(what)) is not None:
            before.cancel()
        self._tasks[what] = asyncio.create_task(restarting(what, work, self._note))

    async def _next(self, others: set[asyncio.Task[Any]], seconds: float | None) -> _Arrival | None:
        """What arrives next; None when one of the others is done before, or time is up."""
        if self._getting is None:
            self._getting = asyncio.create_task(self._arrived.get())
        await asyncio.wait({self._getting, *others}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not self._getting.done():
            return None
        arrived, self._getting = self._getting.result(), None
        return arrived

    async def _take(self, batches: Sequence[Batch]) -> None:
        """Makes `states` what these say."""
        for batch in batches:
            if batch.begins:
                self._unseen, self._is_other = set(self._known), batch.is_other
            self._unseen.difference_update(one.key for one in batch.entries)
            await self._read(batch.entries)
            self._identity = batch.identity
            if batch.is_current:
                self._forget_unseen()

    async def _read(self, entries: Sequence[Entry]) -> None:
        last = {one.key: one for one in entries}
        values: list[tuple[Entry, bytes]] = []
        for key, one in last.items():
            if one.value is None:
                self._known.pop(key, None)
            elif key not in self._known or self._known[key].sequence != one.sequence or self._is_other:
                values.append((one, one.value))
        if values:
            self._known |= await asyncio.to_thread(self._compiled, values)
        self._taken = max([*(one.sequence for one in entries), 0 if self._is_other else self._taken])

    def _compiled(self, values: Sequence[tuple[Entry, bytes]]) -> dict[str, _Known]:
        found: dict[str, _Known] = {}
        loaded = load_each([(entry.key, value) for entry, value in values])
        for (entry, value), one in zip(values, loaded, strict=True):
            if isinstance(one.file, InvalidConfig):
                revision = revision_of(entry.key, value)
                found[entry.key] = _Known(entry.sequence, revision, Broken(one.file.problems), {})
            else:
                known = _Known(entry.sequence, one.file.summary.revision, Broken(()), {}, one.canary)
                known.files = secret_files(one.file, self._secrets)
                known.state = self._judged(one.file, entry.key, known.canary)
                found[entry.key] = known
        return found

    def _judged(self, file: PipelineFile, key: str, canary: _Beside) -> State:
        """With its canary, or with why it is served without."""
        state = judge(file, key, self._check, self._secrets)
        if not isinstance(state, Ready) or canary is None:
            return state
        if isinstance(canary, InvalidConfig):
            return replace(state, canary_problems=tuple(canary.problems))
        return replace(state, canary=Canary(*canary))

    def _forget_unseen(self) -> None:
        """What a snapshot does not hold is gone."""
        if self._unseen and self._is_other:
            for key in self._unseen:
                # The next value of the key is new, whatever its sequence is.
                self._known[key].sequence = 0
            some = ", ".join(sorted(self._unseen)[:3])
            self._note(
                f"the bucket was made anew without {len(self._unseen)} pipelines, such as {some}; they go on until"
                " SIGHUP or the next start of this node"
            )
        elif self._unseen:
            for key in self._unseen:
                self._known.pop(key, None)
        self._unseen = set()
        self._is_other = False

    # -- the settings of the deployment ---------------------------------------------------------

    async def _look_at_settings(self) -> bool:
        """Whether they are others, or a move of a customer has ended."""
        settings = self._deployment
        changed = settings.take()
        if changed:
            self._moves.follow(settings.settings)
        elif self._moves.unsettled:
            changed = await self._moves.look(settings.seen, settings.identity)
        return changed

    def _settings_seen(self, profile: Profile) -> SettingsSeen:
        """What others may count on: of settings that could not be followed yet, those before."""
        settings, moves = self._deployment, self._moves
        problem = conflict(profile, settings.settings)
        problems = [one.as_json() for one in (*settings.problems, *([problem] if problem else []))]
        if profile == profile.following(settings.settings, moves.closed):
            left_out = tuple(one for one in moves.left_out if one not in moves.unsettled)
            self._followed = SettingsSeen(
                settings.identity, settings.seen, profile.topology, (), left_out, moves.unsettled
            )
        return self._followed.with_problems(problems)

    # -- secrets --------------------------------------------------------------------------------

    def _look_at_secrets(self, everything: bool) -> bool:
        """Whether a state is another for them. With `everything` all are read, and what else was refused is judged
        again."""
        began, changed = time.thread_time(), False
        for key, known in list(self._known.items()):
            file = known.state.file
            if file is None or not (everything or any(stat_of(path) != stat for path, stat in known.files.items())):
                continue
            known.files = secret_files(file, self._secrets)
            state = self._judged(file, key, known.canary)
            if not says_the_same(known.state, state):
                known.state, changed = state, True
        self._due = time.monotonic() + pause_after(time.thread_time() - began, _LEAST_SECONDS, _MOST_SECONDS)
        return changed


def of_bucket(customer: str | None) -> MakeOrigin:
    """The bucket of the server that the settings name: of all customers, or of one."""

    def make_bucket(check: Check, settings: Settings, watcher: Watcher) -> Bucket:
        return Bucket(check, settings, watcher, customer)

    return make_bucket
