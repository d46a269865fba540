"""One pipeline file, read and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from .. import _native
from ..errors import Place, VrskyError
from ..facts import MAX_FILE_BYTES
from . import files, reader, schema, summary
from .emit import emit, misread, walk
from .locate import locate
from .problem import InvalidConfig, Problem
from .source import Mark, Source
from .tree import Node, Scalar

_ANY_SCRIPT = "export default (msg) => msg"


@dataclass(frozen=True)
class PipelineFile:
    """What the node installs: `json` is canonical, `scripts` holds the files it names by their name, and
    `summary` is what everybody else wants to know of it."""

    path: Path
    json: str
    summary: summary.Summary
    scripts: dict[str, str]
    source: Source
    root: Node = field(repr=False)

    @cached_property
    def model(self) -> dict[str, Any]:
        """The canonical JSON, parsed. Not to be changed."""
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
        files = (out for out in self.summary.outs if out.kind == "file")
        return [(f"{out.pointer}/path", PurePosixPath(out.options["path"])) for out in files]

    def problem(self, code: str, reason: str, pointer: str, hint: str = "") -> Problem:
        """A finding of ours about a place in this file."""
        return locate(
            self.source,
            self.root,
            code=code,
            reason=reason,
            hint=hint or advice(code),
            pointer=pointer,
        )


def load(path: Path, name: str | None = None) -> PipelineFile:
    """Reads and checks one file. `name` is how messages call it; by default the path as given.
    Raises InvalidConfig with every problem found."""
    called = name or str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise InvalidConfig([Problem("config/file-not-found", reason, called, hint="Check the path.")]) from None
    return parse(called, data, path)


def parse(name: str, data: bytes, path: Path) -> PipelineFile:
    """The same for bytes that are at hand; files it names are looked up beside `path`."""
    source, root = reader.read(name, data)
    model = schema.pipeline_file()
    scripts, missing = _files(source, root, model, path.parent)
    cut = misread(source, root, model)
    found: list[Problem] = []
    canonical = known = ""
    try:
        canonical, known = _native.check_pipeline(emit(root, model), scripts)
    except VrskyError as error:
        found = [_problem(source, root, scripts, fault) for fault in _faults(error)]
    if problems := [*missing, *cut, *_others(found, missing)]:
        raise InvalidConfig(sorted(problems, key=lambda problem: _order(problem, name)))
    return PipelineFile(path, canonical, summary.read(known), scripts, source, root)


def _others(found: list[Problem], missing: list[Problem]) -> list[Problem]:
    """What is said already is not said again."""
    said = {problem.pointer for problem in missing}
    return [one for one in found if one.pointer not in said]


def _order(problem: Problem, name: str) -> tuple[bool, int, int]:
    """As one reads: the pipeline file from its beginning, then the scripts."""
    mark = problem.mark or Mark(1, 1)
    return problem.file != name, mark.line, mark.column


def _files(source: Source, root: Node, model: schema.View, folder: Path) -> tuple[dict[str, str], list[Problem]]:
    """The scripts that the steps name, by their name; files of tests only have to be there. In place of
    a script that cannot be read stands one that hides nothing else."""
    scripts: dict[str, str] = {}
    problems = []
    for pointer, _, node, here in walk(root, model):
        if not isinstance(node, Scalar) or not node.text or not here.has_format("file"):
            continue
        try:
            if pointer.startswith("/steps/"):
                scripts[node.text] = _ANY_SCRIPT
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
    return scripts, problems


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


# What a key may be wrong in, by the formats that a value would need for the error to be the value's.
_FORMATS_OF = {"config/invalid-path": ("path",), "config/invalid-name": ("name", "secret-name")}


def _is_of_key(root: Node, code: str, pointer: str) -> bool:
    wanted = _FORMATS_OF.get(code, ())
    here = next((view for found, _, _, view in walk(root, schema.pipeline_file()) if found == pointer), None)
    return bool(wanted) and here is not None and not any(here.has_format(each) for each in wanted)


def _next_to(name: str, script: str) -> str:
    return str(Path(name).parent / script)


@cache
def _advice() -> dict[str, str]:
    return {row["code"]: row["advice"] for row in json.loads(_native.error_table())}


def advice(code: str) -> str:
    """What the user can do about an error of this code, in a sentence."""
    return _advice().get(code, "")
