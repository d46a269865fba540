"""YAML text -> nodes. Refuses what a pipeline file must not use: anchors, aliases, tags, duplicate
keys, several documents, and more bytes, values or levels than any real file has.

The event parser is libyaml's; nothing is constructed from tags, and no limit depends on how the text
is nested, since events are taken one at a time and the nodes are built without recursion.
"""

from __future__ import annotations

from typing import NoReturn

import yaml

from . import quoting
from .problem import InvalidConfig, Problem
from .source import Mark, Source
from .tree import Entry, Mapping, Node, Scalar, Sequence

MAX_BYTES = 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 64

# PyYAML's wheels hold libyaml; a build without it parses the same, more slowly.
_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(name: str, data: bytes) -> tuple[Source, Node]:
    """Raises InvalidConfig naming the place; never anything else, whatever the bytes are."""
    if len(data) > MAX_BYTES:
        reason = f"the file has {len(data):,} bytes, more than {MAX_BYTES:,}"
        raise InvalidConfig([Problem("config/too-large", reason, name)])
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
        raise InvalidConfig([Problem.at(source, mark, "config/invalid-yaml", reason)]) from None
    except yaml.MarkedYAMLError as error:
        raise InvalidConfig([_syntax(source, error)]) from None


def _syntax(source: Source, error: yaml.MarkedYAMLError) -> Problem:
    where = error.problem_mark or error.context_mark
    mark = Mark(where.line + 1, where.column + 1) if where else Mark(1, 1)
    reason = error.problem or "this is not YAML"
    if error.context:
        reason = f"{reason}, {error.context}"
    if error.context_mark and error.context_mark.line + 1 != mark.line:
        reason += f" that starts on line {error.context_mark.line + 1}"
    hint = quoting.hint_for_line(source.line(mark.line) or "") or "Mend the YAML here."
    return Problem.at(source, mark, "config/invalid-yaml", reason, hint=hint)


class _Builder:
    """Takes events one by one; `open` holds the collections that have not ended, innermost last."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.root: Node | None = None
        self.open: list[Mapping | Sequence] = []
        # The key of the innermost mapping that still waits for its value.
        self.keys: list[Scalar | None] = []
        self.seen: list[dict[str, Mark]] = []
        self.nodes = 0

    def build(self) -> Node:
        parser = _Parser(self.source.text)
        documents = 0
        try:
            while (event := parser.get_event()) is not None:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._refuse(
                            event,
                            "config/invalid-yaml",
                            "a second document starts here",
                            "Use one file each.",
                        )
                    if event.tags:
                        self._refuse(event, "config/tag", "a %TAG directive", "Remove the directive.")
                elif isinstance(event, yaml.NodeEvent):
                    self._node(event)
                elif isinstance(event, yaml.CollectionEndEvent):
                    self._close()
        finally:
            parser.dispose()
        if self.root is None:
            problem = Problem("config/missing-key", "the file is empty", self.source.name)
            raise InvalidConfig([problem])
        return self.root

    def _node(self, event: yaml.NodeEvent) -> None:
        start = _mark(event.start_mark)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            kind = "alias" if isinstance(event, yaml.AliasEvent) else "anchor"
            sign = "*" if kind == "alias" else "&"
            self._refuse(
                event,
                "config/alias",
                f"the {kind} {sign}{event.anchor}",
                "Write the value out where it is used.",
            )
        if event.tag is not None:
            self._refuse(event, "config/tag", f"the tag {event.tag}", "Remove the tag; the schema decides the type.")
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._refuse(event, "config/too-large", f"more than {MAX_NODES:,} values", "Split the file.")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(Scalar(event.value, start, _mark(event.end_mark), event.style or None))
            return
        if len(self.open) >= MAX_DEPTH:
            self._refuse(event, "config/too-deep", f"more than {MAX_DEPTH} levels", "Flatten the file.")
        flow = bool(event.flow_style)
        opened = Mapping(start, flow) if isinstance(event, yaml.MappingStartEvent) else Sequence(start, flow)
        self._place(opened, event)
        self.open.append(opened)
        self.keys.append(None)
        self.seen.append({})

    def _scalar(self, scalar: Scalar) -> None:
        if self.open and isinstance(self.open[-1], Mapping) and self.keys[-1] is None:
            self._key(scalar)
        else:
            self._place(scalar, None)

    def _key(self, key: Scalar) -> None:
        first = self.seen[-1].setdefault(key.text, key.start)
        if first is not key.start:
            reason = f"the key `{key.text}` stands on line {first.line} already"
            problem = Problem.at(
                self.source,
                key.start,
                "config/duplicate-key",
                reason,
                hint="Keep one of the two.",
                length=len(key.text),
            )
            raise InvalidConfig([problem])
        self.keys[-1] = key

    def _place(self, node: Node, event: yaml.NodeEvent | None) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self.keys[-1]
        if key is None:
            self._refuse(event, "config/invalid-yaml", "a key must be a name, not a list or a mapping", "Write a name.")
        parent.entries.append(Entry(key, node))
        self.keys[-1] = None

    def _close(self) -> None:
        self.open.pop()
        self.keys.pop()
        self.seen.pop()

    def _refuse(self, event: yaml.Event | None, code: str, reason: str, hint: str) -> NoReturn:
        mark = _mark(event.start_mark) if event else Mark(1, 1)
        if code in {"config/alias", "config/tag"}:
            hint = quoting.hint_for_line(self.source.line(mark.line) or "") or hint
        raise InvalidConfig([Problem.at(self.source, mark, code, reason, hint=hint)])


def _mark(mark: yaml.Mark) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)
