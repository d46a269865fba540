"""Pipeline files, their scripts and secrets as they are on the disk, read again when they change.

A look compares what the file system says of each file (time, size, inode) with what it said when the file was read.
It needs no notifications, which are lost on network file systems and say little about the symlinks of a Kubernetes
mount. What has changed is read when it is the same in two looks, so that a half-written file is not taken; what changes
all the time is read after a while nevertheless, and taken when it is right.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..config import InvalidConfig, PipelineFile, Problem
from ..config.folder import find, read_each
from ..config.secrets import resolve
from ..errors import SecretError

# What changes for so long without a pause is read in between.
_HASTE_SECONDS = 2.0

Stat = tuple[int, ...] | None
"""Of one file; None when it is not to be had."""


@dataclass(frozen=True, eq=False)
class Ready:
    """A file that can be served, with the values of its secrets. Each reading makes another one."""

    file: PipelineFile
    secrets: dict[str, str] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Broken:
    """Why a file cannot be served. `file` is there when it is right in itself."""

    problems: tuple[Problem, ...]
    file: PipelineFile | None = None


State = Ready | Broken
Check = Callable[[PipelineFile], Sequence[Problem]]


@dataclass(slots=True)
class _Known:
    """What was read of a file, and how the disk was then: the file itself, and what it names."""

    state: State
    own: Stat
    others: dict[str, Stat]


@dataclass(slots=True)
class _Change:
    """How the disk was at the last look, since when it has not been as it was read, and whether it is quiet."""

    seen: tuple[Stat, ...]
    since: float
    quiet: bool = False


class Disk:
    """All pipeline files of `path`. `check` says what else speaks against serving one."""

    def __init__(
        self, path: Path, secrets: Path | None, check: Check, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self._secrets, self._check, self._clock = secrets, check, clock
        self._is_folder = path.is_dir()
        self._known: dict[str, _Known] = {}
        self._faults: dict[str, Broken] = {}
        self._changing: dict[str, _Change] = {}
        self._missing: set[str] = set()

    @property
    def states(self) -> dict[str, State]:
        """By path, in its order; folders that cannot be read among them."""
        return {name: self._known[name].state for name in sorted(self._known)} | self._faults

    def look(self, everything: bool = False) -> bool:
        """Whether `states` have changed. With `everything` all files are read, without waiting for their quiet."""
        found, problems = self._find()
        changed = self._note(problems)
        names = dict.fromkeys(found)
        self._missing = {name for name in self._known if name not in names and not self._is_hidden(name)}
        for name in self._changing.keys() - names.keys() - self._missing:
            del self._changing[name]
        return self._take(names, list(self._missing), everything) or changed

    @property
    def is_unsettled(self) -> bool:
        """Whether a file was found to change, and is to be the same in another look."""
        return bool(self._changing)

    def look_again(self) -> bool:
        """`look` at the files alone that were found to change."""
        there = {name for name in self._changing if os.path.lexists(name)}
        # What has gone since is for the next look.
        gone = self._missing & self._changing.keys() - there
        return self._take(sorted(there - self._missing), gone, False)

    def _take(self, names: Iterable[str], gone: Iterable[str], everything: bool) -> bool:
        changed = self._read([name for name in names if self._is_due(name) or everything], everything)
        for name in gone:
            if self._is_due(name) or everything:
                del self._known[name]
                self._changing.pop(name, None)
                changed = True
        return changed

    def _find(self) -> tuple[list[str], list[Problem]]:
        if self._is_folder and not self.path.is_dir():
            reason, hint = "the folder is not there any more", "Put it back."
            return [], [Problem("config/file-not-found", reason, str(self.path), hint=hint)]
        return find(self.path)

    def _note(self, problems: Iterable[Problem]) -> bool:
        """What cannot be looked into. Files in there are not gone for that."""
        now = {problem.file: self._as_before(problem) for problem in problems}
        changed = now != self._faults
        self._faults = now
        return changed

    def _as_before(self, problem: Problem) -> Broken:
        before = self._faults.get(problem.file)
        return before if before is not None and before.problems == (problem,) else Broken((problem,))

    def _is_hidden(self, name: str) -> bool:
        return any(name.startswith(folder + os.sep) for folder in self._faults)

    def _is_due(self, name: str) -> bool:
        """Whether it is not as it was read, and was so at the last look already."""
        known = self._known.get(name)
        seen: tuple[Stat, ...] = (_stat(name),)
        if known is not None:
            if known.others:
                seen += tuple(map(_stat, known.others))
            if seen[0] == known.own and seen[1:] == tuple(known.others.values()):
                self._changing.pop(name, None)
                return False
        now, change = self._clock(), self._changing.get(name)
        if change is None:
            self._changing[name] = _Change(seen, now)
            return False
        change.quiet = change.seen == seen
        change.seen = seen
        return change.quiet or now - change.since >= _HASTE_SECONDS

    def _read(self, names: list[str], everything: bool) -> bool:
        began = time.time_ns()
        before = {name: _stat(name) for name in names}
        changed = False
        for name, read in zip(names, read_each(names, self.path), strict=True):
            change = self._changing.get(name)
            state, others = self._judge(name, read)
            is_calm = everything or (change is not None and change.quiet) or isinstance(state, Ready)
            if not is_calm or not (everything or before[name] == _stat(name)):
                continue  # at the next look, or later
            stats = {other: _settled(_stat(other), began) for other in others}
            self._known[name] = _Known(state, before[name], stats)
            self._changing.pop(name, None)
            changed = True
        return changed

    def _judge(self, name: str, read: PipelineFile | InvalidConfig) -> tuple[State, list[str]]:
        """Its state, and the paths of the files that it names."""
        folder = Path(name).parent
        if isinstance(read, InvalidConfig):
            return Broken(read.problems), [str(folder / script) for script in read.scripts]
        others = [str(folder / script) for script in read.scripts]
        if self._secrets is not None:
            others += [str(self._secrets / read.customer / secret) for secret in read.summary.secrets]
        values: dict[str, str] = {}
        problems = [*self._check(read), *missing_secrets(read, self._secrets, values)]
        return Broken(tuple(problems), read) if problems else Ready(read, values), others


def missing_secrets(one: PipelineFile, folder: Path | None, values: dict[str, str]) -> Iterator[Problem]:
    """Where the file names a secret that is not defined. `values` gets those that are, by name."""
    for name in one.summary.secrets:
        try:
            values |= resolve(one.customer, [name], folder)
        except SecretError as error:
            connectors = [one.summary.source, *one.summary.outs]
            where = next((each.pointer for each in connectors if name in each.secrets), "")
            yield one.problem(error.code, error.reason, where)


def _stat(name: str) -> Stat:
    try:
        found = os.stat(name)  # noqa: PTH116 - of thousands of files a few times a minute
    except OSError:
        return None
    # The time of the inode's change tells of permissions, and of files that keep the time of another.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


# The clock of a file system may be a tick behind.
_TICK_NS = 50_000_000


def _settled(found: Stat, began_ns: int) -> Stat:
    """Of a file that may have been read before it changed: one that no file has, so that it is read again."""
    return () if found is not None and found[1] >= began_ns - _TICK_NS else found
