"""All pipeline files of a path: one file, or every *.yaml and *.yml below a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .pipeline import PipelineFile, load_each
from .problem import InvalidConfig, Problem

MAX_FILES = 100_000


def load_all(path: Path) -> list[PipelineFile]:
    """Every pipeline file, checked, in the order of their names. Raises InvalidConfig with the
    problems of all files, not only of the first."""
    loaded, problems = examine(path)
    if problems:
        raise InvalidConfig(problems)
    return loaded


def examine(path: Path) -> tuple[list[PipelineFile], list[Problem]]:
    """The files that are right, and every problem of those that are not."""
    loaded: list[PipelineFile] = []
    names, problems = find(path)
    if not names and not problems:
        problems = [nothing_in(path)]
    for one in read_each(names, path):
        if isinstance(one, InvalidConfig):
            problems += one.problems
        else:
            loaded.append(one)
    problems += conflicts(loaded)
    wrong = {problem.file for problem in problems}
    return [one for one in loaded if one.source.name not in wrong], problems


def read_each(names: Iterable[str], path: Path) -> Iterator[PipelineFile | InvalidConfig]:
    """What `find` has found in `path`, read and compiled; what is wrong with one takes its place."""
    there: list[Path | InvalidConfig] = []
    for file in map(Path, names):
        try:
            if file != path:
                look_at(file)
            there.append(file)
        except InvalidConfig as invalid:
            there.append(invalid)
    loaded = load_each(file for file in there if isinstance(file, Path))
    for one in there:
        yield one if isinstance(one, InvalidConfig) else next(loaded)


def nothing_in(path: Path) -> Problem:
    reason = "the folder holds no *.yaml or *.yml file"
    return Problem("config/file-not-found", reason, str(path), hint="Name a pipeline file or its folder.")


def find(path: Path) -> tuple[list[str], list[Problem]]:
    """Paths of what has the name of a pipeline file, sorted, and the folders that cannot be read. Hidden folders are
    left out; what has such a name and is no file is not."""
    if not path.is_dir():
        return [str(path)], []
    unreadable: list[OSError] = []
    found = sorted(_names(path, unreadable), key=_parts)
    problems = [_unreadable(error, path) for error in unreadable]
    if len(found) > MAX_FILES:
        return [], [Problem("config/too-large", f"more than {MAX_FILES:,} pipeline files", str(path))]
    return found, problems


def _names(path: Path, unreadable: list[OSError]) -> Iterator[str]:
    for folder, folders, files in os.walk(path, onerror=unreadable.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*folders, *files):
            if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                # A Path each would cost more than all the rest; like one it does not begin with `./`.
                yield os.path.join(folder, name).removeprefix("./")  # noqa: PTH118


def _parts(name: str) -> list[str]:
    return name.split(os.sep)  # noqa: PTH206 - likewise


def _unreadable(error: OSError, path: Path) -> Problem:
    reason = f"the folder cannot be read: {error.strerror}"
    return Problem("config/file-not-found", reason, str(error.filename or path), hint="Check the path.")


def look_at(file: Path) -> None:
    """Raises InvalidConfig for what stands in a folder and is no file: left out without a word, its pipeline
    would be missed only when messages are."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        reason, hint = "the symlink leads nowhere", "Mend the symlink, or remove it."
    except OSError as error:
        reason, hint = f"cannot be read: {error.strerror}", "Check the path."
    else:
        if stat.S_ISREG(mode):
            return
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        reason, hint = f"is {what}, under the name of a pipeline file", "Rename it, or move it elsewhere."
    raise InvalidConfig([Problem("config/file-not-found", reason, str(file), hint=hint)])


def conflicts(loaded: list[PipelineFile]) -> list[Problem]:
    """Two files may not define the same pipeline, nor listen on the same path of a customer, nor read a stream by the
    same durable: each would get a part of the other's messages."""
    return [
        *_twice(loaded, lambda one: one.name, "/pipeline", "the pipeline"),
        *_twice(loaded, lambda one: one.summary.source.address, "/in/http", "the address"),
        *_twice(loaded, _durable, "/in/nats/durable", "the durable"),
    ]


def _durable(one: PipelineFile) -> str | None:
    """One that the file names; the others are named by their pipelines."""
    source = one.summary.source
    named = source.jetstream is not None and "durable" in source.options
    return f"{source.options['stream']}/{source.options['durable']}" if named else None


def _twice(
    loaded: list[PipelineFile], key: Callable[[PipelineFile], str | None], pointer: str, what: str
) -> list[Problem]:
    first: dict[str, PipelineFile] = {}
    problems = []
    for one in loaded:
        name = key(one)
        if name is None:
            continue
        if name in first:
            reason = f"{what} {name} is defined in {first[name].source.name} already"
            problems.append(one.problem("config/conflict", reason, pointer))
        else:
            first[name] = one
    return problems
