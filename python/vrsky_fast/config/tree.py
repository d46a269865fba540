"""The YAML of one file as nodes that know where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .source import Mark


@dataclass(slots=True)
class Scalar:
    """A leaf as it was written; what it means depends on what the schema wants there."""

    text: str
    start: Mark
    end: Mark
    # None for a plain one, else one of ' " | >
    style: str | None = None
    # The name of the variable whose value it is.
    variable: str | None = None


@dataclass(slots=True)
class Entry:
    key: Scalar
    value: Node


@dataclass(slots=True)
class Mapping:
    start: Mark
    flow: bool
    entries: list[Entry] = field(default_factory=list)

    def get(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key.text == name), None)


@dataclass(slots=True)
class Sequence:
    start: Mark
    flow: bool
    items: list[Node] = field(default_factory=list)


Node = Scalar | Mapping | Sequence


def children(node: Node) -> Iterator[tuple[str, Entry | None, Node]]:
    """(pointer token, the entry if the parent is a mapping, child)."""
    if isinstance(node, Mapping):
        for entry in node.entries:
            yield escape(entry.key.text), entry, entry.value
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield str(index), None, item


def escape(token: str) -> str:
    """A key as a token of a JSON pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")


def find(root: Node, pointer: str) -> tuple[Node, Entry | None, bool]:
    """The node a JSON pointer names, the entry that holds it, and whether it is there; where it is
    not, the nearest node above it."""
    node, holder = root, None
    for token in pointer.split("/")[1:]:
        step = next(((entry, child) for name, entry, child in children(node) if name == token), None)
        if step is None:
            return node, holder, False
        holder, node = step
    return node, holder, True
