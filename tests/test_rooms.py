"""The rooms of the engine: each imports what stands below it, and nothing beside it or above it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .rust_paths import Found, paths, tokens

CRATE = Path(__file__).resolve().parent.parent / "native/flow/src"
ENGINE = CRATE / "engine"

# Who may import whom. A room may always import itself, and everything in the same line may be imported by all
# lines above it; two rooms of a line never import each other.
FLOORS = (
    ("node",),
    ("shard",),
    ("ingress", "intake", "steps", "delivery"),
    ("registry", "consumers", "settlement"),
    ("tap",),
    ("message",),
    ("canary",),
    ("observe", "ids", "nats_api", "settings", "world"),
    ("subjects",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# What to write instead of a name for all of it.
BY_NAME = "Import each name from its room: `use crate::engine::<room>::<Name>;`."
# What is no room's: the map of the engine names all of them.
MAP = "mod"

# The modules of the crate that the engine may use. None of them knows the engine.
USED = ("catch_panic", "compile", "fan_out", "model", "process")

PLACED = re.compile(r'#\[path = "(\w+)\.rs"\]\s*mod (\w+);')


def module_of(file: Path) -> list[str]:
    """The module path of a file below the engine: `steps/large/mod.rs` is `steps`, `large`."""
    for sibling in file.parent.glob("*.rs"):
        for name, module in PLACED.findall(sibling.read_text()):
            if name == file.stem:
                return [*module_of(sibling), module]
    parts = list(file.relative_to(ENGINE).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "mod" else parts


def room_of(file: Path) -> str:
    return file.relative_to(ENGINE).with_suffix("").parts[0]


def beside_or_above(room: str, own: str) -> str:
    return "beside" if FLOOR[room] == FLOOR[own] else "above"


FILES = sorted(ENGINE.rglob("*.rs"))


def faults(file: Path) -> list[str]:
    """What a file of a room imports though it may not, and what to do instead."""
    own = room_of(file)
    found = paths(file.read_text(), ("engine", *module_of(file)))
    wrong = [(path.line, path.odd or fault(path, own)) for path in found]
    return list(dict.fromkeys(f"{file.name}:{line}: {words}" for line, words in wrong if words))


def fault(path: Found, own: str) -> str | None:
    """Why a file of the room `own` may not write this path."""
    if path.names in {(), ("*",)}:
        return f"`{own}` imports `{path.written}`, the whole crate. {BY_NAME}"
    if path.names in {("engine",), ("engine", "*")}:
        return f"`{own}` imports `{path.written}`, the whole engine. {BY_NAME}"
    if path.names[0] != "engine":
        return None if path.names[0] in USED else of_the_crate(path, own)
    room = path.names[1]
    if room not in FLOOR:
        return (
            f"`{own}` imports `{path.written}`, which is shown by the engine and owned by a room. Import it from there:"
            f" `crate::engine::<room>::{path.names[-1]}`."
        )
    if room == own or FLOOR[room] > FLOOR[own]:
        return None
    return (
        f"`{own}` imports `{room}`, which stands {beside_or_above(room, own)} it. Return an effect that the shard"
        f" routes to `{room}`, or move what both need to a room below."
    )


def of_the_crate(path: Found, own: str) -> str:
    return (
        f"`{own}` imports `{path.written}`, and of the crate it may use {', '.join(USED)}. If a room owns it, write"
        f" `crate::engine::<room>::{path.names[-1]}`; otherwise move what is needed to one of these."
    )


def test_every_file_belongs_to_a_room() -> None:
    assert {room_of(file) for file in FILES} == set(FLOOR) | {MAP}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ENGINE)))
def test_a_room_imports_only_what_stands_below_it(file: Path) -> None:
    if room_of(file) == MAP:
        return
    wrong = faults(file)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", USED)
def test_what_the_engine_uses_does_not_know_the_engine(module: str) -> None:
    """Else it could hand a room on to another under its own name."""
    known = {(name,) for name in USED}
    single = CRATE / f"{module}.rs"
    files = [single] if single.is_file() else sorted((CRATE / module).rglob("*.rs"))
    assert files
    for file in files:
        parts = file.relative_to(CRATE).with_suffix("").parts
        found = paths(file.read_text(), parts[:-1] if parts[-1] == "mod" else parts)
        wrong = [
            f"{file.name}:{path.line}: {path.odd or path.written}" for path in found if path.names[:1] not in known
        ]
        assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", [CRATE / "lib.rs", ENGINE / "mod.rs"], ids=["crate", "engine"])
def test_a_map_holds_no_macro_and_no_other_name_of_the_crate(file: Path) -> None:
    """A macro that stands before the modules is known in all of them."""
    text = file.read_text()
    assert "macro_rules" not in {token.text for token in tokens(text)}
    assert [path.odd for path in paths(text, ()) if path.odd] == []


def test_files_stay_short() -> None:
    long = {
        str(file.relative_to(ENGINE)): lines for file in FILES if (lines := len(file.read_text().splitlines())) >= 400
    }
    assert not long


# What is written where, and the words of the message it brings.
CROSSING = [
    ("ingress/keyed.rs", "use crate::engine::shard::Shard;", "imports `shard`"),
    ("ingress/keyed.rs", "use crate::engine::{ids::Id, shard::{Shard, Parts}};", "imports `shard`"),
    ("ingress/keyed.rs", "use super::super::shard::Parts;", "imports `shard`"),
    ("ingress/mod.rs", "use super::delivery::{Queue, work};", "imports `delivery`"),
    ("ids.rs", "use super::shard::Shard;", "imports `shard`"),
    # Another way round: past the engine and back, through braces, over several lines, with blanks and comments.
    ("ingress/keyed.rs", "use super::super::super::engine::shard::Shard;", "imports `shard`"),
    ("ingress/keyed.rs", "use super::{super::shard::Parts as Q};", "imports `shard`"),
    ("ingress/keyed.rs", "use self::super::super::shard::Parts;", "imports `shard`"),
    ("ingress/keyed.rs", "use self::{super::{super::{shard::Parts}}};", "imports `shard`"),
    ("intake/mod.rs", "use crate::{engine::delivery::Delivery as Y, model};", "imports `delivery`"),
    ("intake/mod.rs", "use {std::rc::Rc, crate::engine::delivery::Delivery};", "imports `delivery`"),
    (
        "intake/mod.rs",
        "use crate::{\n    model,\n    engine::{\n        ids,\n        delivery::Y,\n    },\n};",
        "mod.rs:5:",
    ),
    (
        "intake/mod.rs",
        "use crate :: /* a /* b */ :: c */ engine // here\n :: delivery :: Delivery;",
        "imports `delivery`",
    ),
    ("intake/mod.rs", 'const A: &str = "//"; use crate::engine::delivery::Delivery;', "imports `delivery`"),
    ("intake/mod.rs", 'const A: &str = r#""/*"#; use crate::engine::delivery::Delivery;', "imports `delivery`"),
    ("intake/mod.rs", "const A: char = '\"'; use crate::engine::delivery::Delivery;", "imports `delivery`"),
    ("intake/mod.rs", "use crate::r#engine::r#delivery::Delivery;", "imports `delivery`"),
    ("intake/mod.rs", "use crate::engine::delivery;", "imports `delivery`"),
    ("intake/mod.rs", "use crate::engine::delivery::{self as ids};", "imports `delivery`"),
    ("intake/mod.rs", "use crate::engine::delivery::*;", "imports `delivery`"),
    ("observe/mod.rs", "pub use super::registry::Revision;", "imports `registry`"),
    # In code, without `use`.
    ("ingress/keyed.rs", "fn f() { crate::engine::shard::Shard::new(); }", "imports `shard`"),
    ("ingress/keyed.rs", "fn f(_: super::super::shard::Shard) {}", "imports `shard`"),
    ("ingress/keyed.rs", "fn f() { <Vec::<super::super::shard::Shard>>::new(); }", "imports `shard`"),
    ("ingress/keyed.rs", "struct A(pub (super::super::shard::Shard, u8));", "imports `shard`"),
    ("ingress/keyed.rs", "mod a { mod b { use super::super::super::super::shard::Shard; } }", "imports `shard`"),
    ("ingress/keyed.rs", "mod a { fn f() { { super::super::super::shard::f() } } }", "imports `shard`"),
    ("ingress/keyed.rs", '#[serde(with = "crate::engine::shard::form")]', "imports `shard`"),
    ("ingress/keyed.rs", '#[serde(bound = "T: super::super::shard::Form")]', "imports `shard`"),
    ("ingress/keyed.rs", "fn f() { log!(crate::engine::shard::COUNT) }", "imports `shard`"),
    ("ingress/keyed.rs", "macro_rules! m { () => { $crate::engine::shard::f() } }", "imports `shard`"),
    ("ingress/keyed.rs", "macro_rules! m { () => { $crate::engine::{shard::f} } }", "imports `shard`"),
    # The whole crate, or the whole engine, under a name.
    (
        "steps/run.rs",
        "use crate::engine;\nfn f() { engine::node::check::f() }",
        "imports `crate::engine`, the whole engine",
    ),
    ("steps/run.rs", "use crate::engine as e;", "imports `crate::engine`, the whole engine"),
    ("steps/run.rs", "use crate::engine::{self, ids::Id};", "imports `crate::engine`, the whole engine"),
    ("steps/run.rs", "use crate::{engine as e, model};", "imports `crate::engine`, the whole engine"),
    ("steps/run.rs", "use crate::engine::*;", "imports `crate::engine::*`, the whole engine"),
    ("steps/run.rs", "use super::super as up;", "imports `super::super`, the whole engine"),
    ("steps/run.rs", "use super::super::{self as up};", "imports `super::super`, the whole engine"),
    ("steps/mod.rs", "use super::*;", "imports `super::*`, the whole engine"),
    ("steps/run.rs", "use crate::engine::{{self as e}};", "imports `crate::engine`, the whole engine"),
    ("steps/run.rs", "macro_rules! m { ($x:ident) => { use $crate::engine::{$x}; } }", "the whole engine"),
    ("steps/mod.rs", "use super as up;", "imports `super`, the whole engine"),
    ("steps/run.rs", "use crate as c;", "imports `crate`, the whole crate"),
    ("steps/run.rs", "use crate::{self as c};", "imports `crate`, the whole crate"),
    ("steps/run.rs", "use crate::*;", "imports `crate::*`, the whole crate"),
    ("steps/mod.rs", "use super::super as up;", "imports `super::super`, the whole crate"),
    ("steps/run.rs", "use super::super::super::super::shard;", "leads out of the crate"),
    # Under a name that is no room's.
    ("ingress/keyed.rs", "use crate::{Node as N2};", "imports `crate::Node`"),
    ("ingress/keyed.rs", "use crate::api::Node;", "imports `crate::api::Node`"),
    ("ingress/keyed.rs", "use crate::engine::Node;", "imports `crate::engine::Node`"),
    ("ingress/mod.rs", "use super::{Metric, ids::Id};", "imports `super::Metric`"),
    # What is put together elsewhere.
    ("ingress/keyed.rs", "fn f() { m!(crate, engine, shard) }", "`crate` stands alone"),
    ("ingress/keyed.rs", "fn f() { m!(super::super) }", "`super::super` stands alone"),
    ("ingress/keyed.rs", "use $p::super::shard::Shard;", "`super` stands alone"),
    (
        "ingress/keyed.rs",
        "macro_rules! m { ($r:ident) => { $crate::engine::$r::f() } }",
        "imports `crate::engine`, the whole engine",
    ),
    ("steps/large/work.rs", "macro_rules! m { () => { super::super::ids::f() } }", "`super::super::ids::f` in a macro"),
    ("steps/large/work.rs", "macro_rules! m { ($a:ident) => { self::$a() } }", "`self` in a macro"),
    ("steps/run.rs", "extern crate self as flow;", "`extern crate self`"),
    ("steps/run.rs", 'include!("../shard/turn.rs");', "`include!`"),
    ("steps/run.rs", '#[path = "../shard/turn.rs"]\nmod turn;', '`#[path = "../shard/turn.rs"]`'),
    ("steps/run.rs", '#[cfg_attr(test, path = "../shard/turn.rs")]\nmod turn;', '`#[path = "../shard/turn.rs"]`'),
    ("ids.rs", '#[path = "settings.rs"]\nmod s;', '`#[path = "settings.rs"]`'),
    ("steps/run.rs", "#[macro_export]\nmacro_rules! m { () => {} }", "`macro_export`"),
    ("steps/mod.rs", "#[macro_use]\nmod run;", "`macro_use`"),
]
ALLOWED = [
    (
        "ingress/keyed.rs",
        "use super::*;\nuse super::super::ids::Id;\nuse crate::engine::{ids::{self, Id}, subjects as s};",
    ),
    ("ingress/keyed.rs", "use std::{self, io};\nuse tokio::sync::{Notify, mpsc};\nuse ::nats::Message;"),
    ("ingress/keyed.rs", "use crate::compile::{Input, OutKind};\nuse crate::{catch_panic::catch_panic, model::In};"),
    ("ingress/keyed.rs", "pub(crate) struct A(pub(super) u8, pub(in crate::engine) u8, pub(in super::super) u8);"),
    (
        "ingress/keyed.rs",
        '// use crate::engine::node;\n/* super::super::shard */ const A: &str = "use crate::engine;";',
    ),
    ("ingress/keyed.rs", "fn f<'a>(self: &'a Self) -> impl Fn() + use<'a> { self.g(); self::h(super::h as u8) }"),
    ("ingress/keyed.rs", "mod tests { use super::*; use super::super::Ingress; }\nuse super::super::ids::Id;"),
    ("ingress/keyed.rs", "macro_rules! m { ($a:expr) => { $crate::engine::ids::f($a) } }\nuse super::super::ids::Id;"),
    ("steps/large/work.rs", "use super::super as steps;\nuse super::super::run::{self, parse};"),
    ("shard/tasks/lanes.rs", "use crate::engine::{intake, steps, delivery::{self, Delivery}, ids};"),
    ("steps/run.rs", '#[path = "run_tests.rs"]\nmod tests;'),
]


def sample(engine: Path, place: str, code: str) -> Path:
    """A file of a room that holds this code."""
    file = engine / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code)
    return file


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(f"{__name__}.ENGINE", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("place", "code", "words"), CROSSING)
def test_an_import_across_rooms_is_found(engine: Path, place: str, code: str, words: str) -> None:
    found = faults(sample(engine, place, code))
    assert len(found) == 1, found
    assert words in found[0]


@pytest.mark.parametrize(("place", "code"), ALLOWED)
def test_an_import_from_below_is_let_through(engine: Path, place: str, code: str) -> None:
    assert faults(sample(engine, place, code)) == []


def test_a_file_placed_by_an_attribute_has_the_place_its_declaration_gives_it(engine: Path) -> None:
    sample(engine, "steps/run.rs", '#[cfg(test)]\n#[path = "run_tests.rs"]\nmod tests;')
    file = sample(engine, "steps/run_tests.rs", "use super::super::super::shard::Shard;\nuse super::super::slab::Slab;")
    assert [fault.partition(" ")[0] for fault in faults(file)] == ["run_tests.rs:1:"]
