"""All pipeline files of a path: one file, or every *.yaml and *.yml below a folder that is no snippet."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ..facts import MAX_CUSTOMER_TABLE_BYTES
from . import rounds
from .pipeline import PipelineFile, load, load_each
from .problem import InvalidConfig, Problem
from .snippets import is_snippet
from .summary import Claim
from .variables import NOTHING

MAX_FILES = 100_000


def load_all(path: Path, given: Mapping[str, str] = NOTHING) -> list[PipelineFile]:
    """Every pipeline file, checked, in the order of their names. Raises InvalidConfig with the
    problems of all files, not only of the first. `given` are the operator's variables."""
    loaded, problems = examine(path, given)
    if problems:
        raise InvalidConfig(problems)
    return loaded


def examine(path: Path, given: Mapping[str, str] = NOTHING) -> tuple[list[PipelineFile], list[Problem]]:
    """The files that are right, and every problem of those that are not."""
    loaded: list[PipelineFile] = []
    names, problems = find(path)
    if not names and not problems:
        problems = [nothing_in(path)]
    for one in read_each(names, given) if names != [str(path)] else [_named(path, given)]:
        if isinstance(one, InvalidConfig):
            problems += one.problems
        else:
            loaded.append(one)
    problems += conflicts(loaded)
    wrong = {problem.file for problem in problems}
    return [one for one in loaded if one.source.name not in wrong], problems


def _named(path: Path, given: Mapping[str, str]) -> PipelineFile | InvalidConfig:
    """A file that the command line names: read like any program's input, which may be a pipe."""
    try:
        return load(path, given=given)
    except InvalidConfig as invalid:
        return invalid


def read_each(names: Iterable[str], given: Mapping[str, str] = NOTHING) -> Iterator[PipelineFile | InvalidConfig]:
    """What `find` has found, read and compiled; what is wrong with one takes its place. Waits for no pipe."""
    there: list[Path | InvalidConfig] = []
    for file in map(Path, names):
        try:
            look_at(file)
            there.append(file)
        except InvalidConfig as invalid:
            there.append(invalid)
    loaded = load_each((file for file in there if isinstance(file, Path)), given)
    for one in there:
        yield one if isinstance(one, InvalidConfig) else next(loaded)


def nothing_in(path: Path) -> Problem:
    reason = "the folder holds no *.yaml or *.yml file"
    return Problem("config/file-not-found", reason, str(path), hint="Name a pipeline file or its folder.")


def find(path: Path) -> tuple[list[str], list[Problem]]:
    """Paths of what has the name of a pipeline file, sorted, and the folders that cannot be read. Hidden folders are
    left out; what has such a name and is no file is not."""
    if not os.path.isdir(path):  # noqa: PTH112 - which raises nothing
        return [str(path)], []
    return find_in(path)


def find_in(path: Path) -> tuple[list[str], list[Problem]]:
    """The same of what is, or was, a folder. A problem's file is the folder, written like the paths of its files."""
    problems: list[Problem] = []
    found = sorted(_names(str(path), problems), key=_by_parts)
    if len(found) > MAX_FILES:
        return [], [Problem("config/too-large", f"more than {MAX_FILES:,} pipeline files", str(path))]
    return found, problems


def _names(path: str, problems: list[Problem]) -> Iterator[str]:
    folders = [path]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                there = [entry for entry in entries if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError) as error:
            if folder == path:  # any other has gone since it was found
                problems.append(_unreadable(folder, error))
            continue
        except OSError as error:
            problems.append(_unreadable(folder, error))
            continue
        for entry in there:
            # A Path each would cost more than all the rest; like one it does not begin with `./`.
            name = entry.path.removeprefix("./")
            if name.endswith((".yaml", ".yml")) and not is_snippet(name):
                yield name
            if _is_folder(entry):
                folders.append(name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _by_parts(name: str) -> str:
    """Sorts like the parts of the name, in which no NUL can be; a list of parts for each of thousands costs more."""
    return name.replace(os.sep, "\0")


def _unreadable(folder: str, error: OSError) -> Problem:
    reason = f"the folder cannot be read: {error.strerror}"
    return Problem("config/file-not-found", reason, folder, hint="Check the path.")


def is_below(name: str, folder: str) -> bool:
    """Whether a name that `find` gives is in this folder, or in one below it."""
    return folder == os.curdir or name.startswith(folder.rstrip(os.sep) + os.sep)


def look_at(file: Path) -> None:
    """Raises InvalidConfig for what is no file: left out without a word, its pipeline would be missed only when
    messages are."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        reason, hint = f"cannot be read: {error.strerror}", "Check the path."
        if isinstance(error, FileNotFoundError) and os.path.islink(file):  # noqa: PTH114 - which raises nothing
            reason, hint = "the symlink leads nowhere", "Mend the symlink, or remove it."
    except ValueError as error:
        reason, hint = f"cannot be read: {error}", "Rename it."
    else:
        if stat.S_ISREG(mode):
            return
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        reason, hint = f"is {what}, under the name of a pipeline file", "Rename it, or move it elsewhere."
    raise InvalidConfig([Problem("config/file-not-found", reason, str(file), hint=hint)])


def conflicts(loaded: list[PipelineFile]) -> list[Problem]:
    """Two files may not define the same pipeline, nor want what a node has once: the path of a customer, the durable of
    a stream. Nor may the tables of a customer take more memory than one customer's share, or files lead messages round
    for ever."""
    return [
        *_too_many_tables(loaded),
        *_twice(loaded, lambda one: Claim(f"the pipeline {one.name}", "/pipeline")),
        *_twice(loaded, lambda one: one.summary.source.claim),
        *rounds.problems(loaded),
    ]


def _too_many_tables(loaded: list[PipelineFile]) -> Iterator[Problem]:
    taken: dict[str, int] = {}
    for one in loaded:
        if not one.summary.table_bytes:
            continue
        taken[one.customer] = taken.get(one.customer, 0) + one.summary.table_bytes
        if taken[one.customer] > MAX_CUSTOMER_TABLE_BYTES:
            yield too_many_tables(one)


def too_many_tables(one: PipelineFile) -> Problem:
    """Of the file whose tables are too many, beside those of the customer's other pipelines."""
    most, own = MAX_CUSTOMER_TABLE_BYTES >> 20, -(-one.summary.table_bytes // (1 << 20))
    reason = f"the tables of the customer {one.customer} take more than {most} MiB together, {own} MiB of it these"
    return one.problem("config/too-large", reason, "/tables", "Keep fewer rows and columns.")


def _twice(loaded: list[PipelineFile], claim_of: Callable[[PipelineFile], Claim | None]) -> list[Problem]:
    first: dict[str, list[tuple[Claim, PipelineFile]]] = {}
    problems = []
    for one in loaded:
        claim = claim_of(one)
        if claim is None:
            continue
        group = first.setdefault(claim.group, [])
        earlier = next(((held, by) for held, by in group if held.meets(claim)), None)
        if earlier is None:
            group.append((claim, one))
            continue
        held, by = earlier
        reason = f"{held.what} is defined in {by.source.name} already"
        if held.what != claim.what:
            reason = f"{claim.what} may be among {held.what}, which {by.source.name} has already"
        problems.append(one.problem("config/conflict", reason, claim.pointer))
    return problems
