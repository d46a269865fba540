"""What is wrong with a pipeline file, in the form people read: file:line:column, the line with a
caret under the place, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..errors import ConfigError, Place, error_for
from .files import Stat
from .source import Mark, Source

# A longer line is cut around the caret, so that it fits a terminal.
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `code` is stable; `hint` is a sentence saying what the user can do."""

    code: str
    reason: str
    file: str
    mark: Mark | None = None
    length: int = 1
    hint: str = ""
    source_line: str | None = None
    pointer: str | None = None

    @classmethod
    def at(
        cls,
        source: Source,
        mark: Mark,
        code: str,
        reason: str,
        *,
        hint: str = "",
        length: int = 1,
        pointer: str = "",
    ) -> Problem:
        line = source.line(mark.line)
        return cls(code, reason, source.name, mark, max(1, length), hint, line, pointer or None)

    @property
    def place(self) -> str:
        return f"{self.file}:{self.mark.line}:{self.mark.column}" if self.mark else self.file

    def __str__(self) -> str:
        return f"{self.place}: {self.code}: {self.reason}"

    def as_place(self) -> Place:
        line, column = (self.mark.line, self.mark.column) if self.mark else (None, None)
        return Place(file=self.file, pointer=self.pointer, line=line, column=column)

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "reason": self.reason,
            "file": self.file,
            "line": self.mark.line if self.mark else None,
            "column": self.mark.column if self.mark else None,
            "pointer": self.pointer,
            "hint": self.hint or None,
        }

    def text(self, emphasis: Callable[[str], str] = str) -> str:
        """The whole report, several lines; `emphasis` colours what matters. Control characters of the
        file come out escaped, so that a file cannot drive the terminal."""
        out = [f"{visible(self.place)}: {emphasis(self.code)}: {visible(self.reason)}"]
        if self.mark is not None and self.source_line is not None:
            shown, caret, length = _cut(self.source_line, self.mark.column - 1, self.length)
            margin = f"{self.mark.line:>5} | "
            out += [margin + shown, " " * (len(margin) - 2) + "| " + " " * caret + emphasis("^" * length)]
        if self.hint:
            out.append(f"  hint: {visible(self.hint)}")
        return "\n".join(out)


class InvalidConfig(ConfigError):
    """Everything that was found wrong in one or more pipeline files; `problems` is never empty.
    As an error of the API it speaks of the first one. `beside` are the files that one file names, by path, each as it
    was before it was read."""

    def __init__(self, problems: Iterable[Problem], beside: Mapping[str, Stat] | None = None) -> None:
        self.problems = tuple(problems)
        self.beside = dict(beside or {})
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(first.code, first.reason + more, first.as_place())
        self.faults = tuple(error_for(each.code, each.reason, each.as_place()) for each in self.problems)


def defect(file: str, error: Exception) -> Problem:
    """Of a file that we fail at in a way that nobody has thought of: it costs no other file anything."""
    reason = f"reading the file failed: {type(error).__name__}: {error}"
    return Problem("internal/panic", reason, file, hint="This is a defect of vrsky; please report it with the file.")


def visible(text: str) -> str:
    """The text with control characters escaped, safe for a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(line: str, column: int, length: int) -> tuple[str, int, int]:
    """The part of a line round the caret, escaped, with the caret's offset and length in it."""
    line = line.replace("\t", " ")
    column = min(column, len(line))
    start = max(0, column - _WIDTH // 2) if len(line) > _WIDTH else 0
    end = start + _WIDTH
    before, marked = visible(line[start:column]), visible(line[column : min(column + length, end)])
    after = visible(line[column + length : end])
    head, tail = ("..." if start else ""), ("..." if end < len(line) else "")
    return head + before + marked + after + tail, len(head + before), max(1, len(marked))
