"""All pipeline files of a path: one file, or every *.yaml and *.yml below a folder."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from .pipeline import PipelineFile, load
from .problem import InvalidConfig, Problem

MAX_FILES = 10_000


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
    problems: list[Problem] = []
    try:
        for file in find(path):
            try:
                if file != path:
                    _look_at(file)
                loaded.append(load(file))
            except InvalidConfig as invalid:
                problems += invalid.problems
    except InvalidConfig as invalid:
        problems += invalid.problems
    problems += conflicts(loaded)
    wrong = {problem.file for problem in problems}
    return [one for one in loaded if one.source.name not in wrong], problems


def find(path: Path) -> list[Path]:
    """Raises InvalidConfig when there is nothing to read. Hidden folders are left out; what has the name of
    a pipeline file and is none is not."""
    if not path.is_dir():
        return [path]
    names = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix in {".yaml", ".yml"} and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not names:
        reason = "the folder holds no *.yaml or *.yml file"
        raise InvalidConfig(
            [Problem("config/file-not-found", reason, str(path), hint="Name a pipeline file or its folder.")]
        )
    if len(names) > MAX_FILES:
        raise InvalidConfig([Problem("config/too-large", f"more than {MAX_FILES:,} pipeline files", str(path))])
    return names


def _look_at(file: Path) -> None:
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
