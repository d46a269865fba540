"""What has to happen so that a node runs what the files say. Pure: nothing is read, installed or asked here.

    files as they are   ─┐
                         ├─► plan ─► install · remove, in an order that the engine takes
    what the node runs  ─┘      └──► findings: files that are left out, or whose old revision goes on

Three rules decide. A file that cannot be served changes nothing: the pipeline that it defined goes on. What runs has
the first claim to its name, its address and its consumer; then the order of the files' names decides. A pipeline is
removed when no file defines it any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..config import Problem
from .disk import Broken, Ready, State

Key = tuple[str, str]
"""Customer and name of a pipeline."""


@dataclass(frozen=True)
class Running:
    """What the node runs of a pipeline, and the file that said so."""

    path: str
    ready: Ready


@dataclass(frozen=True)
class Install:
    path: str
    ready: Ready


@dataclass(frozen=True)
class Remove:
    """With `makes_room` the pipeline stands in the way of another, and is installed anew later in the same plan."""

    key: Key
    makes_room: bool = False


@dataclass(frozen=True)
class Finding:
    """Problems of one file. `goes_on` is what it defined before, which the node still runs."""

    path: str
    problems: tuple[Problem, ...]
    goes_on: Key | None = None

    def as_json(self) -> dict[str, object]:
        goes_on = {"customer": self.goes_on[0], "pipeline": self.goes_on[1]} if self.goes_on else None
        return {"file": self.path, "goes_on": goes_on, "problems": [one.as_json() for one in self.problems]}


@dataclass(frozen=True)
class Plan:
    """`owners` are the files of what stays as it is."""

    actions: tuple[Install | Remove, ...]
    findings: tuple[Finding, ...]
    owners: Mapping[Key, str]


def key_of(ready: Ready) -> Key:
    return ready.file.customer, ready.file.pipeline


def claims_of(ready: Ready) -> tuple[str, ...]:
    """What no other pipeline of the node can have as well: an address, a durable consumer."""
    source = ready.file.summary.source
    claims = [source.address] if source.address is not None else []
    if source.jetstream is not None:
        claims.append(f"{source.jetstream.stream} {source.jetstream.durable}")
    return tuple(claims)


def _runs_like(one: Ready, other: Ready) -> bool:
    """Whether the node would do the same with both."""
    return one.file.summary.revision == other.file.summary.revision and one.secrets == other.secrets


def plan(states: Mapping[str, State], running: Mapping[Key, Running]) -> Plan:
    """`states` are all files that there are, by path."""
    claims = _Claims(states, running)
    owners: dict[Key, str] = {}
    installs: list[Install] = []
    for key, (path, ready) in claims.accepted.items():
        now = running.get(key)
        if now is not None and _runs_like(ready, now.ready):
            owners[key] = path
        else:
            installs.append(Install(path, ready))
    gone = [key for key in running if key not in claims.accepted and key not in claims.held]
    problems = claims.problems()
    findings = tuple(Finding(path, problems[path], claims.goes_on(path)) for path in sorted(problems))
    return Plan(tuple(_ordered(installs, gone, running)), findings, owners)


class _Claims:
    """Who gets a name, an address and a consumer. A file whose wish is refused holds on to what runs of it, which may
    refuse the wish of another: so the round begins anew with that held, and ends since ever more are."""

    def __init__(self, states: Mapping[str, State], running: Mapping[Key, Running]) -> None:
        self._running = running
        self._owned = {one.path: key for key, one in running.items()}
        self._ready = {path: state for path, state in states.items() if isinstance(state, Ready)}
        self._broken = {path: state.problems for path, state in states.items() if isinstance(state, Broken)}
        self._order = sorted(self._ready, key=self._rank)
        self._refused: dict[str, tuple[Problem, ...]] = {}
        self._clinging: set[str] = set()
        while self._round():
            pass

    def problems(self) -> dict[str, tuple[Problem, ...]]:
        return self._broken | self._refused

    def goes_on(self, path: str) -> Key | None:
        key = self._owned.get(path)
        return key if key in self.held else None

    def _round(self) -> bool:
        """Whether somebody holds on to what runs who did not before."""
        paths = [path for path in self._owned if path in self._broken or path in self._clinging]
        self.held = {self._owned[path] for path in paths}
        self.accepted: dict[Key, tuple[str, Ready]] = {}
        self._names = {key: self._running[key].path for key in self.held}
        self._claimed = {claim: path for key, path in self._names.items() for claim in self._claims_at(key)}
        self._refused = {path: problems for path, problems in self._refused.items() if path in self._clinging}
        more = False
        for path in self._order:
            if path in self._clinging:
                continue
            problem = self._take(path)
            if problem is not None:
                self._refused[path] = (problem,)
                if path in self._owned:
                    self._clinging.add(path)
                    more = True
        return more

    def _claims_at(self, key: Key) -> tuple[str, ...]:
        return claims_of(self._running[key].ready)

    def _take(self, path: str) -> Problem | None:
        """Gives a file what it wishes, or says who has it."""
        ready = self._ready[path]
        one, source = ready.file, ready.file.summary.source
        if (name := self._names.get(key_of(ready))) is not None:
            reason = f"the pipeline {one.name} is defined in {name} already"
            return one.problem("config/conflict", reason, "/pipeline")
        for claim in claims_of(ready):
            if (name := self._claimed.get(claim)) is not None:
                what = f"address {claim}" if claim == source.address else f"consumer {claim.replace(' ', '/')}"
                return one.problem("config/conflict", f"the {what} is that of {name} already", source.pointer)
        self.accepted[key_of(ready)] = path, ready
        self._names[key_of(ready)] = path
        self._claimed |= dict.fromkeys(claims_of(ready), path)
        return None

    def _rank(self, path: str) -> tuple[int, str]:
        """What stays as it is comes first, then what changes, then what is new."""
        ready, key = self._ready[path], self._owned.get(path)
        if key is None or key != key_of(ready):
            return 2, path
        return int(claims_of(self._running[key].ready) != claims_of(ready)), path


def _ordered(installs: list[Install], gone: list[Key], running: Mapping[Key, Running]) -> Iterator[Install | Remove]:
    """Each install after whoever has what it claims has let go of it. Removals come last where they can, so that a
    pipeline that was renamed is served without a gap."""
    holders = _Holders(running)
    waiting, left = deque(installs), dict.fromkeys(gone)
    passed = 0
    while waiting:
        one = waiting.popleft()
        blocker = holders.blocker(one.ready)
        if blocker is None:
            holders.give(one.ready)
            passed = 0
            yield one
        elif passed < len(waiting):
            passed += 1
            waiting.append(one)
        else:
            # Everybody waits: somebody that goes anyway makes room, or one of a circle.
            yield Remove(blocker, makes_room=blocker not in left)
            left.pop(blocker, None)
            holders.let_go(blocker)
            passed = 0
            waiting.appendleft(one)
    for key in left:
        yield Remove(key)


class _Holders:
    """Which pipeline has which claim while the actions of a plan are done one after the other."""

    def __init__(self, running: Mapping[Key, Running]) -> None:
        self._claims = {key: claims_of(one.ready) for key, one in running.items()}
        self._holders = {claim: key for key, claims in self._claims.items() for claim in claims}

    def blocker(self, ready: Ready) -> Key | None:
        holders = (self._holders.get(claim, key_of(ready)) for claim in claims_of(ready))
        return next((key for key in holders if key != key_of(ready)), None)

    def give(self, ready: Ready) -> None:
        self.let_go(key_of(ready))
        self._claims[key_of(ready)] = claims_of(ready)
        self._holders |= dict.fromkeys(claims_of(ready), key_of(ready))

    def let_go(self, key: Key) -> None:
        for claim in self._claims.pop(key, ()):
            self._holders.pop(claim, None)
