"""Nodes -> the JSON text that Rust validates, each scalar read by what the schema wants at its place."""

from __future__ import annotations

import json
from collections.abc import Iterator

from . import quoting
from .problem import Problem
from .scalar import to_json
from .schema import View
from .source import Source
from .tree import Mapping, Node, Scalar, children


def emit(root: Node, schema: View) -> str:
    """Never fails: a scalar of the wrong type stays a string, for the validation to name."""
    out: list[str] = []
    _emit(root, schema, out)
    return "".join(out)


def _emit(node: Node, schema: View, out: list[str]) -> None:
    if isinstance(node, Scalar):
        out.append(to_json(node, schema.types()))
    elif isinstance(node, Mapping):
        out.append("{")
        for index, entry in enumerate(node.entries):
            out.append(("," if index else "") + json.dumps(entry.key.text) + ":")
            _emit(entry.value, schema.key(entry.key.text), out)
        out.append("}")
    else:
        out.append("[")
        for index, item in enumerate(node.items):
            out.append("," if index else "")
            _emit(item, schema.item(index), out)
        out.append("]")


def misread(source: Source, root: Node, schema: View) -> list[Problem]:
    """Expressions that YAML has silently cut: valid YAML, but not what was meant. In place of each stands then
    one that hides nothing else, without what was cut off."""
    problems = []
    for pointer, parent, node, here in walk(root, schema):
        if not isinstance(node, Scalar) or not here.has_format("expression"):
            continue
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
                    pointer=pointer,
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
        # In place: a walk that is here goes on behind them.
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
