"""Expressions that YAML reads as something else, and what to write instead.

`!x` is a tag, `"a" in b` ends after its first word, `f(x, y)` inside braces is cut at the comma,
`a ? {b: c}`, `a ? 1 : 2` and `x == "y: z"` end at the colon, and inside braces `f([1])` at the bracket. All of them are
fine between quotes.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from .source import Mark, Source
from .tree import Mapping, Node, Scalar, Sequence

_QUOTE_IT = "Quote the expression: put it between single quotes."
# Between two values of an expression, and in hardly any other text.
_OPERATOR = re.compile(r"[=!<>]=|&&|\|\||[<>+*?(]|\sin\s|\w\[")
# A key and the rest of its line, as far as a line that YAML cannot read lets us tell.
_ENTRY = re.compile(r"(?:^|[\s{,\[-])(?P<key>[\w.\[\]\"@-]+)\s*:\s+(?=(?P<text>\S.*)$)")
_LONGEST_LINE = 2000
# More of them hold no expression.
_MOST_LINES = 20


def hint_for_line(line: str) -> str | None:
    """For a line that YAML cannot read: the hint, if it looks as if an expression were the reason."""
    if len(line) > _LONGEST_LINE:
        return None
    for entry in _ENTRY.finditer(line):
        text = entry["text"].rstrip()
        is_within = _end(line[: entry.start("text")])[0] > 0
        value = _value(text) if is_within else text
        if value and _is_misread(value, entry["key"] in {"filter", "when"}, is_within):
            # Within braces that do not end here, the expression may go on in the next line.
            return _QUOTE_IT if is_within and value == text else quoted(_without_quotes(value))
    return None


def _is_misread(text: str, is_expression: bool, is_within: bool) -> bool:
    """Whether YAML reads something else than the whole text, which may stand within braces. Of a key that may be
    anything, only if it looks like an expression."""
    if text[0] in "\"'[{":
        return _first(text) not in {text, ""}
    if text[0] in "!%@`":
        return True
    if is_expression and (": " in text or " #" in text):
        return True
    return _cuts_a_string(text) or _cuts_an_operation(text, is_within)


def _cuts_a_string(text: str) -> bool:
    """Whether a colon or a comment begins within a string that an operator stands before."""
    operator = _OPERATOR.search(text)
    if operator is None:
        return False
    inside = (at for at, _, quote in _walk(text) if quote and at > operator.start())
    return any(text[at : at + 2] in {": ", " #"} for at in inside)


def _cuts_an_operation(text: str, is_within: bool) -> bool:
    """Whether YAML ends the text outside of its strings: at the colon of a condition or of a map in brackets; within
    braces also at a bracket, or at a comma in parentheses."""
    operator = _OPERATOR.search(text)
    if operator is None:
        return False
    is_condition = False
    for at, depth, quote in _walk(text):
        character = text[at]
        if quote or character in "'\"":
            continue
        is_condition |= character == "?"
        if character == ":" and text[at + 1 : at + 2].strip() == "" and (is_condition or depth > 0):
            return True
        if is_within and (character in "[{" or (character == "," and depth > 0)) and at >= operator.start():
            return True
    return False


def quoted(expression: str) -> str:
    """The hint itself, with the expression as it should stand; single quotes are doubled within."""
    if len(expression) > 80:
        return _QUOTE_IT
    return "Quote the expression: '" + expression.replace("'", "''") + "'"


def cut_short(source: Source, parent: Node, scalar: Scalar) -> str | None:
    """The hint for a plain expression that YAML cut off, else None: a bracket stays open because a
    comma ended the value inside braces, or a string stays open because ` #` began a comment."""
    if scalar.style is not None or _is_balanced(scalar.text):
        return None
    line = source.line(scalar.start.line) or ""
    rest = line[scalar.start.column - 1 :][:_LONGEST_LINE].rstrip()
    return quoted(_value(rest) if isinstance(parent, Mapping | Sequence) and parent.flow else rest)


def before_comment(source: Source, parent: Node, scalar: Scalar) -> str | None:
    """The hint for a plain expression that is in error and ends where ` #` begins a comment, else None: alone it
    would be right to comment on an expression."""
    line = source.line(scalar.end.line) or ""
    rest = line[scalar.end.column - 1 :]
    if scalar.style is not None or not scalar.text or not rest[:1].isspace() or not rest.lstrip().startswith("#"):
        return None
    whole = line[scalar.start.column - 1 :].rstrip()
    if scalar.start.line != scalar.end.line or len(whole) > _LONGEST_LINE:
        return _QUOTE_IT
    is_within = isinstance(parent, Mapping | Sequence) and parent.flow
    return quoted(_value(whole) if is_within else whole)


def hint_for_next_line(above: str, line: str) -> str | None:
    """For a line that YAML cannot read since a comment has ended the expression that it goes on with."""
    is_cut = len(above) <= _LONGEST_LINE and " #" in above and _ENTRY.search(above) is not None
    return _QUOTE_IT if is_cut and line.lstrip().startswith(("&&", "||", "? ", ": ", "== ", "!= ")) else None


def end_of(source: Source, scalar: Scalar) -> Mark | None:
    """Where the expression would end that YAML cut within braces; None when its brackets stay open."""
    first = source.line(scalar.start.line) or ""
    following = source.lines[scalar.start.line : scalar.start.line + _MOST_LINES]
    text = "\n".join([first[scalar.start.column - 1 :], *following])[:_LONGEST_LINE]
    expression = _value(text)
    if not _is_balanced(expression):
        return None
    above, _, last = expression.rpartition("\n")
    if not above:
        return scalar.start.right(len(last))
    return Mark(scalar.start.line + above.count("\n") + 1, len(last) + 1)


def _without_quotes(text: str) -> str:
    """`'a == 'b''` is quoted already, with quotes within that end it: nothing in CEL follows a string so."""
    is_nested = len(text) > 1 and text[0] in "\"'" and text[-1] == text[0] and text[len(_first(text)) :][:1].isalnum()
    return text[1:-1] if is_nested else text


def _is_balanced(text: str) -> bool:
    """Whether every bracket and quote that opens also closes."""
    depth, quote = _end(text)
    return depth <= 0 and not quote


def _end(text: str) -> tuple[int, str]:
    """How many brackets are open at the end, and the quote of the string that is."""
    last = deque(_walk(text), maxlen=1)
    return last[0][1:] if last else (0, "")


def _value(text: str) -> str:
    """Up to the comma or bracket that ends a value within brackets."""
    for at, depth, quote in _walk(text):
        if not quote and (depth < 0 or (depth == 0 and text[at] == ",")):
            return text[:at].rstrip()
    return text


def _first(text: str) -> str:
    """The string or bracket that the text starts with, to its end; nothing if it has none."""
    return next((text[: at + 1] for at, depth, quote in _walk(text) if not quote and depth == 0), "")


def _walk(text: str) -> Iterator[tuple[int, int, str]]:
    """(index, open brackets, the quote of the string that is open) behind every character."""
    depth, quote = 0, ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        yield at, depth, quote
