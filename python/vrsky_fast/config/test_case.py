"""A test of a pipeline file as YAML text, and its place in a file that people have written.

    name, headers, payload, code ──► lines ──► behind the last item of `tests:`, or `tests:` at the end

Everything else of the file stays as it is, comments and layout included: lines are added, none is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from . import tree
from .problem import InvalidConfig, Problem
from .source import Mark, Source
from .tree import Node, Scalar, Sequence, children

CODE = "config/cannot-export"

# What YAML reads as the same text without quotes, wherever a text is wanted.
_PLAIN = re.compile(r"[A-Za-z0-9/](?:[A-Za-z0-9 ;=_./+*-]*[A-Za-z0-9*])?", re.ASCII)
# Characters that a literal block holds as they are; no line breaks but our own.
_LITERAL = re.compile(r"[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*")
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True)
class TestCase:
    """A message that fails with a code. One of `text` and `file`, which is beside the pipeline file, is its payload;
    `comment` is one line of ours."""

    # pytest takes classes of this name for its own.
    __test__ = False

    name: str
    error: str
    comment: str
    text: str | None = None
    file: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """An item of a block list, without an indentation."""
        return [
            f"- name: {_scalar(self.name)}",
            f"  # {self.comment}",
            "  in:",
            *self._input(),
            f"  error: {self.error}",
        ]

    def _input(self) -> Iterator[str]:
        if self.headers:
            yield "    headers:"
            for name, value in self.headers.items():
                yield f"      {_scalar(name)}: {_scalar(value)}"
        if self.file is not None:
            yield f"    file: {_scalar(self.file)}"
        else:
            yield from _payload(self.text or "")


def _payload(text: str) -> Iterator[str]:
    body = text.removesuffix("\n")
    is_block = _LITERAL.fullmatch(text) and body and not body.endswith("\n") and not body.isspace()
    if not is_block or ("\n" not in body and len(body) < 80):
        yield f"    text: {_scalar(text)}"
        return
    # Without the number the blanks of the first line would count as indentation.
    number = "2" if body.lstrip("\n").startswith((" ", "\t")) else ""
    yield f"    text: |{number}" + ("" if text.endswith("\n") else "-")
    yield from (f"      {line}" if line else "" for line in body.split("\n"))


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    if "'" not in text and re.fullmatch(r"[\x20-\x7e]+", text):
        return f"'{text}'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if " " <= character <= "~" or (character >= "\xa0" and _LITERAL.fullmatch(character)):
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def insert(source: Source, root: Node, case: TestCase) -> tuple[str, int]:
    """The file's text with the test in it, and the line at which it begins. Raises InvalidConfig for a file that is
    written in braces."""
    if not isinstance(root, tree.Mapping) or root.flow:
        raise _cannot(source, root.start, "the file is written in braces")
    found = root.get("tests")
    left = " " * (root.start.column - 1)
    if found is None:
        items = [f"{left}  {line}" if line else "" for line in case.lines()]
        return _with_lines(source, _end(source, root, None), [f"{left}tests:", *items])
    tests = found.value
    if not isinstance(tests, Sequence) or tests.flow:
        raise _cannot(source, found.key.start, "`tests` is no list with a `-` before each test")
    left = " " * (tests.start.column - 1)
    following = next((one for one in root.entries if one.key.start > found.key.start), None)
    at = _end(source, tests, following.key.start.line if following else None)
    return _with_lines(source, at, [f"{left}{line}" if line else "" for line in case.lines()], is_item=True)


def _cannot(source: Source, mark: Mark, reason: str) -> InvalidConfig:
    hint = "Leave --into out, and put what is printed into the file by hand."
    return InvalidConfig([Problem.at(source, mark, CODE, reason, hint=hint)])


def _end(source: Source, node: Node, following: int | None) -> int:
    """The line behind a node: before the comments that belong to the entry on the line `following`, or, without one,
    at the end of the file."""
    last = max(_scalars(node), key=lambda scalar: scalar.end)
    # A block scalar ends where the next line begins.
    least = last.end.line if last.end.column == 1 and last.style in ("|", ">") else last.end.line + 1
    at = following or len(source.lines) + 1
    while at > least and _is_passed(source.line(at - 1) or "", is_end=following is None):
        at -= 1
    return at


def _is_passed(line: str, is_end: bool) -> bool:
    text = line.strip()
    return not text or (line.startswith("...") if is_end else text.startswith("#"))


def _scalars(node: Node) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    for _, entry, child in children(node):
        if entry is not None:
            yield entry.key
        yield from _scalars(child)


def _with_lines(source: Source, at: int, lines: list[str], is_item: bool = False) -> tuple[str, int]:
    """With these before the line `at`."""
    starts = [0, *(found.end() for found in _BREAK.finditer(source.text))]
    split = starts[at - 1] if at <= len(starts) else len(source.text)
    before, after = source.text[:split], source.text[split:]
    newline = "\r\n" if "\r\n" in source.text else "\n"
    if before and not _BREAK.fullmatch(before[-1]):
        before += newline
    above = source.line(at - 1) or ""
    if not is_item and above.strip():
        lines, at = ["", *lines], at + 1
    return before + "".join(line + newline for line in lines) + after, at
