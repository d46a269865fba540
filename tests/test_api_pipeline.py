"""Pipeline as Python sees it: load, process, dry_run, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vrsky_fast import Message, Pipeline, Place, Result, _native
from vrsky_fast.errors import ConfigError, ScriptError

from .conftest import Write

FILE = """\
customer: acme
pipeline: orders
in:
  http: {path: /orders}
steps:
  - convert: {from: xml, arrays: [order.item], numbers: [order.total]}
  - filter: order.total > 100.0
  - script: net.ts
  - route: [{when: total > 1000.0, to: [audit, erp]}, {to: erp}]
out:
  erp: {http: {url: 'https://erp.example/{item}'}}
  audit: {file: {path: audit.ndjson}}
"""
SCRIPT = "export default (msg: any) => msg.order.item.map((item: string) => ({item, total: msg.order.total}))\n"


@pytest.fixture
def pipeline(write: Write) -> Pipeline:
    write("net.ts", SCRIPT)
    return Pipeline.load(write("orders.yaml", FILE))


def order(total: str, *items: str) -> Message:
    inner = "".join(f"<item>{item}</item>" for item in items)
    return Message(f"<order><total>{total}</total>{inner}</order>".encode())


def outputs(result: Result) -> list[tuple[str, Any, str | None]]:
    return [(output.out, json.loads(output.payload), output.url) for output in result.outputs]


def test_one_result_a_message_in_order(pipeline: Pipeline) -> None:
    messages = [order("2000", "a"), order("5"), order("150", "b", "c"), Message(b"<order>"), order("x")]
    results = pipeline.process(messages)
    assert [result.status for result in results] == ["ok", "dropped", "ok", "failed", "failed"]
    assert outputs(results[0]) == [
        ("erp", {"item": "a", "total": 2000}, "https://erp.example/a"),
        ("audit", {"item": "a", "total": 2000}, None),
    ]
    assert [url for _, _, url in outputs(results[2])] == ["https://erp.example/b", "https://erp.example/c"]
    assert (results[1].code, results[1].place) == (None, Place(step="1:filter"))
    assert (results[3].code, results[3].place) == ("xml/not-well-formed", Place(step="0:convert", offset=7))
    assert (results[4].code, results[4].outputs) == ("convert/not-a-number", ())
    assert results[0].outputs[0].content_type == "application/json"
    assert pipeline.process([]) == []


def test_a_dry_run_shows_every_step(pipeline: Pipeline) -> None:
    steps = pipeline.dry_run(order("150", "b", "c"))
    assert [(label, verdict) for label, _, verdict in steps] == [
        ("0:convert", "pass"),
        ("1:filter", "pass"),
        ("2:script[0]", "pass"),
        ("3:route[0]", "to erp"),
        ("2:script[1]", "pass"),
        ("3:route[1]", "to erp"),
    ]
    assert json.loads(steps[2][1]) == {"item": "b", "total": 150}
    assert pipeline.dry_run(Message(b"<order>")) == []


def test_what_was_compiled_is_known(pipeline: Pipeline) -> None:
    assert (pipeline.customer, pipeline.name) == ("acme", "orders")
    again = Pipeline.from_json(pipeline.json, {"net.ts": SCRIPT})
    assert (again.revision, again.json) == (pipeline.revision, pipeline.json)
    assert Pipeline.from_json(pipeline.json, {"net.ts": SCRIPT + " "}).revision != pipeline.revision
    assert len(pipeline.revision) == 16


def test_a_bad_file_raises_with_its_place(write: Write) -> None:
    write("net.ts", SCRIPT)
    with pytest.raises(ConfigError) as caught:
        Pipeline.load(str(write("orders.yaml", FILE.replace("filter:", "fliter:"))))
    assert caught.value.code == "config/unknown-key"
    assert "did you mean `filter`?" in caught.value.reason
    assert "orders.yaml" in str(caught.value)


def model(**changes: Any) -> str:
    file = {
        "customer": "acme",
        "pipeline": "orders",
        "in": {"http": {"path": "/orders"}},
        "steps": [{"filter": "a > 1"}],
        "out": {"stdout": {}},
    }
    return json.dumps(file | changes)


def test_the_json_of_a_pipeline_is_canonical() -> None:
    canonical = Pipeline.from_json(model()).json
    assert Pipeline.from_json(canonical, {}).json == canonical
    assert list(json.loads(canonical))[:3] == ["vrsky", "customer", "pipeline"]


@pytest.mark.parametrize(
    ("changes", "error", "code", "pointer", "column"),
    [
        ({"steps": [{"filter": "a >"}]}, ConfigError, "config/invalid-expression", "/steps/0/filter", 4),
        ({"customer": "Acme"}, ConfigError, "config/invalid-name", "/customer", None),
        ({"steps": [{"script": "no.ts"}]}, ConfigError, "config/file-not-found", "/steps/0/script", None),
        (
            {"steps": [{"script": {"code": "export default ("}}]},
            ScriptError,
            "script/syntax",
            "/steps/0/script/code",
            None,
        ),
        ({"surprise": 1}, ConfigError, "config/unknown-key", "/surprise", None),
    ],
)
def test_a_fault_has_code_pointer_and_column(
    changes: dict[str, Any], error: type[ConfigError], code: str, pointer: str, column: int | None
) -> None:
    with pytest.raises(error) as caught:
        Pipeline.from_json(model(**changes))
    assert (caught.value.code, caught.value.pointer) == (code, pointer)
    assert column is None or caught.value.column == column
    assert caught.value.faults == (caught.value,)


def test_all_faults_come_with_the_first() -> None:
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_json(model(customer="A", limits={"rate": "fast"}, steps=[{"fliter": 1}]))
    found = [(fault.code, fault.pointer) for fault in caught.value.faults]
    assert sorted(found) == [
        ("config/invalid-name", "/customer"),
        ("config/invalid-value", "/limits/rate"),
        ("config/unknown-key", "/steps/0/fliter"),
    ]


def test_the_schema_has_what_the_model_has() -> None:
    schema = json.loads(_native.json_schema())
    assert list(schema["properties"]) == [
        *("vrsky", "customer", "pipeline", "in", "tables", "steps", "out", "limits", "tests"),
    ]
    assert set(schema["required"]) == {"customer", "pipeline", "in", "out"}


def test_many_are_compiled_together_and_each_has_its_own_fault() -> None:
    files = [(model(pipeline=f"p-{n}", steps=[{"filter": "a >" if n % 3 == 0 else "a > 1"}]), {}) for n in range(20)]
    for number, one in enumerate(_native.compile_pipelines(files)):
        if number % 3:
            assert isinstance(one, Pipeline)
            assert (one.name, json.loads(one.summary)["revision"]) == (f"p-{number}", one.revision)
        else:
            assert isinstance(one, ConfigError)
            assert (one.code, one.pointer) == ("config/invalid-expression", "/steps/0/filter")
    assert _native.compile_pipelines([]) == []


def test_load_takes_variables(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "customer: acme\npipeline: orders\nin: {http: {path: {var: PATH}}}\nout: {stdout: {}}\n"
    path = write("orders.yaml", text)
    with pytest.raises(ConfigError, match="PATH"):
        Pipeline.load(path)
    assert (
        Pipeline.load(path, {"PATH": "/orders"}).revision == Pipeline.load(path, variables={"PATH": "/orders"}).revision
    )
    monkeypatch.setenv("VRSKY_VAR_PATH", "/orders")
    assert '"/orders"' in Pipeline.load(path).json
