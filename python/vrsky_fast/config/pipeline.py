"""One pipeline file, read and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

from .. import _native
from ..errors import Place, VrskyError
from ..facts import MAX_FILE_BYTES
from . import files, quoting, reader, schema, snippets, summary, variables
from .emit import ScalarAt, emit, misread, scalars_of, walk
from .files import Stat
from .locate import locate
from .problem import InvalidConfig, Problem, defect
from .snippets import Sources
from .source import Mark, Source
from .tree import Node, Scalar, find

_ANY_SCRIPT = "export default (msg) => msg"
# Files that are read before they are compiled together, and the characters of scripts and tables beside them.
_AT_ONCE = 256
_TEXT_AT_ONCE = 64 << 20


@dataclass(frozen=True)
class PipelineFile:
    """What the node installs: `compiled`, with the scripts and tables that it names. `summary` is what everybody else
    wants to know of it; the text stays for places in it, the nodes made of it do not."""

    path: Path
    compiled: _native.Pipeline
    summary: summary.Summary
    beside: Mapping[str, Stat] = field(repr=False, compare=False)
    """The files that it names, by path, each as it was before it was read."""
    source: Source = field(repr=False)
    snippets: Mapping[str, bytes] = field(repr=False, compare=False)
    """The snippets that it includes, by name."""

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
    def key(self) -> str:
        """In the bucket, such as `acme.orders`."""
        return f"{self.customer}.{self.pipeline}"

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
        hint = hint or advice(code)
        try:
            sources, root = self._nodes()
        except (InvalidConfig, KeyError):
            # A text that somebody has written into the bucket by hand, and that is not what was compiled.
            return Problem(code, reason, self.source.name, hint=hint, pointer=pointer or None)
        return locate(sources.of(pointer), root, code=code, reason=reason, hint=hint, pointer=pointer)

    def read_texts(self) -> dict[str, str]:
        """Its scripts and tables by name, read from the disk again. Raises InvalidConfig when they are not those that
        were compiled."""
        sources, root = self._nodes()
        places = scalars_of(root, schema.pipeline_file(), "file")
        texts, problems = _files(sources, places["file"], self.path.parent, {})
        if problems:
            raise InvalidConfig(problems)
        (again,) = _native.compile_pipelines([(self.json, texts)])
        if isinstance(again, VrskyError) or again.revision != self.compiled.revision:
            reason = "a script or table beside the file changed while it was read"
            raise InvalidConfig([self.problem("config/changed-meanwhile", reason, "")])
        return texts

    def _nodes(self) -> tuple[Sources, Node]:
        """Raises InvalidConfig, and KeyError for a snippet that is not at hand."""
        _, root = reader.read(self.source.name, self.source.text.encode())
        sources, _ = snippets.expand(self.source, root, schema.pipeline_file(), self.snippets.__getitem__)
        return sources, root


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
    for drafts in _read_each(paths, given):
        compiled = iter(_compile_each([one for one in drafts if isinstance(one, _Draft)]))
        yield from (next(compiled) if isinstance(one, _Draft) else one for one in drafts)


def compile_stored(drafts: Sequence[StoredDraft]) -> list[PipelineFile | InvalidConfig]:
    """Compiles what earlier versions of these files became, without reading a file. What is wrong with one takes its
    place, at its place in the text that is stored with it."""
    compiled = _native.compile_pipelines([(one.json, dict(one.texts)) for one in drafts])
    return [_restored(draft, one) for draft, one in zip(drafts, compiled, strict=True)]


def _restored(stored: StoredDraft, compiled: _native.Pipeline | VrskyError) -> PipelineFile | InvalidConfig:
    if isinstance(compiled, _native.Pipeline):
        found = summary.read(compiled.summary)
        return PipelineFile(stored.path, compiled, found, {}, stored.source, stored.snippets)
    try:
        _, root = reader.read(stored.source.name, stored.source.text.encode())
        sources, _ = snippets.expand(stored.source, root, schema.pipeline_file(), stored.snippets.__getitem__)
    except (InvalidConfig, KeyError):
        name = stored.source.name
        return InvalidConfig([Problem(one.code, one.reason, name, hint=advice(one.code)) for one in _faults(compiled)])
    texts = dict(stored.texts)
    draft = _Draft(stored.path, stored.source, sources, root, texts, dict(stored.snippets), {}, [], stored.json)
    return _finished(draft, compiled)


def _read_each(paths: Iterable[Path], given: Mapping[str, str]) -> Iterator[list[_Draft | InvalidConfig]]:
    """Some at a time, so that neither they nor what they name fills the memory."""
    drafts: list[_Draft | InvalidConfig] = []
    size = 0
    for path in paths:
        try:
            draft = _read(path, str(path), given, at_once=True)
            size += sum(map(len, draft.texts.values()))
            drafts.append(draft)
        except InvalidConfig as invalid:
            drafts.append(invalid)
        except Exception as error:
            drafts.append(InvalidConfig([defect(str(path), error)]))
        if len(drafts) == _AT_ONCE or size > _TEXT_AT_ONCE:
            yield drafts
            drafts, size = [], 0
    if drafts:
        yield drafts


def _compile_each(drafts: Sequence[_Draft]) -> list[PipelineFile | InvalidConfig]:
    """`_compile`; what it fails at takes nothing from the others."""
    try:
        return _compile(drafts)
    except Exception as error:
        if len(drafts) == 1:
            return [InvalidConfig([defect(drafts[0].source.name, error)], drafts[0].beside)]
        return [found for draft in drafts for found in _compile_each([draft])]


@dataclass(frozen=True)
class StoredDraft:
    """A file as it was compiled before: its JSON after snippets and variables, the scripts and tables by name, and its
    own text, for places in it."""

    path: Path
    source: Source
    snippets: Mapping[str, bytes]
    json: str
    texts: Mapping[str, str]


@dataclass(frozen=True)
class _Draft:
    """A file that is read, and not compiled yet. `problems` are those that the native core does not see."""

    path: Path
    source: Source
    sources: Sources
    root: Node
    texts: dict[str, str]
    """Of the scripts and tables, by name."""
    snippets: dict[str, bytes]
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
    if snippets.is_snippet(name):
        hint = "Name the pipeline file that includes it."
        raise InvalidConfig([Problem("config/invalid-include", "is a snippet, no pipeline file", name, hint=hint)])
    source, root = reader.read(name, data)
    model = schema.pipeline_file()
    beside: dict[str, Stat] = {}
    included: dict[str, bytes] = {}
    sources, unplaced = snippets.expand(source, root, model, partial(_snippet, path.parent, beside, included))
    unresolved = variables.resolve(sources, root, model, given)
    places = scalars_of(root, model, "file", "expression")
    texts, missing = _files(sources, places["file"], path.parent, beside)
    cut = misread(sources, places["expression"])
    problems = [*unplaced, *unresolved, *missing, *cut]
    return _Draft(path, source, sources, root, texts, included, beside, problems, emit(root, model))


def _snippet(folder: Path, beside: dict[str, Stat], included: dict[str, bytes], name: str) -> bytes:
    """Raises Refused."""
    path = str(files.path_of(folder, name))
    beside.setdefault(path, files.stat_of(path))
    if name not in included:
        included[name] = files.read_bytes(folder, name, MAX_FILE_BYTES)
    return included[name]


def _compile(drafts: Sequence[_Draft]) -> list[PipelineFile | InvalidConfig]:
    compiled = _native.compile_pipelines([(draft.json, draft.texts) for draft in drafts])
    return [_finished(draft, one) for draft, one in zip(drafts, compiled, strict=True)]


def _finished(draft: _Draft, compiled: _native.Pipeline | VrskyError) -> PipelineFile | InvalidConfig:
    faults = _faults(compiled) if isinstance(compiled, VrskyError) else []
    found = [_problem(draft, fault) for fault in faults]
    if problems := [*draft.problems, *_others(found, draft.problems)]:
        in_order = sorted(problems, key=lambda problem: _order(problem, draft.source.name))
        return InvalidConfig(in_order, draft.beside)
    assert isinstance(compiled, _native.Pipeline)
    return PipelineFile(
        draft.path, compiled, summary.read(compiled.summary), draft.beside, draft.source, draft.snippets
    )


def _only(found: list[PipelineFile | InvalidConfig]) -> PipelineFile:
    (one,) = found
    if isinstance(one, InvalidConfig):
        raise one
    return one


def _others(found: list[Problem], missing: list[Problem]) -> list[Problem]:
    """What is said already is not said again."""
    said = {problem.pointer for problem in missing}
    return [one for one in found if not any(f"{one.pointer}/".startswith(f"{pointer}/") for pointer in said)]


def _order(problem: Problem, name: str) -> tuple[bool, str, int, int]:
    """As one reads: the pipeline file from its beginning, then the files beside it."""
    mark = problem.mark or Mark(1, 1)
    return problem.file != name, problem.file, mark.line, mark.column


def _files(
    sources: Sources, named: list[ScalarAt], folder: Path, beside: dict[str, Stat]
) -> tuple[dict[str, str], list[Problem]]:
    """The scripts that the steps name, and the tables, by their name; files of tests only have to be there. In place of
    a script that cannot be read stands one that hides nothing else. `beside` gets all of these files by path, as far as
    their names are paths, as they are before they are read."""
    texts: dict[str, str] = {}
    problems = []
    for place in named:
        pointer, node = place.pointer, place.node
        if not node.text:
            continue
        is_script = pointer.startswith("/steps/")
        if is_script:
            texts[node.text] = _ANY_SCRIPT
        try:
            path = str(files.path_of(folder, node.text))
            beside.setdefault(path, files.stat_of(path))
            if is_script:
                texts[node.text] = files.read_script(folder, node.text)
            elif pointer.startswith("/tables/"):
                texts[node.text] = files.read_table(folder, node.text)
            else:
                files.beside(folder, node.text)
        except files.Refused as refused:
            length = node.end.column - node.start.column
            found = Problem.at(
                sources.of(pointer),
                node.start,
                refused.code,
                refused.reason,
                hint=advice(refused.code),
                length=length,
                pointer=pointer,
            )
            problems.append(found)
    return texts, problems


def _faults(error: VrskyError) -> list[VrskyError]:
    """All that the validation found; the error itself speaks of the first."""
    return list(error.faults) or [error]


def _problem(draft: _Draft, error: VrskyError) -> Problem:
    """Rust's finding, placed: in the script or table it names, or in the YAML by its pointer."""
    root, texts = draft.root, draft.texts
    code, reason, hint = error.code, error.reason, advice(error.code)
    place = error.place or Place()
    script, pointer = place.file, place.pointer or ""
    source = draft.sources.of(pointer)
    if script in texts and place.line is not None:
        text = Source(_next_to(draft.source.name, script), texts[script])
        return Problem.at(text, Mark(place.line, place.column or 1), code, reason, hint=hint)
    if script is not None and script not in texts and pointer.endswith("/script"):
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
