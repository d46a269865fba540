"""A pipeline as its origin gives it: ready to be served, or broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..config import PipelineFile, Problem
from ..config.files import Stat, stat_of
from ..config.problem import defect
from ..config.secrets import resolve
from ..errors import SecretError


@dataclass(frozen=True, eq=False)
class Ready:
    """A file that can be served, with the values of its secrets. A reading that finds something else makes another
    one."""

    file: PipelineFile
    secrets: dict[str, str] = field(repr=False)
    canary: Canary | None = None
    canary_problems: tuple[Problem, ...] = ()
    """Why there is no canary though there is to be one: the file is served without."""

    @property
    def table_bytes(self) -> int:
        """Of the tables of both."""
        canary = 0 if self.canary is None else self.canary.file.summary.table_bytes
        return self.file.summary.table_bytes + canary

    def runs_like(self, other: Ready) -> bool:
        """Whether a node would do the same with both."""
        is_same = self.file.summary.revision == other.file.summary.revision and self.secrets == other.secrets
        return is_same and _share(self.canary) == _share(other.canary)


@dataclass(frozen=True, eq=False)
class Canary:
    """What runs so many millionths of the messages beside a file."""

    file: PipelineFile
    millionths: int


def _share(canary: Canary | None) -> tuple[str, int] | None:
    return None if canary is None else (canary.file.summary.revision, canary.millionths)


@dataclass(frozen=True, eq=False)
class Broken:
    """Why a file cannot be served. `file` is there when it is right in itself."""

    problems: tuple[Problem, ...]
    file: PipelineFile | None = None


State = Ready | Broken
Check = Callable[[PipelineFile], Sequence[Problem]]


def judge(read: PipelineFile, name: str, check: Check, folder: Path | None) -> State:
    """Whether a file that is right in itself can be served here. `name` is its place in its origin, `folder` that of
    the secrets."""
    values: dict[str, str] = {}
    try:
        problems = [*check(read), *missing_secrets(read, folder, values)]
    except Exception as error:
        problems = [defect(name, error)]
    return Broken(tuple(problems), read) if problems else Ready(read, values)


def secret_files(read: PipelineFile, folder: Path | None) -> dict[str, Stat]:
    """The files of its secrets in `folder`, by path, as they are now."""
    if folder is None:
        return {}
    paths = (str(folder / read.customer / secret) for secret in read.summary.secrets)
    return {path: stat_of(path) for path in paths}


def missing_secrets(one: PipelineFile, folder: Path | None, values: dict[str, str]) -> Iterator[Problem]:
    """Where the file names a secret that is not defined. `values` gets those that are, by name."""
    for name in one.summary.secrets:
        try:
            values |= resolve(one.customer, [name], folder)
        except SecretError as error:
            connectors = [one.summary.source, *one.summary.outs]
            where = next((each.pointer for each in connectors if name in each.secrets), "")
            yield one.problem(error.code, error.reason, where)


def says_the_same(one: State, other: State) -> bool:
    """Whether nobody has to hear of the other after the one."""
    if isinstance(one, Ready) and isinstance(other, Ready):
        is_same_canary = one.canary_problems == other.canary_problems and _share(one.canary) == _share(other.canary)
        return is_same_canary and one.secrets == other.secrets and _is_same(one.file, other.file)
    if isinstance(one, Broken) and isinstance(other, Broken):
        return one.problems == other.problems and _is_same(one.file, other.file)
    return False


def _is_same(one: PipelineFile | None, other: PipelineFile | None) -> bool:
    """Also for places in its text."""
    if one is None or other is None:
        return one is other
    is_same_text = one.source == other.source and one.snippets == other.snippets
    return one.summary.revision == other.summary.revision and is_same_text
