"""One pipeline file, read and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from .. import _native
from ..errors import Place, VrskyError
from ..facts import MAX_FILE_BYTES
from . import files, quoting, reader, schema, summary, variables
from .emit import ScalarAt, emit, misread, scalars_of, walk
from .files import Stat
from .locate import locate
from .problem import InvalidConfig, Problem, defect
from .source import Mark, Source
from .tree import Node, Scalar, find

_ANY_SCRIPT = "export default (msg) => msg"
# Files that are read before they are compiled together.
_AT_ONCE = 256


@dataclass(frozen=True)
class PipelineFile:
    """What the node installs: `compiled`, with the scripts that it names. `summary` is what everybody else wants to
    know of it; the text stays for places in it, the nodes made of it do not."""

    path: Path
    compiled: _native.Pipeline
    summary: summary.Summary
    beside: Mapping[str, Stat] = field(repr=False, compare=False)
    """The files that it names, by path, each as it was before it was read."""
    source: Source = field(repr=False)

    @property
    def json(self) -> str:
        """The canonical file."""
        return self.compiled.json

    @property
    def model(self) -> dict[str, Any]:
        """The canonical file, parsed."""
        model: dict[str, Any] = json.loads(self.json)
        return model

    @property
    def customer(self) -> str:
        return self.summary.customer

    @property
    def pipeline(self) -> str:
        return self.summary.pipeline

    @property
    def name(self) -> str:
        """Such as `acme/orders`."""
        return f"{self.customer}/{self.pipeline}"

    @property
    def file_outs(self) -> list[tuple[str, PurePosixPath]]:
        """Of each file out the pointer to its path, and the path."""
        outs = self.summary.outs
        return [(f"{out.pointer}/path", PurePosixPath(out.file)) for out in outs if out.file is not None]

    def problem(self, code: str, reason: str, pointer: str, hint: str = "") -> Problem:
        """A finding of ours about a place in this file."""
        _, root = reader.read(self.source.name, self.source.text.encode())
        return locate(
            self.source,
            root,
            code=code,
            reason=reason,
            hint=hint or advice(code),
            pointer=pointer,
        )


def load(path: Path, name: str | None = None, given: Mapping[str, str] = variables.NOTHING) -> PipelineFile:
    """Reads and checks one file. `name` is how messages call it; by default the path as given. `given` are the
    operator's variables. Raises InvalidConfig with every problem found."""
    return _only(_compile([_read(path, name or str(path), given)]))


def parse(name: str, data: bytes, path: Path, given: Mapping[str, str] = variables.NOTHING) -> PipelineFile:
    """The same for bytes that are at hand; files it names are looked up beside `path`."""
    return _only(_compile([_draft(name, data, path, given)]))


def load_each(
    paths: Iterable[Path], given: Mapping[str, str] = variables.NOTHING
) -> Iterator[PipelineFile | InvalidConfig]:
    """The same for many, in their order; what is wrong with one takes its place, a defect of ours included. Far quicker
    than one by one. Never waits for a writer, as a pipe would have it."""
    paths = iter(paths)
    while some := list(islice(paths, _AT_ONCE)):
        drafts: list[_Draft | InvalidConfig] = []
        for path in some:
            try:
                drafts.append(_read(path, str(path), given, at_once=True))
            except InvalidConfig as invalid:
                drafts.append(invalid)
            except Exception as error:
                drafts.append(InvalidConfig([defect(str(path), error)]))
        compiled = iter(_compile_each([one for one in drafts if isinstance(one, _Draft)]))
        yield from (next(compiled) if isinstance(one, _Draft) else one for one in drafts)


def _compile_each(drafts: Sequence[_Draft]) -> list[PipelineFile | InvalidConfig]:
    """`_compile`; what it fails at takes nothing from the others."""
    try:
        return _compile(drafts)
    except Exception as error:
        if len(drafts) == 1:
            return [InvalidConfig([defect(drafts[0].source.name, error)], drafts[0].beside)]
        return [found for draft in drafts for found in _compile_each([draft])]


@dataclass(frozen=True)
class _Draft:
    """A file that is read, and not compiled yet. `problems` are those that the native core does not see."""

    path: Path
    source: Source
    root: Node
    scripts: dict[str, str]
    beside: dict[str, Stat]
    problems: list[Problem]
    json: str


def _read(path: Path, name: str, given: Mapping[str, str], at_once: bool = False) -> _Draft:
    """With `at_once` only what is a regular file."""
    try:
        with open(path, "rb", opener=files.open_at_once if at_once else None) as file:
            if at_once and not files.is_regular(file.fileno()):
                raise OSError(0, "it is no regular file")
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise InvalidConfig([Problem("config/file-not-found", reason, name, hint="Check the path.")]) from None
    return _draft(name, data, path, given)


def _draft(name: str, data: bytes, path: Path, given: Mapping[str, str]) -> _Draft:
    source, root = reader.read(name, data)
    model = schema.pipeline_file()
    unresolved = variables.resolve(source, root, model, given)
    places = scalars_of(root, model, "file", "expression")
    scripts, beside, missing = _files(source, places["file"], path.parent)
    cut = misread(source, places["expression"])
    return _Draft(path, source, root, scripts, beside, [*unresolved, *missing, *cut], emit(root, model))


def _compile(drafts: Sequence[_Draft]) -> list[PipelineFile | InvalidConfig]:
    compiled = _native.compile_pipelines([(draft.json, draft.scripts) for draft in drafts])
    return [_finished(draft, one) for draft, one in zip(drafts, compiled, strict=True)]


def _finished(draft: _Draft, compiled: _native.Pipeline | VrskyError) -> PipelineFile | InvalidConfig:
    faults = _faults(compiled) if isinstance(compiled, VrskyError) else []
    found = [_problem(draft.source, draft.root, draft.scripts, fault) for fault in faults]
    if problems := [*draft.problems, *_others(found, draft.problems)]:
        in_order = sorted(problems, key=lambda problem: _order(problem, draft.source.name))
        return InvalidConfig(in_order, draft.beside)
    assert isinstance(compiled, _native.Pipeline)
    return PipelineFile(draft.path, compiled, summary.read(compiled.summary), draft.beside, draft.source)


def _only(found: list[PipelineFile | InvalidConfig]) -> PipelineFile:
    (one,) = found
    if isinstance(one, InvalidConfig):
        raise one
    return one


def _others(found: list[Problem], missing: list[Problem]) -> list[Problem]:
    """What is said already is not said again."""
    said = {problem.pointer for problem in missing}
    return [one for one in found if not any(f"{one.pointer}/".startswith(f"{pointer}/") for pointer in said)]


def _order(problem: Problem, name: str) -> tuple[bool, int, int]:
    """As one reads: the pipeline file from its beginning, then the scripts."""
    mark = problem.mark or Mark(1, 1)
    return problem.file != name, mark.line, mark.column


def _files(
    source: Source, named: list[ScalarAt], folder: Path
) -> tuple[dict[str, str], dict[str, Stat], list[Problem]]:
    """The scripts that the steps name, by their name; files of tests only have to be there. In place of
    a script that cannot be read stands one that hides nothing else. Then all of these files by path, as far as their
    names are paths, as they are before they are read."""
    scripts: dict[str, str] = {}
    beside: dict[str, Stat] = {}
    problems = []
    for place in named:
        pointer, node = place.pointer, place.node
        if not node.text:
            continue
        is_script = pointer.startswith("/steps/")
        if is_script:
            scripts[node.text] = _ANY_SCRIPT
        try:
            path = str(files.path_of(folder, node.text))
            beside.setdefault(path, files.stat_of(path))
            if is_script:
                scripts[node.text] = files.read_script(folder, node.text)
            else:
                files.beside(folder, node.text)
        except files.Refused as refused:
            length = node.end.column - node.start.column
            found = Problem.at(
                source,
                node.start,
                refused.code,
                refused.reason,
                hint=advice(refused.code),
                length=length,
                pointer=pointer,
            )
            problems.append(found)
    return scripts, beside, problems


def _faults(error: VrskyError) -> list[VrskyError]:
    """All that the validation found; the error itself speaks of the first."""
    return list(error.faults) or [error]


def _problem(source: Source, root: Node, scripts: dict[str, str], error: VrskyError) -> Problem:
    """Rust's finding, placed: in the script it names, or in the YAML by its pointer."""
    code, reason, hint = error.code, error.reason, advice(error.code)
    place = error.place or Place()
    script, pointer = place.file, place.pointer or ""
    if script in scripts and place.line is not None:
        text = Source(_next_to(source.name, script), scripts[script])
        return Problem.at(text, Mark(place.line, place.column or 1), code, reason, hint=hint)
    if script is not None and script not in scripts and pointer.endswith("/script"):
        pointer += "/code"  # it stands in the pipeline file itself
    hint = (_quoting_hint(source, root, pointer) or hint) + _origin(root, pointer)
    return locate(
        source,
        root,
        code=code,
        reason=reason,
        hint=hint,
        pointer=pointer,
        line=place.line,
        column=place.column,
        of_key=_is_of_key(root, code, pointer),
    )


def _origin(root: Node, pointer: str) -> str:
    """What the hint says of a value that is not in the file."""
    node, _, is_there = find(root, pointer)
    name = node.variable if is_there and isinstance(node, Scalar) else None
    return f" The value is that of the variable {name}." if name else ""


def _quoting_hint(source: Source, root: Node, pointer: str) -> str | None:
    """The hint for an expression that is wrong because a comment begins within it."""
    found = next(
        ((parent, node, view) for at, parent, node, view in walk(root, schema.pipeline_file()) if at == pointer), None
    )
    if found is None or not isinstance(found[1], Scalar) or "expression" not in found[2].formats:
        return None
    return quoting.before_comment(source, found[0], found[1])


# What a key may be wrong in, by the formats that a value would need for the error to be the value's.
_FORMATS_OF = {"config/invalid-path": ("path",), "config/invalid-name": ("name", "secret-name")}


def _is_of_key(root: Node, code: str, pointer: str) -> bool:
    wanted = _FORMATS_OF.get(code, ())
    here = next((view for found, _, _, view in walk(root, schema.pipeline_file()) if found == pointer), None)
    return bool(wanted) and here is not None and here.formats.isdisjoint(wanted)


def _next_to(name: str, script: str) -> str:
    return str(Path(name).parent / script)


@cache
def _advice() -> dict[str, str]:
    return {row["code"]: row["advice"] for row in json.loads(_native.error_table())}


def advice(code: str) -> str:
    """What the user can do about an error of this code, in a sentence."""
    return _advice().get(code, "")
