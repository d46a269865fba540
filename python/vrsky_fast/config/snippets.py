"""Parts of a pipeline file in files of their own: `{include: NAME.snippet.yaml}` stands for what that file holds.

    steps:
      - include: common/clean.snippet.yaml        a list of steps: all of them stand here
      - filter: order.total > 100
    out:
      http:
        url: https://erp.example/orders
        headers: {include: headers.snippet.yaml}  a mapping: it stands here

Snippets are put in before anything else looks at the file, so that variables and names of files within them work; a
path in a snippet counts from the snippet's own folder. Every place knows which file it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from ..facts import MAX_FILE_BYTES
from . import reader
from .files import Refused
from .problem import InvalidConfig, Problem
from .schema import View
from .source import Source
from .tree import Entry, Mapping, Node, Scalar, Sequence, children, escape

ENDINGS = (".snippet.yaml", ".snippet.yml")
"""What no folder's pipeline files end with."""

MAX_DEPTH = 4
MAX_INCLUDES = 100

_HOLDERS = frozenset({"in", "steps", "out", "limits", "tables", "tests"})
_KEY = "include"
_HINT = "Write `{include: NAME.snippet.yaml}`, with nothing beside it."


def is_snippet(name: str) -> bool:
    return name.endswith(ENDINGS)


@dataclass
class Sources:
    """The files that a pipeline is written in: which of them a pointer leads into."""

    main: Source
    parts: dict[str, Source] = field(default_factory=dict)
    """Of each included node, by its pointer."""

    def of(self, pointer: str) -> Source:
        while self.parts and pointer:
            if pointer in self.parts:
                return self.parts[pointer]
            pointer = pointer.rpartition("/")[0]
        return self.main

    def all(self) -> Iterator[Source]:
        yield self.main
        yield from self.parts.values()


Read = Callable[[str], bytes]
"""The bytes of a file beside the pipeline file. Raises Refused."""


def expand(source: Source, root: Node, model: View, read: Read) -> tuple[Sources, list[Problem]]:
    """Puts snippets in their places. What cannot be put there stays, and is a problem."""
    sources = Sources(source)
    if _KEY not in source.text:
        return sources, []
    expander = _Expander(sources, read)
    expander.expand(root, model, "", _Place(source, (), PurePosixPath()))
    return sources, expander.problems


@dataclass(frozen=True)
class _Place:
    """The file that is read, those that it is included by, and the folder that its paths count from."""

    source: Source
    chain: tuple[str, ...]
    folder: PurePosixPath


class _Wrong(Exception):
    def __init__(self, problems: list[Problem]) -> None:
        super().__init__()
        self.problems = problems


class _Expander:
    def __init__(self, sources: Sources, read: Read) -> None:
        self.problems: list[Problem] = []
        self._sources = sources
        self._read = read
        self._count = 0
        self._bytes = 0

    def expand(self, node: Node, view: View, pointer: str, place: _Place) -> None:
        """Everything below a node."""
        if isinstance(node, Mapping):
            for entry in node.entries:
                if pointer or entry.key.text in _HOLDERS:
                    self._value(entry, view.key(entry.key.text), f"{pointer}/{escape(entry.key.text)}", place)
        elif isinstance(node, Sequence):
            items: list[Node] = []
            for child in node.items:
                items += self._item(child, view.item(len(items)), f"{pointer}/{len(items)}", place)
            node.items = items

    def _value(self, entry: Entry, view: View, pointer: str, place: _Place) -> None:
        found = self._included(entry.value, view, pointer, place)
        if found is None:
            self._inside(entry.value, view, pointer, place)
            return
        node, within = found
        self._sources.parts[pointer] = within.source
        entry.value = node
        # Errors of the whole point at its key; the file that they name has it where the value begins.
        entry.key = Scalar(entry.key.text, node.start, node.start, entry.key.style)
        self._inside(node, view, pointer, within)

    def _item(self, child: Node, view: View, pointer: str, place: _Place) -> list[Node]:
        """What stands for an item of a list."""
        found = self._included(child, view, pointer, place)
        if found is None:
            self._inside(child, view, pointer, place)
            return [child]
        node, within = found
        if not isinstance(node, Sequence):
            self._sources.parts[pointer] = within.source
            self._inside(node, view, pointer, within)
            return [node]
        items: list[Node] = []
        parent, _, first = pointer.rpartition("/")
        for item in node.items:
            here = f"{parent}/{int(first) + len(items)}"
            some = self._item(item, view, here, within)
            for at in range(len(some)):
                self._sources.parts.setdefault(f"{parent}/{int(first) + len(items) + at}", within.source)
            items += some
        return items

    def _inside(self, node: Node, view: View, pointer: str, place: _Place) -> None:
        """Below what is not included, or was just now; not where anything goes."""
        if isinstance(node, Scalar):
            is_path = "file" in view.formats and node.text and place.folder.parts
            if is_path and not PurePosixPath(node.text).is_absolute():
                node.text = str(place.folder / node.text)
        elif view.types is not None:
            self.expand(node, view, pointer, place)

    def _included(self, node: Node, view: View, pointer: str, place: _Place) -> tuple[Node, _Place] | None:
        """What is included here, and where it stands; None where nothing is."""
        try:
            name = _name_of(node, view, place.source)
            return None if name is None else self._load(name, pointer, place)
        except _Wrong as wrong:
            self.problems += [replace(problem, pointer=pointer) for problem in wrong.problems]
            return None

    def _load(self, name: Scalar, pointer: str, place: _Place) -> tuple[Node, _Place]:
        """Raises _Wrong."""
        path = place.folder / name.text if not PurePosixPath(name.text).is_absolute() else PurePosixPath(name.text)
        chain = (*place.chain, str(path))
        self._count += 1
        if str(path) in place.chain:
            raise _wrong(place.source, name, f"the snippet includes itself: {' includes '.join(chain)}")
        if len(chain) > MAX_DEPTH or self._count > MAX_INCLUDES:
            reason = f"snippets are included {MAX_DEPTH} deep and {MAX_INCLUDES} times at most"
            raise _wrong(place.source, name, reason)
        try:
            data = self._read(str(path))
        except Refused as refused:
            raise _wrong(place.source, name, refused.reason, refused.code) from None
        self._bytes += len(data)
        if self._bytes > MAX_FILE_BYTES:
            reason = f"the snippets have more than {MAX_FILE_BYTES:,} bytes together"
            raise _wrong(place.source, name, reason, "config/too-large")
        try:
            source, root = reader.read(str(PurePosixPath(self._sources.main.name).parent / path), data)
        except InvalidConfig as invalid:
            raise _Wrong(list(invalid.problems)) from None
        if pointer.count("/") + _levels(root) > reader.MAX_DEPTH:
            raise _wrong(place.source, name, f"more than {reader.MAX_DEPTH} levels", "config/too-deep")
        return root, _Place(source, chain, path.parent)


def _name_of(node: Node, view: View, source: Source) -> Scalar | None:
    """The name in `{include: NAME}`; none where anything goes, as in the payload of a test. Where names are free, as
    those of headers, another `include` is one of them. Raises _Wrong for what can be nothing but a mistaken include."""
    if view.types is None or not isinstance(node, Mapping):
        return None
    entry = node.get(_KEY)
    if entry is None or not isinstance(entry.value, Scalar):
        return None
    name = entry.value
    if not is_snippet(name.text):
        if view.key(_KEY).is_known:
            return None
        reason = f"an include names a snippet, a file that ends with `{ENDINGS[0]}`"
        raise _wrong(source, name, reason)
    if len(node.entries) > 1:
        raise _wrong(source, entry.key, "an include stands alone in its mapping")
    return name


def _wrong(source: Source, at: Scalar, reason: str, code: str = "config/invalid-include") -> _Wrong:
    hint = _HINT if code == "config/invalid-include" else ""
    length = at.end.column - at.start.column
    return _Wrong([Problem.at(source, at.start, code, reason, hint=hint, length=length)])


def _levels(root: Node) -> int:
    levels, here = 0, [root]
    while here:
        levels += 1
        here = [child for node in here for _, _, child in children(node)]
    return levels
