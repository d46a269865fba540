"""From the JSON pointer and column of a validation error to the place in the YAML file."""

from __future__ import annotations

from .problem import Problem
from .source import Mark, Source
from .tree import Entry, Node, Scalar, find

# These speak of a key; everything else of a value.
_OF_A_KEY = frozenset({"config/unknown-key", "config/duplicate-key"})


def locate(
    source: Source,
    root: Node,
    *,
    code: str,
    reason: str,
    hint: str,
    pointer: str,
    line: int | None = None,
    column: int | None = None,
    of_key: bool = False,
) -> Problem:
    """`line` and `column` are relative to the text of the scalar that the pointer names, or of its key
    with `of_key`."""
    node, holder, there = find(root, pointer)
    if holder is not None and (of_key or code in _OF_A_KEY or not there or _is_empty(node)):
        mark, length = holder.key.start, len(holder.key.text)
        if of_key and column is not None:
            mark, length = _inside(source, holder.key, 1, column)
    elif isinstance(node, Scalar):
        mark, length = _inside(source, node, line or 1, column)
    else:
        mark, length = _start(node, holder)
    return Problem.at(source, mark, code, reason, hint=hint, length=length, pointer=pointer)


def _is_empty(node: Node) -> bool:
    """A key without a value: there is nothing to point at but the key."""
    return isinstance(node, Scalar) and node.style is None and not node.text


def _start(node: Node, holder: Entry | None) -> tuple[Mark, int]:
    """A collection is named by its key, if it has one."""
    if holder is not None:
        return holder.key.start, len(holder.key.text)
    return node.start, 1


def _inside(source: Source, scalar: Scalar, line: int, column: int | None) -> tuple[Mark, int]:
    """The place of a character of the scalar's text; the whole scalar if it cannot be told, as when
    escapes or folding make the text differ from what is written."""
    whole = scalar.start, max(1, scalar.end.column - scalar.start.column) if _one_line(scalar) else 1
    if column is None:
        return whole
    if scalar.style == "|":
        return _inside_literal(source, scalar, line, column) or whole
    written = source.at(scalar.start, scalar.end)
    opening = 1 if scalar.style else 0
    if written is None or written[opening : len(written) - opening] != scalar.text:
        return whole
    return scalar.start.right(opening + column - 1), 1


def _inside_literal(source: Source, scalar: Scalar, line: int, column: int) -> tuple[Mark, int] | None:
    """The lines of a literal block follow its `|`, each behind the same indentation."""
    number = scalar.start.line + line
    written, text = source.line(number), scalar.text.split("\n")
    if written is None or line > len(text) or not written.endswith(text[line - 1]):
        return None
    return Mark(number, len(written) - len(text[line - 1]) + column), 1


def _one_line(scalar: Scalar) -> bool:
    return scalar.start.line == scalar.end.line
