"""Values that the operator gives: `{var: NAME}` in a pipeline file stands for the text of `--var NAME=VALUE`, else of
the environment's VRSKY_VAR_NAME. No other variable of the environment can be named: customers write these files.

    url: {var: ERP, then: '/orders/{order.id}'}      the value, and a text behind it

It may stand for any scalar of `in`, `out` and `limits`, where its value is read like a plain scalar, and for a value of
`set`, where it is the text itself and no expression. It is resolved before anything else looks at the file, once its
snippets stand in their places.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from . import tree
from .problem import Problem
from .schema import View
from .snippets import Sources
from .source import Source
from .tree import Entry, Node, Scalar, children

PREFIX = "VRSKY_VAR_"
MAX_CHARACTERS = 4096
NOTHING: Mapping[str, str] = {}

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_HOLDERS = frozenset({"in", "out", "limits"})
_FORM = "Write `{var: NAME}`, or `{var: NAME, then: TEXT}` with a text behind it."
_PLACES = "Variables stand in `in`, `out`, `limits` and for the values of `set`; write the value out here."


def is_name(name: str) -> bool:
    """1 to 64 of A-Z, 0-9 and `_`, the first a letter: the end of a variable of the environment."""
    return _NAME.fullmatch(name) is not None


def resolve(sources: Sources, root: Node, model: View, given: Mapping[str, str]) -> list[Problem]:
    """Puts the values in place of the variables. What cannot be resolved stays, and is a problem."""
    if not any("var" in source.text for source in sources.all()):
        return []
    problems = []
    for place in list(_places(root, model, ())):
        try:
            place.put(_value(sources.of(place.pointer), place, given))
        except _Wrong as wrong:
            problems.append(wrong.problem)
    return problems


@dataclass(frozen=True, slots=True)
class _Place:
    """A `{var: ...}` where a scalar may stand, and how another node takes its place."""

    path: tuple[str, ...]
    view: View
    node: tree.Mapping
    put: Callable[[Scalar], None]

    @property
    def pointer(self) -> str:
        return "".join(f"/{token}" for token in self.path)

    @property
    def is_set(self) -> bool:
        return len(self.path) == 4 and self.path[0] == "steps" and self.path[2] == "set"


class _Wrong(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


def _places(node: Node, view: View, path: tuple[str, ...]) -> Iterator[_Place]:
    for token, entry, child in children(node):
        here = view.key(entry.key.text) if entry else view.item(int(token))
        if isinstance(child, tree.Mapping) and child.get("var") is not None and here.takes_scalar:
            yield _Place((*path, token), here, child, _putter(node, entry, token))
        elif not isinstance(child, Scalar):
            yield from _places(child, here, (*path, token))


def _putter(parent: Node, entry: Entry | None, token: str) -> Callable[[Scalar], None]:
    def put(scalar: Scalar) -> None:
        if entry is not None:
            entry.value = scalar
        elif isinstance(parent, tree.Sequence):
            parent.items[int(token)] = scalar

    return put


def _value(source: Source, place: _Place, given: Mapping[str, str]) -> Scalar:
    """Raises _Wrong."""

    def wrong(at: Scalar, code: str, reason: str, hint: str) -> _Wrong:
        length = at.end.column - at.start.column
        return _Wrong(Problem.at(source, at.start, code, reason, hint=hint, length=length, pointer=place.pointer))

    parts = {entry.key.text: entry for entry in place.node.entries}
    key, name = parts["var"].key, parts["var"].value
    if place.path[0] not in _HOLDERS and not place.is_set:
        raise wrong(key, "config/wrong-type", "a variable cannot stand here", _PLACES)
    for other in parts:
        if other not in {"var", "then"}:
            raise wrong(parts[other].key, "config/unknown-key", f"unknown key `{other}` of a variable", _FORM)
        if not isinstance(parts[other].value, Scalar):
            raise wrong(parts[other].key, "config/wrong-type", f"`{other}` wants a text", _FORM)
    assert isinstance(name, Scalar)
    if not is_name(name.text):
        hint = "Use 1 to 64 characters: A-Z, 0-9 and `_`, beginning with a letter."
        raise wrong(name, "config/invalid-name", f"`{name.text[:64]}` is no name of a variable", hint)
    value = given.get(name.text, os.environ.get(PREFIX + name.text))
    if value is None:
        hint = f"Give it with --var {name.text}=VALUE, or as {PREFIX}{name.text} in the environment."
        raise wrong(name, "config/missing-variable", f"the variable `{name.text}` is not given", hint)
    if len(value) > MAX_CHARACTERS or not _is_text(value):
        reason = f"the variable `{name.text}` is no text of at most {MAX_CHARACTERS:,} characters"
        raise wrong(name, "config/invalid-value", reason, "Give a shorter text, in UTF-8.")
    then = parts["then"].value if "then" in parts else None
    whole = value + (then.text if isinstance(then, Scalar) else "")
    return _scalar(place, name, whole)


def _is_text(value: str) -> bool:
    """What an environment in another encoding holds is none."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _scalar(place: _Place, name: Scalar, value: str) -> Scalar:
    """Where a text may stand it is one, whatever it looks like."""
    is_text = place.view.types is None or "string" in place.view.types
    # CEL reads the escapes of JSON, but no pairs of surrogates.
    text = json.dumps(value, ensure_ascii=False) if place.is_set else value
    return Scalar(text, name.start, name.end, '"' if is_text else None, name.text)
