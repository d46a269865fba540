"""YAML text -> nodes. Refuses what a pipeline file must not use: anchors, aliases, tags, duplicate
keys, several documents, and more bytes, values or levels than any real file has.

The event parser is libyaml's; nothing is constructed from tags, and no limit depends on how the text
is nested, since events are taken one at a time and the nodes are built without recursion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn, Protocol

import yaml

from ..facts import MAX_FILE_BYTES
from . import quoting
from .problem import InvalidConfig, Problem
from .source import Mark, Source
from .tree import Entry, Mapping, Node, Scalar, Sequence

MAX_NODES = 100_000
MAX_DEPTH = 64

_WRITE_OUT = "Take the anchor away, and write the value out wherever it is used."

# PyYAML's wheels hold libyaml; a build without it parses the same, more slowly.
_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _YamlMark(Protocol):
    """Both parsers have such a class of their own."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


def read(name: str, data: bytes) -> tuple[Source, Node]:
    """Raises InvalidConfig naming the place; never anything else, whatever the bytes are."""
    if len(data) > MAX_FILE_BYTES:
        reason = f"the file has more than {MAX_FILE_BYTES:,} bytes"
        raise InvalidConfig([Problem("config/too-large", reason, name, Mark(1, 1), hint="Split the file.")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        source = Source(name, data.decode("utf-8", errors="replace"))
        mark = source.mark(len(data[: error.start].decode("utf-8-sig", errors="replace")))
        reason = f"byte {error.start} is not UTF-8"
        problem = Problem.at(source, mark, "config/invalid-yaml", reason, hint="Save the file as UTF-8.")
        raise InvalidConfig([problem]) from None
    source = Source(name, text)
    try:
        return source, _Builder(source).build()
    except yaml.reader.ReaderError as error:
        # The error counts bytes or characters, depending on the parser; a character that is refused is
        # refused at its first place.
        mark = source.mark(max(0, text.find(chr(error.character))))
        reason = f"the character U+{error.character:04X} is not allowed"
        hint = "Take the character away."
        raise InvalidConfig([Problem.at(source, mark, "config/invalid-yaml", reason, hint=hint)]) from None
    except yaml.MarkedYAMLError as error:
        raise InvalidConfig([_syntax(source, error)]) from None


def _syntax(source: Source, error: yaml.MarkedYAMLError) -> Problem:
    mark = _mark(error.problem_mark or error.context_mark)
    if source.line(mark.line) is None:
        # Behind the last line: what was not finished is what there is to show.
        mark = _mark(error.context_mark) if error.context_mark else source.mark(len(source.text))
    line = source.line(mark.line) or ""
    if line[mark.column - 1 : mark.column] == "\t":
        hint = "Indent with blanks."
        return Problem.at(source, mark, "config/invalid-yaml", "YAML takes no tab here", hint=hint)
    reason = error.problem or "this is not YAML"
    if error.context:
        reason = f"{reason}, {error.context}"
    if error.context_mark and error.context_mark.line + 1 != mark.line:
        reason += f" that starts on line {error.context_mark.line + 1}"
    above = source.line(mark.line - 1) or ""
    hint = quoting.hint_for_line(line) or quoting.hint_for_next_line(above, line) or "Mend the YAML here."
    return Problem.at(source, mark, "config/invalid-yaml", reason, hint=hint)


@dataclass(slots=True)
class _Open:
    """A collection that has not ended. `key` waits for its value; `seen` is where each key stands."""

    node: Mapping | Sequence
    key: Scalar | None = None
    seen: dict[str, Mark] = field(default_factory=dict)


class _Builder:
    """Takes events one by one; `open` holds the collections that have not ended, innermost last."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.root: Node | None = None
        self.open: list[_Open] = []
        self.documents = 0
        self.nodes = 0

    def build(self) -> Node:
        parser = _Parser(self.source.text)
        get_event = parser.get_event
        try:
            while (event := get_event()) is not None:
                # A class each, and most events are scalars: looked at in this order, since a folder may hold
                # thousands of files.
                kind = event.__class__
                if kind is yaml.ScalarEvent:
                    self._check(event)
                    start, end = event.start_mark, event.end_mark
                    self._scalar(Scalar(event.value, _mark(start), _mark(end), event.style or None))
                elif kind is yaml.MappingStartEvent:
                    self._check(event)
                    self._start(Mapping(_mark(event.start_mark), bool(event.flow_style)))
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    self.open.pop()
                elif kind is yaml.SequenceStartEvent:
                    self._check(event)
                    self._start(Sequence(_mark(event.start_mark), bool(event.flow_style)))
                else:
                    self._other(event)
        finally:
            parser.dispose()
        if self.root is None:
            hint = "Write a pipeline, as docs/pipeline-file.md shows."
            self._refuse(Mark(1, 1), "config/missing-key", "the file is empty", hint)
        return self.root

    def _other(self, event: yaml.Event) -> None:
        mark = _mark(event.start_mark)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self._refuse(mark, "config/invalid-yaml", "a second document starts here", "Use one file each.")
            if event.tags:
                self._refuse(mark, "config/tag", "a %TAG directive", "Remove the directive.")
        elif isinstance(event, yaml.AliasEvent):
            self._refuse(mark, "config/alias", f"the alias *{event.anchor} is not allowed", _WRITE_OUT)

    def _check(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor is not None:
            reason = f"the anchor &{event.anchor} is not allowed"
            self._refuse(_mark(event.start_mark), "config/alias", reason, _WRITE_OUT)
        if event.tag is not None:
            hint = "Remove the tag; the schema decides the type."
            self._refuse(_mark(event.start_mark), "config/tag", f"the tag {event.tag}", hint)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            reason = f"more than {MAX_NODES:,} values"
            self._refuse(_mark(event.start_mark), "config/too-large", reason, "Split the file.")

    def _start(self, node: Mapping | Sequence) -> None:
        if len(self.open) >= MAX_DEPTH:
            self._refuse(node.start, "config/too-deep", f"more than {MAX_DEPTH} levels", "Flatten the file.")
        self._place(node)
        self.open.append(_Open(node))

    def _scalar(self, scalar: Scalar) -> None:
        parent = self.open[-1] if self.open else None
        if parent is None or parent.key is not None or isinstance(parent.node, Sequence):
            self._place(scalar)
            return
        first = parent.seen.setdefault(scalar.text, scalar.start)
        if first is not scalar.start:
            reason = f"the key `{scalar.text}` stands on line {first.line} already"
            self._refuse(scalar.start, "config/duplicate-key", reason, "Keep one of the two.", len(scalar.text))
        parent.key = scalar

    def _place(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif parent.key is None:
            reason = "a key must be a name, not a list or a mapping"
            self._refuse(node.start, "config/invalid-yaml", reason, "Write a name.")
        else:
            parent.node.entries.append(Entry(parent.key, node))
            parent.key = None

    def _refuse(self, mark: Mark, code: str, reason: str, hint: str, length: int = 1) -> NoReturn:
        if code == "config/tag":
            hint = quoting.hint_for_line(self.source.line(mark.line) or "") or hint
        raise InvalidConfig([Problem.at(self.source, mark, code, reason, hint=hint, length=length)])


def _mark(mark: _YamlMark | None) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)
