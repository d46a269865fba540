"""The paths of a Rust file in full, as the compiler takes them: without braces, `super` and `self`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

KEYWORDS = {"crate", "super", "self"}
OPENED = {"{", "(", "["}
CLOSED = {"}", ")", "]"}
# Stands among the names of the inner modules: what is in here is the body of a macro.
MACRO = "macro_rules!"

TOKEN = re.compile(
    r"""(?P<blank> \s+ | //[^\n]* )
    | (?P<comment> /\* )
    | [bc]?r(?P<hashes>\#*)"(?P<raw>.*?)"(?P=hashes)
    | [bc]?"(?P<string>(?:\\.|[^"\\])*)"
    | (?P<char> '(?:\\.[^']*|[^\\'])' | '\w+ )
    | (?:r\#)?(?P<name>\w+)
    | (?P<mark> :: | . )""",
    re.VERBOSE | re.DOTALL,
)
# What a macro that derives code takes for code: `#[serde(with = "crate::engine::ids::form")]`.
PATH_IN_TEXT = re.compile(r"(?=.*\b(?:crate|super|self)\s*::)[\w\s:<>,&+]*")
TESTS_FILE = re.compile(r"\w+_tests\.rs")


class Token(NamedTuple):
    """A word, a mark, or a text; a text has its quotation mark in front."""

    line: int
    text: str

    @property
    def is_name(self) -> bool:
        return self.text.isidentifier()


@dataclass(frozen=True)
class Found:
    """A path as it is written, and its names from the root of the crate; or what cannot be resolved, and why."""

    line: int
    written: str
    names: tuple[str, ...] = ()
    odd: str = ""


def tokens(text: str, line: int = 1) -> Iterator[Token]:
    """What the file consists of, without comments and blanks."""
    at = 0
    while match := TOKEN.match(text, at):
        at = after_comment(text, at) if match["comment"] else match.end()
        content = match["raw"] if match["raw"] is not None else match["string"]
        if content is None:
            if word := match["name"] or match["mark"]:
                yield Token(line, word)
        elif PATH_IN_TEXT.fullmatch(content):
            yield from tokens(content, line)
        else:
            yield Token(line, f'"{content}')
        line += text.count("\n", match.start(), at)


def after_comment(text: str, at: int) -> int:
    """Where the comment ends that begins here; comments stand in comments."""
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


def paths(text: str, module: tuple[str, ...]) -> list[Found]:
    """All paths of a file that begin with `crate`, `super` or `self`, and all that would hide one."""
    reader = Reader(list(tokens(text)), module)
    reader.read()
    return reader.found


class Reader:
    """Goes through a file once, and knows in which inner modules it is."""

    def __init__(self, file: list[Token], module: tuple[str, ...]) -> None:
        self.file = file
        self.module = module
        # One for each bracket that is open: the name of the module it opened, if it did.
        self.inner: list[str] = []
        self.at = 0
        self.found: list[Found] = []

    def text(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.file[at].text if 0 <= at < len(self.file) else ""

    def texts(self, count: int) -> tuple[str, ...]:
        return tuple(self.text(ahead) for ahead in range(count))

    def read(self) -> None:
        while self.at < len(self.file):
            if self.text() == "use":
                self.at += 1 + (self.text(1) == "::")
                self.tree((), in_use=True)
            elif self.begins_a_path():
                self.path()
            elif self.text() == "pub" and self.text(1) == "(":
                self.visibility()
            else:
                self.trick()
                self.bracket()
                self.at += 1

    def begins_a_path(self) -> bool:
        word = self.text()
        if self.text(-1) == "extern":
            return False
        return word in {"crate", "super"} or (word == "self" and "::" in {self.text(1), self.text(-1)})

    def path(self) -> None:
        """A path in code; after another's `::` it goes on from what a macro has put there."""
        if self.text(-1) != "::":
            self.tree((), in_use=False)
            return
        self.alone(self.text())
        self.at += 1

    def visibility(self) -> None:
        """`pub(super)` and `pub(in super::super)` import nothing; `pub (super::X)` is a field."""
        is_one = self.text(2) == "in" or (self.text(2) in KEYWORDS and self.text(3) == ")")
        self.at += 1
        while is_one and self.text(-1) != ")" and self.at < len(self.file):
            self.at += 1

    def bracket(self) -> None:
        word = self.text()
        if word in OPENED:
            named = word == "{" and self.text(-2) == "mod"
            in_macro = (self.text(-3), self.text(-2)) == ("macro_rules", "!")
            self.inner.append(MACRO if in_macro else self.text(-1) if named else "")
        elif word in CLOSED and self.inner:
            self.inner.pop()

    def tree(self, names: tuple[str, ...], in_use: bool) -> None:
        """One path from here, or all paths of a list in braces; `names` are those before it."""
        if not names and self.texts(2) == ("$", "crate"):
            self.at += 1
        while self.at < len(self.file) and self.file[self.at].is_name:
            names = (*names, self.text())
            self.at += 1
            if self.text() != "::":
                self.add(names, in_use)
                return
            self.at += 1
        if self.text() == "{":
            self.branches(names, in_use)
        elif self.text() == "*" and names:
            self.at += 1
            self.add((*names, "*"), in_use)
        else:
            self.add(names, in_use)

    def branches(self, names: tuple[str, ...], in_use: bool) -> None:
        self.at += 1
        while self.text() not in {"}", ""}:
            if self.text() == "as":
                self.at += 2
            elif self.text() == ",":
                self.at += 1
            else:
                start = self.at
                self.tree(names, in_use)
                if self.at == start:  # what a macro puts there
                    self.at += 1 + (self.text() == "$")
        self.at += 1

    def add(self, names: tuple[str, ...], in_use: bool) -> None:
        """Notes a path, unless it begins with a name that is known here: another crate's, or one that was imported."""
        if not names or names[0] not in KEYWORDS:
            return
        if len(names) > 1 and names[-1] == "self":
            names = names[:-1]
        written = "::".join(names)
        full = self.resolved(names)
        if names[0] != "crate" and MACRO in self.inner:
            self.odd(
                f"`{written}` in a macro leads elsewhere wherever the macro is used. Begin the path with `$crate`."
            )
        elif not in_use and KEYWORDS.issuperset(names):
            self.alone(written)
        elif full is None:
            self.odd(f"`{written}` leads out of the crate. Begin the path with `crate`.")
        else:
            self.found.append(Found(self.line(), written, full))

    def resolved(self, names: tuple[str, ...]) -> tuple[str, ...] | None:
        full = [] if names[0] == "crate" else [*self.module, *filter(None, self.inner)]
        for name in names:
            if name == "super" and not full:
                return None
            if name == "super":
                full.pop()
            elif name not in KEYWORDS:
                full.append(name)
        return tuple(full)

    def trick(self) -> None:
        """What brings code or names here by another way than a path."""
        word = self.text()
        if self.texts(3) == ("extern", "crate", "self"):
            self.odd("`extern crate self` gives the crate another name. Begin paths with `crate`.")
        elif word in {"macro_use", "macro_export"}:
            self.odd(f"`{word}` gives a macro to files that do not import it. Write `pub(crate) use` after the macro.")
        elif self.texts(2) == ("include", "!"):
            self.odd("`include!` takes another file's lines for this one's. Declare a module, and import from it.")
        elif self.texts(2) == ("path", "=") and self.text(3) in {"]", ")"}:
            self.placed(self.text(2)[1:])

    def placed(self, file: str) -> None:
        if not TESTS_FILE.fullmatch(file):
            self.odd(
                f'`#[path = "{file}"]` makes another file a part of this one. Leave it out, and move the file to where'
                " its module is looked for; tests may stand beside it, in `<name>_tests.rs`."
            )

    def alone(self, written: str) -> None:
        self.odd(f"`{written}` stands alone, and a macro may make any path of it. Write the path out.")

    def odd(self, why: str) -> None:
        self.found.append(Found(self.line(), "", odd=why))

    def line(self) -> int:
        """Of the name that was read last, or is being read."""
        return self.file[min(self.at, len(self.file) - 1)].line
