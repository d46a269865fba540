"""What `vrsky apply` would write: pipeline files beside what the bucket holds, with a diff of their texts."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..config import PipelineFile
from ..config.stored import Stored
from ..control.buckets import name_of
from ..control.revisions import Revision
from .choice import counted
from .terminal import Terminal, safe

# Of one pipeline; a text that is longer is only said to differ.
_MAX_LINES = 400
_MAX_CHARACTERS = 256 * 1024

Kind = Literal["added", "changed", "canary", "removed", "unchanged"]


@dataclass(frozen=True)
class Change:
    """Of one key. `stored` is what is to be there, None to have it deleted; `before` what is there, a marker of its
    deletion included. A `canary` changes nothing of what is there: it stands beside it in `stored`."""

    key: str
    kind: Kind
    stored: Stored | None
    before: Revision | None

    @property
    def name(self) -> str:
        return name_of(self.key)

    @property
    def sequence(self) -> int:
        """Of what is there; 0 for nothing."""
        return 0 if self.before is None else self.before.sequence

    def diff(self) -> list[str]:
        """Lines of a unified diff of the file and what it names, or of the compiled file where only that differs."""
        old, new = None if self.before is None else self.before.stored, self._new
        lines = list(_diff(_texts(old), _texts(new)))
        if not lines and self.kind in {"changed", "canary"}:
            lines = list(_diff({"compiled": _pretty(old)}, {"compiled": _pretty(new)}))
        if len(lines) > _MAX_LINES:
            lines = [*lines[:_MAX_LINES], f"... and {len(lines) - _MAX_LINES} more lines"]
        return lines

    @property
    def _new(self) -> Stored | None:
        """What is to run, of all messages or of a share."""
        if self.kind == "canary" and self.stored is not None and self.stored.canary is not None:
            return self.stored.canary.stored
        return self.stored

    def as_json(self) -> dict[str, object]:
        customer, _, pipeline = self.key.partition(".")
        canary = None if self.stored is None or self.stored.canary is None else self.stored.canary
        return {
            "customer": customer,
            "pipeline": pipeline,
            "change": self.kind,
            "file": None if self.stored is None else self.stored.file,
            "revision": None if self.stored is None else self.stored.revision,
            "previous": None if self.before is None else self.before.revision,
            "canary": None if canary is None else canary.as_json(),
            "diff": "\n".join(self.diff()) if self.kind != "unchanged" else "",
        }


def compare(path: Path, loaded: Sequence[PipelineFile], there: Mapping[str, Revision], prune: bool) -> list[Change]:
    """The files of `path` beside what is `there`; with `prune` also what their customers have there and not in the
    files. Raises InvalidConfig for a script that has changed since its file was loaded."""
    changes = [_change(path, one, there) for one in loaded]
    if prune:
        customers, keys = {one.customer for one in loaded}, {one.key for one in changes}
        gone = (one for key, one in sorted(there.items()) if key not in keys and one.customer in customers)
        changes += [Change(one.key, "removed", None, one) for one in gone if not one.is_deleted]
    return changes


def _change(path: Path, one: PipelineFile, there: Mapping[str, Revision]) -> Change:
    file = os.path.relpath(one.path, path) if path.is_dir() else one.path.name
    key, before = one.key, there.get(one.key)
    old = None if before is None else before.stored
    if old is not None and _is_same(one, file, old):
        return Change(key, "unchanged", old, before)
    stored = Stored.of(one, file)
    is_new = before is None or before.is_deleted
    return Change(key, "added" if is_new else "changed", stored, before)


def _is_same(one: PipelineFile, file: str, old: Stored) -> bool:
    """The revision is a hash of the compiled file, its scripts and its tables."""
    snippets = {name: data.decode() for name, data in one.snippets.items()}
    return (old.revision, old.file, old.source, old.snippets) == (
        one.compiled.revision,
        file,
        one.source.text,
        snippets,
    )


def _texts(stored: Stored | None) -> dict[str, str]:
    return {} if stored is None else {stored.file: stored.source, **stored.snippets, **stored.texts}


def _pretty(stored: Stored | None) -> str:
    return "" if stored is None else json.dumps(json.loads(stored.json), indent=2, ensure_ascii=False)


def _diff(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys([*old, *new]):
        one, other = old.get(name, ""), new.get(name, "")
        if one == other:
            continue
        if max(len(one), len(other)) > _MAX_CHARACTERS:
            yield f"{name} differs: {len(one):,} and {len(other):,} characters"
            continue
        before = name if name in old else "/dev/null"
        after = name if name in new else "/dev/null"
        yield from difflib.unified_diff(one.splitlines(), other.splitlines(), before, after, lineterm="")


def show(terminal: Terminal, changes: Sequence[Change]) -> None:
    words = {
        "added": terminal.good("added    "),
        "changed": terminal.warning("changed  "),
        "canary": terminal.warning("canary   "),
        "removed": terminal.bad("removed  "),
    }
    for one in changes:
        if one.kind == "unchanged":
            continue
        file = "" if one.stored is None else f"  {one.stored.file}"
        terminal.line(f"{words[one.kind]}  {terminal.strong(one.name)}{safe(file)}")
        if one.kind in {"changed", "canary"}:
            for line in one.diff():
                terminal.line(f"    {_painted(terminal, line)}")
    unchanged = sum(one.kind == "unchanged" for one in changes)
    if unchanged:
        terminal.line(terminal.quiet(f"{counted(unchanged, 'pipeline')} unchanged"))


def _painted(terminal: Terminal, line: str) -> str:
    paint = {"+": terminal.good, "-": terminal.bad}.get(line[:1], str)
    return paint(safe(line))
