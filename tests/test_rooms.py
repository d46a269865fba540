"""The rooms of the engine: each imports what stands below it, and nothing beside it or above it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parent.parent / "native/flow/src/engine"

# Who may import whom. A room may always import itself, and everything in the same line may be imported by all
# lines above it; two rooms of a line never import each other.
FLOORS = (
    ("node",),
    ("shard",),
    ("ingress", "intake", "steps", "delivery"),
    ("registry", "consumers", "settlement"),
    ("message",),
    ("observe", "ids", "nats_api", "settings"),
    ("subjects",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# What is no room's: the map of the engine names all of them.
MAP = "mod"

PATH = re.compile(r"(?<![\w:])(crate::engine|super(?:::super)*)::")


def module_of(file: Path) -> list[str]:
    """The module path of a file below the engine: `steps/large/mod.rs` is `steps`, `large`."""
    parts = list(file.relative_to(ENGINE).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "mod" else parts


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """(line, room) of every path that leads to a room, in `use` and elsewhere, with braces expanded."""
    text = re.sub(r"//[^\n]*", "", file.read_text())
    module = module_of(file)
    for match in PATH.finditer(text):
        prefix = match[1]
        base = [] if prefix.startswith("crate") else module[: len(module) - prefix.count("super")]
        if not prefix.startswith("crate") and prefix.count("super") > len(module):
            continue  # above the engine
        line = text.count("\n", 0, match.start()) + 1
        for first in heads(text, match.end()):
            room = [*base, first][0]
            if room in FLOOR:
                yield line, room


def heads(text: str, at: int) -> Iterator[str]:
    """The first name of each path that begins at `at`: one, or those of a list in braces."""
    if text[at] != "{":
        if name := re.match(r"\w+", text[at:]):
            yield name[0]
        return
    depth, start = 0, at + 1
    for position in range(at, len(text)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
        if depth == 0 or (depth == 1 and text[position] == ","):
            if name := re.match(r"\s*(\w+)", text[start:position]):
                yield name[1]
            start = position + 1
        if depth == 0:
            return


def room_of(file: Path) -> str:
    return file.relative_to(ENGINE).with_suffix("").parts[0]


def beside_or_above(room: str, own: str) -> str:
    return "beside" if FLOOR[room] == FLOOR[own] else "above"


FILES = sorted(ENGINE.rglob("*.rs"))


def test_every_file_belongs_to_a_room() -> None:
    assert {room_of(file) for file in FILES} == set(FLOOR) | {MAP}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ENGINE)))
def test_a_room_imports_only_what_stands_below_it(file: Path) -> None:
    own = room_of(file)
    if own == MAP:
        return
    wrong = [
        f"{file.name}:{line}: `{own}` imports `{room}`, which stands {beside_or_above(room, own)} it. Return an effect"
        f" that the shard routes to `{room}`, or move what both need to a room below."
        for line, room in imports(file)
        if room != own and FLOOR[room] <= FLOOR[own]
    ]
    assert not wrong, "\n".join(wrong)


def test_files_stay_short() -> None:
    long = {
        str(file.relative_to(ENGINE)): lines for file in FILES if (lines := len(file.read_text().splitlines())) >= 400
    }
    assert not long


def test_an_import_across_rooms_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ENGINE", tmp_path)
    (tmp_path / "steps").mkdir()
    file = tmp_path / "steps" / "run.rs"
    file.write_text(
        "use super::super::delivery::{Queue, work};\nuse crate::engine::{ids::Id, shard::{Shard, Parts}};\n"
        "// use crate::engine::node;\nfn f() { crate::engine::intake::place(); super::pool::take() }\n"
    )
    assert list(imports(file)) == [(1, "delivery"), (2, "ids"), (2, "shard"), (4, "intake"), (4, "steps")]
