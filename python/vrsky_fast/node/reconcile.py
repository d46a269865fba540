"""What has to happen so that a node runs what the files say. Pure: nothing is read, installed or asked here.

    files as they are   ─┐
                         ├─► plan ─► changes: installs and removals that the engine takes in one step
    what the node runs  ─┘      └──► findings: files that are left out, or whose old revision goes on

Three rules decide. A file that cannot be served changes nothing: the pipeline that it defined goes on. What runs has
the first claim to its name, its address and its consumer; then the order of the files' names decides. A pipeline is
removed when no file defines it any more. Pipelines that take something over from each other are one change; others have
changes of their own, so that what is refused of one is nothing to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..config import Problem
from ..config.folder import too_many_tables
from ..facts import MAX_CUSTOMER_TABLE_BYTES
from .states import Broken, Ready, State

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
class Change:
    """All of it at once, or nothing. `removes` are pipelines that no file defines any more."""

    installs: tuple[Install, ...]
    removes: tuple[Key, ...] = ()


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
    """Of `changes` those without an install come last. `owners` are the files of what stays as it is."""

    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    owners: Mapping[Key, str]


def key_of(ready: Ready) -> Key:
    return ready.file.customer, ready.file.pipeline


def claims_of(ready: Ready) -> tuple[str, ...]:
    """What no other pipeline of the node can have as well: an address, a durable consumer."""
    claim = ready.file.summary.source.claim
    return () if claim is None else (claim.what,)


def plan(states: Mapping[str, State], running: Mapping[Key, Running]) -> Plan:
    """`states` are all files that there are, by path."""
    claims = _Claims(states, running)
    owners: dict[Key, str] = {}
    installs: list[Install] = []
    for key, (path, ready) in claims.accepted.items():
        now = running.get(key)
        if now is not None and ready.runs_like(now.ready):
            owners[key] = path
        else:
            installs.append(Install(path, ready))
    gone = [key for key in running if key not in claims.accepted and key not in claims.held]
    problems = claims.problems()
    findings = [Finding(path, problems[path], claims.goes_on(path)) for path in sorted(problems)]
    # Served without its canary.
    alone = ((path, ready, key) for key, (path, ready) in claims.accepted.items() if ready.canary_problems)
    findings += [Finding(path, ready.canary_problems, key) for path, ready, key in alone]
    findings.sort(key=lambda one: one.path)
    return Plan(tuple(_changes(installs, gone, running)), tuple(findings), owners)


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
        self._table_bytes: dict[str, int] = {}
        for key in self.held:
            self._hold_tables(self._running[key].ready)
        self._claimed = {claim: path for key, path in self._names.items() for claim in self._claims_at(key)}
        self._refused = {path: problems for path, problems in self._refused.items() if path in self._clinging}
        before = len(self._clinging)
        for path in self._order:
            if path in self._clinging:
                continue
            problem = self._take(path)
            if problem is not None:
                self._refuse(path, problem)
        return len(self._clinging) > before

    def _refuse(self, path: str, problem: Problem) -> None:
        """Whoever was given what it holds on to is refused in turn, at once: a long chain would be as many rounds."""
        left = [(path, problem)]
        while left:
            path, problem = left.pop()
            self._refused[path] = (problem,)
            if path not in self._owned or path in self._clinging:
                continue
            self._clinging.add(path)
            key = self._owned[path]
            holders = [self._names.get(key), *(self._claimed.get(claim) for claim in self._claims_at(key))]
            for other in dict.fromkeys(holders):
                if other is not None and other != path and other not in self._clinging and other not in self._refused:
                    left.append((other, self._conflict(other, path, key)))

    def _conflict(self, path: str, holder: str, key: Key) -> Problem:
        """`path` wants what `holder` holds on to of its running pipeline."""
        ready = self._ready[path]
        if key_of(ready) == key:
            return self._is_named(ready, holder)
        return self._is_claimed(ready, next(one for one in claims_of(ready) if one in self._claims_at(key)), holder)

    def _claims_at(self, key: Key) -> tuple[str, ...]:
        return claims_of(self._running[key].ready)

    def _take(self, path: str) -> Problem | None:
        """Gives a file what it wishes, or says who has it."""
        ready = self._ready[path]
        if (name := self._names.get(key_of(ready))) is not None:
            return self._is_named(ready, name)
        for claim in claims_of(ready):
            if (name := self._claimed.get(claim)) is not None:
                return self._is_claimed(ready, claim, name)
        held = self._table_bytes.get(ready.file.customer, 0)
        if ready.table_bytes and held + ready.table_bytes > MAX_CUSTOMER_TABLE_BYTES:
            return too_many_tables(ready.file)
        self._hold_tables(ready)
        self.accepted[key_of(ready)] = path, ready
        self._names[key_of(ready)] = path
        self._claimed |= dict.fromkeys(claims_of(ready), path)
        return None

    def _hold_tables(self, ready: Ready) -> None:
        customer = ready.file.customer
        self._table_bytes[customer] = self._table_bytes.get(customer, 0) + ready.table_bytes

    @staticmethod
    def _is_named(ready: Ready, by: str) -> Problem:
        reason = f"the pipeline {ready.file.name} is defined in {by} already"
        return ready.file.problem("config/conflict", reason, "/pipeline")

    @staticmethod
    def _is_claimed(ready: Ready, claim: str, by: str) -> Problem:
        source = ready.file.summary.source
        pointer = source.pointer if source.claim is None else source.claim.pointer
        return ready.file.problem("config/conflict", f"{claim} is that of {by} already", pointer)

    def _rank(self, path: str) -> tuple[int, str]:
        """What stays as it is comes first, then what changes, then what is new."""
        ready, key = self._ready[path], self._owned.get(path)
        if key is None or key != key_of(ready):
            return 2, path
        return int(claims_of(self._running[key].ready) != claims_of(ready)), path


def _changes(installs: list[Install], gone: list[Key], running: Mapping[Key, Running]) -> Iterator[Change]:
    """Removals of their own come last, so that a pipeline that was renamed is served without a gap."""
    groups = _Groups()
    holders = {claim: key for key, one in running.items() for claim in claims_of(one.ready)}
    for one in installs:
        for claim in claims_of(one.ready):
            groups.join(key_of(one.ready), holders.get(claim, key_of(one.ready)))
    together: dict[Key, tuple[list[Install], list[Key]]] = {}
    for one in installs:
        together.setdefault(groups.find(key_of(one.ready)), ([], []))[0].append(one)
    for key in gone:
        if (change := together.get(groups.find(key))) is not None:
            change[1].append(key)
    for some, removes in together.values():
        yield Change(tuple(some), tuple(removes))
    for key in gone:
        if groups.find(key) not in together:
            yield Change((), (key,))


class _Groups:
    """Keys that belong together (a disjoint-set forest with path halving)."""

    def __init__(self) -> None:
        self._parents: dict[Key, Key] = {}

    def find(self, key: Key) -> Key:
        while (parent := self._parents.get(key, key)) != key:
            above = self._parents.get(parent, parent)
            self._parents[key] = above
            key = above
        return key

    def join(self, one: Key, other: Key) -> None:
        first, second = self.find(one), self.find(other)
        if first != second:
            self._parents[second] = first
