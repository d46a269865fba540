"""Expressions that YAML reads as something else, and what to write instead.

`!x` is a tag, `*x` an alias, `"a" in b` ends after its first word, `f(x, y)` inside braces is cut at
the comma, `a ? {b: c}` and `x == "y: z"` end at the colon. All of them are fine between quotes.
"""

from __future__ import annotations

import re

from .source import Source
from .tree import Mapping, Node, Scalar, Sequence

# Lines that hold an expression, as far as a line that YAML cannot read lets us tell.
_LINE = re.compile(r"(?:^|[\s{,-])(?:filter|when)\s*:\s*(?P<text>.+)$")
_SET_LINE = re.compile(r"(?:^|[\s{,-])(?:set\s*:\s*\{\s*)?[\w.\[\]\"@-]+\s*:\s*(?P<text>[!*&\[{'\"%@`].*)$")


def hint_for_line(line: str) -> str | None:
    """For a line that YAML cannot read: the hint, if it looks as if an expression were the reason."""
    match = _LINE.search(line) or _SET_LINE.search(line)
    return quoted(match["text"].strip()) if match else None


def quoted(expression: str) -> str:
    """The hint itself, with the expression as it should stand; single quotes are doubled within."""
    if len(expression) > 80:
        return "Quote the expression: put it between single quotes."
    return "Quote the expression: '" + expression.replace("'", "''") + "'"


def cut_short(source: Source, parent: Node, scalar: Scalar) -> str | None:
    """The hint for a plain expression that YAML cut off, else None: a bracket stays open because a
    comma ended the value inside braces, or a string stays open because ` #` began a comment."""
    if scalar.style is not None or _balanced(scalar.text):
        return None
    line = source.line(scalar.start.line) or ""
    rest = line[scalar.start.column - 1 :].rstrip()
    if isinstance(parent, Mapping | Sequence) and parent.flow:
        rest = rest.rstrip("}] ,")
    return quoted(rest)


def _balanced(text: str) -> bool:
    """Whether every bracket and quote that opens also closes."""
    depth, quote = 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
    return depth <= 0 and not quote
