"""Script as Python sees it; the runtime is tested in the script crate."""

from __future__ import annotations

import json

import pytest

from vrsky_fast import Limits, Message, Script
from vrsky_fast.errors import ConvertError, JsonError, NatsError, ScriptError


def run(source: str, payload: bytes = b'{"a": 1}', **options: object) -> list[object]:
    made = Script(f"export default {source}", **options).run(Message(payload))  # type: ignore[arg-type]
    return [json.loads(message.payload) for message in made]


def test_none_one_or_many() -> None:
    assert run("(msg: any) => null") == []
    assert run("(msg: any) => { msg.a++; return msg }") == [{"a": 2}]
    assert run("msg => [msg, {b: msg.a}]", language="js") == [{"a": 1}, {"b": 1}]


def test_parts_keep_headers_and_have_ids() -> None:
    script = Script("export default (msg: any, ctx: any) => [ctx.headers.shop, ctx.id]")
    message = Message(b"{}", {"Shop": "zürich"}, "m1")
    made = script.run(message)
    assert [json.loads(part.payload) for part in made] == ["zürich", "m1"]
    assert [part.id for part in made] == ["m1[0]", "m1[1]"]
    assert all(part.headers == {"Shop": "zürich"} for part in made)
    assert [part.id for part in Script("export default (m: any) => m").run(message)] == ["m1"]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("(m: any) => { throw new Error('no') }", "script/threw"),
        ("(m: any) => undefined", "script/no-return"),
        ("(m: any) => { while (true); }", "script/timeout"),
        (
            "(m: any) => { const all = []; while (true) all.push('x'.repeat(1000) + all.length) }",
            "script/out-of-memory",
        ),
        ("(m: any) => { const f: any = () => f() + 1; return f() }", "script/stack-overflow"),
        ("(m: any) => Array(1001).fill(0)", "script/too-many-outputs"),
        ("(m: any) => [() => 1]", "script/bad-return"),
    ],
)
def test_a_failure_has_its_code_and_the_script_lives_on(source: str, code: str) -> None:
    guarded = Script(
        f"const f = {source}; export default (m: any) => m.ok ? m : f(m)", limits=Limits(cpu_ms=500, memory_mb=8)
    )
    with pytest.raises(ScriptError) as caught:
        guarded.run(Message(b"{}"))
    assert caught.value.code == code
    assert [part.payload for part in guarded.run(Message(b'{"ok":1}'))] == [b'{"ok":1}']


def test_what_does_not_compile_names_line_and_column() -> None:
    with pytest.raises(ScriptError) as caught:
        Script("export default (msg) => {\n  return msg +;\n}")
    assert caught.value.code == "script/syntax"
    assert caught.value.place is not None
    assert caught.value.place.line == 2
    with pytest.raises(ValueError, match="ts"):
        Script("export default m => m", language="py")  # type: ignore[arg-type]


def test_it_works_on_json_only() -> None:
    script = Script("export default (m: any) => m")
    with pytest.raises(ConvertError):
        script.run(Message(b"<a/>"))
    with pytest.raises(JsonError):
        script.run(Message(b"{"))
    with pytest.raises(TypeError):
        script.run(b"{}")  # type: ignore[arg-type]


def test_a_message_is_a_value() -> None:
    payload = b"\x00\xff"
    message = Message(payload, {"A": "1"}, id="x")
    assert message.payload is payload
    assert (message.headers, message.id) == ({"A": "1"}, "x")
    message.headers["B"] = "2"
    assert message.headers == {"A": "1"}
    buffer = bytearray(b"ab")
    copied = Message(buffer)
    buffer[0] = 0
    assert (copied.payload, copied.headers, copied.id) == (b"ab", {}, None)
    with pytest.raises(TypeError, match="expected bytes"):
        Message("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Message(b"", {"A": 1})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "headers", [{"A": "1\r\nNats-Rollup: all"}, {"A\n": "1"}, {"A:B": "1"}, {"": "1"}, {"A B": "1"}, {"A": "\0"}]
)
def test_a_header_cannot_break_out(headers: dict[str, str]) -> None:
    with pytest.raises(NatsError, match="nats/header"):
        Message(b"", headers)
