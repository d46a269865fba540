"""Scripts that throw, loop, allocate, recurse, return garbage or far too much: one message fails, no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from .node import Node, a_number

HOSTILE = """\
customer: acme
pipeline: hostile
in: {http: {path: /hostile}}
steps:
  - script: hostile.ts
out: {file: {path: hostile.ndjson}}
# So much that only what never ends meets it, however slow the machine is.
limits: {script: {cpu_ms: 100}}
"""

SCRIPT = """\
type Message = { n: number; mode?: string };
const modes: Record<string, (msg: Message) => unknown> = {
  throw: (msg) => { throw new Error(`no ${msg.n}`); },
  throwNothing: () => { throw undefined; },
  throwTrap: () => { throw { get message() { throw new Error("trap"); }, toString() { throw 1; } }; },
  loop: () => { for (;;) {} },
  loopInFinally: () => { try { for (;;) {} } finally { for (;;) {} } },
  catchAll: () => { for (;;) { try { for (;;) {} } catch { } } },
  allocate: () => { const all = []; for (;;) { all.push(new Array(100_000).fill("x")); } },
  text: () => { let text = "x"; for (;;) { text += text; } },
  recurse: () => { const down = (n: number): number => 1 + down(n + 1); return down(0); },
  undefined: () => undefined,
  function: () => () => 1,
  symbol: () => ({ s: Symbol("s") }),
  bigint: () => ({ n: 10n }),
  nan: () => ({ n: NaN }),
  cycle: (msg) => { (msg as any).self = msg; return msg; },
  trap: () => ({ get n() { throw new Error("trap"); } }),
  proxy: () => new Proxy({}, { ownKeys() { throw new Error("trap"); } }),
  promise: () => new Promise(() => {}),
  many: (msg) => Array.from({ length: 10_000 }, (_, i) => ({ n: i })),
  holes: () => new Array(4_000_000_000),
  large: () => ({ text: "x".repeat(17 * 1024 * 1024) }),
  poison: () => {
    (Object.prototype as any).n = 1;
    (Array.prototype as any).push = null;
    (globalThis as any).seen = 1;
    throw new Error("poisoned");
  },
};
export default (msg: Message) => msg.mode ? modes[msg.mode](msg) : { n: msg.n, seen: (globalThis as any).seen };
"""

SPLIT = """\
customer: acme
pipeline: split
in: {http: {path: /split}}
steps:
  - script: {language: js, code: "export default (msg) => msg.parts"}
  - filter: n > 0
out: {file: {path: split.ndjson}}
"""

# What the script does, the code, and what the place has to name: the line in the customer's file.
FAULTS = {
    "throw": ("script/threw", "line 3"),
    "throwNothing": ("script/threw", ""),
    "throwTrap": ("script/threw", ""),
    "loop": ("script/timeout", ""),
    "loopInFinally": ("script/timeout", ""),
    "catchAll": ("script/timeout", ""),
    "allocate": ("script/out-of-memory script/timeout", ""),
    "text": ("script/threw script/out-of-memory script/timeout", ""),
    "recurse": ("script/stack-overflow script/timeout", ""),
    "undefined": ("script/no-return", ""),
    "function": ("script/bad-return", ""),
    "symbol": ("script/bad-return", ""),
    "bigint": ("script/bad-return", ""),
    "nan": ("script/bad-return", ""),
    "cycle": ("script/bad-return script/output-too-large", ""),
    "trap": ("script/threw", ""),
    "proxy": ("script/bad-return script/threw", ""),
    "promise": ("script/never-settles", ""),
    "many": ("script/too-many-outputs", ""),
    "holes": ("script/too-many-outputs script/bad-return", ""),
    "large": ("script/output-too-large script/out-of-memory script/timeout", ""),
    "poison": ("script/threw", ""),
}


@pytest.fixture(scope="module")
def node(start_shared_node: Callable[[dict[str, str]], Node]) -> Node:
    return start_shared_node({"hostile.yaml": HOSTILE, "hostile.ts": SCRIPT, "split.yaml": SPLIT})


def test_each_hostile_call_fails_its_own_message_and_names_the_step(node: Node) -> None:
    ids = {mode: node.accepts("/hostile", json.dumps({"n": 1, "mode": mode}).encode()) for mode in FAULTS}
    letters = node.dead_letters_of(set(ids.values()))
    wrong = {}
    for mode, (codes, place) in FAULTS.items():
        letter = letters[ids[mode]]
        if letter["code"] not in codes.split() or place not in letter["place"] or not letter["reason"]:
            wrong[mode] = (letter["code"], letter["place"], letter["reason"], codes, place)
        assert letter["step"] == "0:script"
        assert "step 0:script" in letter["place"]
    assert not wrong
    thrown = node.dead_letter(ids["throw"])
    assert json.loads(thrown["payload"]) == {"n": 1, "mode": "throw"}
    assert "no 1" in thrown["reason"]
    assert "hostile.ts" in thrown["place"]
    node.still_works("/hostile", "hostile.ndjson")


def test_good_messages_between_hostile_ones_all_pass_and_see_nothing_of_them(node: Node) -> None:
    modes = ["throw", "loop", "allocate", "recurse", "many", "poison"]

    def send(turn: int) -> tuple[int, str, bool]:
        number, is_bad = a_number(), turn % 8 == 0
        body = {"n": number} | ({"mode": modes[turn // 8 % len(modes)]} if is_bad else {})
        return number, node.accepts("/hostile", json.dumps(body).encode()), is_bad

    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(send, range(240)))
    node.delivers_all("hostile.ndjson", {number for number, _, is_bad in sent if not is_bad})
    node.dead_letters_of({sent_id for _, sent_id, is_bad in sent if is_bad})
    assert not [line for line in node.lines("hostile.ndjson") if set(line) != {"n"}]
    node.still_works("/hostile", "hostile.ndjson")


def test_a_part_that_fails_is_a_dead_letter_alone(node: Node) -> None:
    first, last = a_number(), a_number()
    parts = [{"n": first}, {"m": 1}, {"n": "text"}, {"n": -1}, {"n": last}]
    split = node.accepts("/split", json.dumps({"parts": parts}).encode())
    node.delivers_all("split.ndjson", {first, last})
    node.hears("filtered", id=split)
    letters = [one for one in node.dead_letters() if one["id"] == split]
    assert [(one["code"], one["step"]) for one in letters] == [
        ("filter/missing-field", "1:filter"),
        ("filter/wrong-type", "1:filter"),
    ]
    shown = node.dead_letter(split)
    assert json.loads(shown["payload"]) in ({"m": 1}, {"n": "text"})
    assert shown["headers"]["Vrsky-Part"] != "0"
    assert node.numbers("split.ndjson") >= {first, last}
    number = a_number()
    node.accepts("/split", json.dumps({"parts": [{"n": number}]}).encode())
    node.delivers_all("split.ndjson", {number})
    node.assert_alive()
