"""The pipelines that the node runs, made what the files say as often as these change."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from nats.aio.client import Client

from ..config import InvalidConfig, PipelineFile, Problem
from ..control import served
from ..control.connection import connect
from ..control.served import Served, Serving
from ..control.server_config import Endpoint
from ..errors import InternalError, NatsError, VrskyError, error_for
from .engine import Engine
from .origin import Origin
from .polling import Watcher
from .provision import source as make_source
from .reconcile import Change, Finding, Install, Key, Running, key_of, plan
from .states import Broken, Ready, State

# Pipelines that are installed in one step; a shard takes no message meanwhile.
_IN_ONE_STEP = 128
# Sources that are asked for at a time.
_AT_ONCE = 50
# A script that many files name may be wrong and right again.
_NOTES_AT_ONCE = 20
# What a server that is away or stands still gives for each of them.
_SILENT = {"nats/timeout", "nats/disconnected"}

Refused = dict[str, tuple[Problem, ...]]
"""By path: why what is right in itself cannot be served here."""


class Pipelines:
    """`nats` is the address of a server that was named, for other commands."""

    def __init__(
        self, engine: Engine, endpoint: Endpoint, origin: Origin, watcher: Watcher, data: Path, nats: str | None
    ) -> None:
        self._engine, self._endpoint, self._origin, self._watcher = engine, endpoint, origin, watcher
        self._data, self._nats = data, nats
        self._running: dict[Key, Running] = {}
        self._served: dict[Key, Served] = {}
        self._reported: dict[str, tuple[State | None, tuple[Problem, ...]]] = {}
        self.serving = Serving.of(())
        self.changed = asyncio.Event()
        """Set when what runs has changed."""
        self.findings: tuple[Finding, ...] = ()
        self.exclusive: frozenset[Key] = frozenset()
        """Those that run and whose sources one node alone may read."""
        self.is_deaf = False
        """Whether HTTP pipelines belong here and nothing listens."""
        self.waits_for_server = False
        """Whether something is left out that may work later though no file changes."""

    @property
    def running(self) -> list[PipelineFile]:
        return [self._running[key].ready.file for key in sorted(self._running)]

    @property
    def count(self) -> int:
        return len(self._running)

    async def update(self, say: bool = True) -> None:
        """Installs, replaces and removes what has changed, says so where it is to, and what is left out. Raises
        nothing for a pipeline."""
        states, refused = self._origin.states, dict[str, tuple[Problem, ...]]()
        installed: list[PipelineFile] = []
        removed: list[Key] = []
        while True:
            made = plan(without(states, refused), self._running)
            for key, path in made.owners.items():
                self._running[key] = Running(path, self._running[key].ready)
            new = await self._do(made.changes, installed, removed)
            refused |= new
            if not new:
                break
        self.findings = made.findings
        self.waits_for_server = any(one.code.startswith("nats/") for problems in refused.values() for one in problems)
        if installed or removed:
            # For commands that look at the streams beside the run.
            self.serving = Serving(dict(self._served))
            self.changed.set()
            self.exclusive = frozenset(key for key, one in self._running.items() if is_exclusive(one.ready.file))
            await asyncio.to_thread(served.write, self._data, self._nats, self.serving)
            if say:
                self._watcher.changed(installed, removed)
        self._report(states, {(one.customer, one.pipeline) for one in installed})

    async def _do(self, changes: Sequence[Change], installed: list[PipelineFile], removed: list[Key]) -> Refused:
        """What was refused. Removals of their own wait then: what replaces a pipeline runs before it goes."""
        plain: list[Change] = []
        with_streams: list[Change] = []
        for change in changes:
            if any(one.ready.file.summary.source.jetstream is not None for one in change.installs):
                with_streams.append(change)
            elif change.installs:
                plain.append(change)
        refused = await self._make_each(plain, installed, removed)
        refused |= await self._with_streams(with_streams, installed, removed)
        for change in changes:
            if not change.installs and not refused:
                await self._make(change, installed, removed)
        return refused

    async def _with_streams(
        self, changes: Sequence[Change], installed: list[PipelineFile], removed: list[Key]
    ) -> Refused:
        """A consumer is changed only for what the engine takes: the earlier revision reads by it, too."""
        refused: Refused = {}
        fit: list[Change] = []
        for change in changes:
            new = await self._refusal(change, dry=True)
            refused |= new
            if not new:
                fit.append(change)
        refused |= await self._sources([one for change in fit for one in change.installs])
        for change in fit:
            if not any(one.path in refused for one in change.installs):
                refused |= await self._make(change, installed, removed)
        return refused

    async def _make_each(self, changes: Sequence[Change], installed: list[PipelineFile], removed: list[Key]) -> Refused:
        """Many in one step of the engine, which is far quicker; one by one where something of them is refused."""
        refused: Refused = {}
        for first in range(0, len(changes), _IN_ONE_STEP):
            some = changes[first : first + _IN_ONE_STEP]
            installs = tuple(one for change in some for one in change.installs)
            together = Change(installs, tuple(key for change in some for key in change.removes))
            if len(some) > 1 and not await self._make(together, installed, removed):
                continue
            for change in some:
                refused |= await self._make(change, installed, removed)
        return refused

    async def _make(self, change: Change, installed: list[PipelineFile], removed: list[Key]) -> Refused:
        refused = await self._refusal(change)
        if not refused:
            for key in change.removes:
                del self._running[key]
                del self._served[key]
            for one in change.installs:
                key = key_of(one.ready)
                self._running[key] = Running(one.path, one.ready)
                self._served[key] = Served.of(one.ready.file.summary)
            installed += [one.ready.file for one in change.installs]
            removed += change.removes
        return refused

    async def _refusal(self, change: Change, dry: bool = False) -> Refused:
        """Of the first that is refused; empty when it is done, or would be."""
        for one in change.installs:
            ready, source = one.ready, one.ready.file.summary.source
            if self.is_deaf and source.address is not None:
                reason = "nothing listens: the address was taken when the node started"
                return {one.path: (ready.file.problem("config/cannot-listen", reason, source.pointer),)}
        return await refusal_of(self._engine, change, dry)

    async def _sources(self, installs: Sequence[Install]) -> Refused:
        """Makes the consumers of NATS ins that are not there yet. A server that does not answer is asked once."""
        wanted = [one for one in installs if one.ready.file.summary.source.jetstream is not None]
        refused: Refused = {}
        if not wanted:
            return refused
        try:
            async with connect(self._endpoint) as client:
                for first in range(0, len(wanted), _AT_ONCE):
                    errors = await _ask(client, wanted[first : first + _AT_ONCE])
                    refused |= {one.path: _problems(one.ready, error) for one, error in errors}
                    silent = [error for _, error in errors if error.code in _SILENT]
                    if len(silent) == len(wanted[first : first + _AT_ONCE]):
                        refused |= {one.path: _problems(one.ready, silent[0]) for one in wanted[first + _AT_ONCE :]}
                        break
        except NatsError as error:
            refused |= {one.path: _problems(one.ready, error) for one in wanted}
        return refused

    def _report(self, states: Mapping[str, State], installed: Collection[Key]) -> None:
        """Each finding once, and again when its file was read anew; and when it is over, unless what was `installed`
        says so already."""
        now = {one.path: (states.get(one.path), one.problems) for one in self.findings}
        new = [one for one in self.findings if self._reported.get(one.path) != now[one.path]]
        if new or len(now) != len(self._reported):
            self._watcher.left_out(new, len(now))
        over = [(path, states.get(path)) for path in sorted(self._reported.keys() - now.keys())]
        right = [(path, key_of(one)) for path, one in over if isinstance(one, Ready) and key_of(one) not in installed]
        for path, key in right[:_NOTES_AT_ONCE]:
            self._watcher.note(f"{path} is right again; {'/'.join(key)} goes on")
        if len(right) > _NOTES_AT_ONCE:
            self._watcher.note(f"... and {len(right) - _NOTES_AT_ONCE} more")
        self._reported = now


async def _ask(client: Client, installs: Sequence[Install]) -> list[tuple[Install, VrskyError]]:
    """Makes the consumers of some; the errors of those that have none."""
    done = await asyncio.gather(*(make_source(client, one.ready.file) for one in installs), return_exceptions=True)
    errors: list[tuple[Install, VrskyError]] = []
    for one, result in zip(installs, done, strict=True):
        if isinstance(result, VrskyError):
            errors.append((one, result))
        elif isinstance(result, Exception):
            # A defect of ours in one file's consumer is no reason to end the others' node.
            errors.append((one, InternalError("internal/panic", repr(result))))
        elif isinstance(result, BaseException):
            raise result
    return errors


def is_exclusive(one: PipelineFile) -> bool:
    return one.summary.source.exclusive


def without(states: Mapping[str, State], refused: Refused) -> dict[str, State]:
    """The same with what was refused as broken."""
    return {path: Broken(refused[path], state.file) if path in refused else state for path, state in states.items()}


async def refusal_of(engine: Engine, change: Change, dry: bool = False) -> Refused:
    """Which of its files the engine refuses; empty when all of it is done, or would be."""
    readies = [one.ready for one in change.installs]
    canaries = [None if one.canary is None else (one.canary.file, one.canary.millionths) for one in readies]
    installs = [(one.file, one.secrets, canary) for one, canary in zip(readies, canaries, strict=True)]
    refused = await engine.change(installs, change.removes, dry)
    if refused is None:
        return {}
    place, error = refused
    one = change.installs[place]
    pointer = error.place.pointer if error.place is not None else None
    return {one.path: (one.ready.file.problem(error.code, error.reason, pointer or ""),)}


def _problems(ready: Ready, error: VrskyError) -> tuple[Problem, ...]:
    if isinstance(error, InvalidConfig):
        return error.problems
    return (ready.file.problem(error.code, error.reason, ready.file.summary.source.pointer),)


def is_about_files(problems: Iterable[Problem]) -> bool:
    """Whether more is missing than something in the surroundings."""
    return not all(one.code.startswith(("secret/", "nats/")) for one in problems)


def refusal(problems: Iterable[Problem]) -> VrskyError:
    """Of a run that does not start: about the files, unless only the surroundings are missing."""
    found = list(problems)
    if not is_about_files(found):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return error_for(found[0].code, found[0].reason + more)
    return InvalidConfig(found)
