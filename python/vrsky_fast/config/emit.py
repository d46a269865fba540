"""Nodes -> the JSON text that Rust validates, each scalar read by what the schema wants at its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from . import quoting
from .problem import Problem
from .scalar import to_json
from .schema import View
from .snippets import Sources
from .source import Source
from .tree import Mapping, Node, Scalar, children

# The keys of a folder's files are the same few.
_key = lru_cache(maxsize=4096)(json.dumps)


def emit(root: Node, schema: View) -> str:
    """Never fails: a scalar of the wrong type stays a string, for the validation to name."""
    out: list[str] = []
    _emit(root, schema, out)
    return "".join(out)


def _emit(node: Node, schema: View, out: list[str]) -> None:
    if isinstance(node, Scalar):
        out.append(to_json(node, schema.types))
    elif isinstance(node, Mapping):
        separator = "{"
        for entry in node.entries:
            out.append(f"{separator}{_key(entry.key.text)}:")
            _emit(entry.value, schema.key(entry.key.text), out)
            separator = ","
        out.append("}" if node.entries else "{}")
    else:
        separator = "["
        for index, item in enumerate(node.items):
            out.append(separator)
            _emit(item, schema.item(index), out)
            separator = ","
        out.append("]" if node.items else "[]")


@dataclass(slots=True)
class ScalarAt:
    """A scalar, the collection that it stands in, and the JSON pointer to it."""

    pointer: str
    parent: Node
    node: Scalar


def scalars_of(root: Node, schema: View, *formats: str) -> dict[str, list[ScalarAt]]:
    """By each of these formats of the model the scalars that are of it, in the order of the file."""
    found: dict[str, list[ScalarAt]] = {name: [] for name in formats}
    _collect(root, schema, "", frozenset(formats), found)
    return found


def _collect(
    parent: Node, schema: View, pointer: str, formats: frozenset[str], found: dict[str, list[ScalarAt]]
) -> None:
    for token, entry, child in children(parent):
        here = schema.key(entry.key.text) if entry else schema.item(int(token))
        if isinstance(child, Scalar):
            for name in here.formats & formats:
                found[name].append(ScalarAt(f"{pointer}/{token}", parent, child))
        else:
            _collect(child, here, f"{pointer}/{token}", formats, found)


def misread(sources: Sources, expressions: list[ScalarAt]) -> list[Problem]:
    """Expressions that YAML has silently cut: valid YAML, but not what was meant. In place of each stands then
    one that hides nothing else, without what was cut off."""
    problems = []
    for place in expressions:
        node, parent = place.node, place.parent
        if isinstance(parent, Mapping) and not any(entry.value is node for entry in parent.entries):
            continue  # cut off from the one before
        source = sources.of(place.pointer)
        if hint := quoting.cut_short(source, parent, node):
            reason = "YAML cuts the expression off here"
            length = node.end.column - node.start.column
            problems.append(
                Problem.at(
                    source,
                    node.start,
                    "config/invalid-expression",
                    reason,
                    hint=hint,
                    length=length,
                    pointer=place.pointer,
                )
            )
            _put_right(source, parent, node)
    return problems


def _put_right(source: Source, parent: Node, cut: Scalar) -> None:
    if isinstance(parent, Mapping) and parent.flow:
        end = quoting.end_of(source, cut)
        at = next(at for at, entry in enumerate(parent.entries, 1) if entry.value is cut)
        after = at
        while after < len(parent.entries) and (end is None or parent.entries[after].key.start < end):
            after += 1
        del parent.entries[at:after]
    cut.text = "true"


def walk(root: Node, schema: View) -> Iterator[tuple[str, Node, Node, View]]:
    """(pointer, parent, node, what the schema says there) of everything below the root, in the
    order of the file."""
    for token, entry, child in children(root):
        here = schema.key(entry.key.text) if entry else schema.item(int(token))
        yield f"/{token}", root, child, here
        for pointer, parent, node, below in walk(child, here):
            yield f"/{token}{pointer}", parent, node, below
