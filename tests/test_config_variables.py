"""`{var: NAME}` in a pipeline file: where it may stand, how its value is read, and what is said when it is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vrsky_fast import Message, config
from vrsky_fast.config import InvalidConfig, PipelineFile, Problem

from .conftest import Write

HEAD = "customer: acme\npipeline: orders\nin: {http: {path: /orders}}\n"
TAIL = "out: {stdout: {}}\n"
ERP = HEAD + "out: {http: {url: {var: ERP, then: '/orders/{order.id}'}}}\n"


def load(path: Path, **given: str) -> PipelineFile:
    return config.load(path, given=given)


def problems(path: Path, **given: str) -> list[Problem]:
    with pytest.raises(InvalidConfig) as caught:
        load(path, **given)
    return list(caught.value.problems)


def test_a_variable_stands_for_any_scalar_of_an_in_an_out_and_the_limits(write: Write) -> None:
    text = (
        "customer: acme\npipeline: orders\n"
        "in: {http: {path: {var: PATH}, content_types: [{var: KIND}], max_body: {var: BODY},"
        " auth: {bearer: {secret: {var: S}}}}}\n"
        "out:\n"
        "  erp: {http: {url: {var: ERP, then: '/{id}'}, timeout: {var: TIME, then: s}, headers: {X-A: {var: A}},"
        " follow_redirects: {var: FOLLOW}, method: {var: METHOD}}}\n"
        "  var: {nats: {subject: {var: SUBJECT}}}\n"
        "steps: [{route: [{to: erp}]}]\n"
        "limits: {rate: {var: RATE}, backlog: {var: LOG}}\n"
    )
    given = {
        "PATH": "/in", "KIND": "json", "BODY": "0x10", "S": "token", "ERP": "https://erp.example", "TIME": "5",
        "A": "08", "FOLLOW": "true", "METHOD": "PUT", "SUBJECT": "a.b", "RATE": "5/s", "LOG": "12",
    }  # fmt: skip
    model = load(write("orders.yaml", text), **given).model
    assert model["in"]["http"] == {
        "path": "/in", "content_types": ["json"], "max_body": 16, "auth": {"bearer": {"secret": "token"}},
    }  # fmt: skip
    http = model["out"]["erp"]["http"]
    assert (http["url"], http["timeout"], http["headers"]) == ("https://erp.example/{id}", "5s", {"X-A": "08"})
    assert (http["follow_redirects"], http["method"]) == (True, "PUT")
    assert model["out"]["var"]["nats"]["subject"] == "a.b"
    assert (model["limits"]["rate"], model["limits"]["backlog"]) == ("5/s", 12)


def test_a_variable_in_set_is_a_text_and_no_expression(write: Write) -> None:
    text = HEAD + "steps: [{set: {region: {var: REGION}, label: {var: REGION, then: '!'}}}]\n" + TAIL
    for value in ["eu", "1", "true", "", 'a "b" \\ \n + c', "😀\u0001\x7f\u2028"]:
        file = load(write("orders.yaml", text), REGION=value)
        (result,) = file.compiled.process([Message(b"{}")])
        assert json.loads(result.outputs[0].payload) == {"region": value, "label": value + "!"}


def test_the_environment_gives_what_has_the_prefix_alone(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("orders.yaml", ERP)
    monkeypatch.setenv("ERP", "https://wrong.example")
    assert [one.code for one in problems(path)] == ["config/missing-variable"]
    monkeypatch.setenv("VRSKY_VAR_ERP", "https://erp.example")
    assert load(path).model["out"]["http"]["url"] == "https://erp.example/orders/{order.id}"
    assert load(path, ERP="https://other.example").model["out"]["http"]["url"].startswith("https://other.example/")


def test_the_value_is_a_part_of_the_revision(write: Write) -> None:
    path = write("orders.yaml", ERP)
    one, other = load(path, ERP="https://a.example"), load(path, ERP="https://b.example")
    assert one.summary.revision != other.summary.revision
    written = write("written.yaml", HEAD + "out: {http: {url: 'https://a.example/orders/{order.id}'}}\n")
    assert one.summary.revision == load(written).summary.revision


@pytest.mark.parametrize(
    ("text", "code", "place", "says"),
    [
        (ERP, "config/missing-variable", (4, 25), "`ERP`"),
        (ERP.replace("ERP", "erp"), "config/invalid-name", (4, 25), "`erp`"),
        (ERP.replace("ERP", "''"), "config/invalid-name", (4, 25), "``"),
        (ERP.replace("then", "default"), "config/unknown-key", (4, 30), "`default`"),
        (ERP.replace("var: ERP", "var: [ERP]"), "config/wrong-type", (4, 20), "`var` wants a text"),
        (HEAD + "steps: [{filter: {var: F}}]\n" + TAIL, "config/wrong-type", (4, 19), "cannot stand here"),
        (HEAD + "steps: [{remove: {var: F}}]\n" + TAIL, "config/wrong-type", (4, 19), "cannot stand here"),
        (HEAD.replace("acme", "{var: C}") + TAIL, "config/wrong-type", (1, 12), "cannot stand here"),
    ],
)
def test_what_cannot_be_resolved_is_said_once_at_its_place(
    write: Write, text: str, code: str, place: tuple[int, int], says: str
) -> None:
    (found,) = problems(write("orders.yaml", text))
    assert (found.code, found.mark) == (code, place), found.text()
    assert says in found.reason
    assert found.hint


def test_a_missing_variable_says_how_it_is_given(write: Write) -> None:
    (found,) = problems(write("orders.yaml", ERP))
    assert found.hint == "Give it with --var ERP=VALUE, or as VRSKY_VAR_ERP in the environment."
    assert found.pointer == "/out/http/url"


def test_a_value_that_is_wrong_is_said_at_the_variable(write: Write) -> None:
    (found,) = problems(write("orders.yaml", ERP), ERP="ftp://erp.example")
    assert (found.code, found.mark, found.pointer) == ("config/invalid-value", (4, 25), "/out/http/url")
    assert found.hint.endswith("The value is that of the variable ERP.")
    (found,) = problems(write("orders.yaml", HEAD + TAIL + "limits: {backlog: {var: N}}\n"), N="many")
    assert (found.code, found.mark) == ("config/wrong-type", (5, 25))


def test_where_anything_may_stand_it_is_what_it_is(write: Write) -> None:
    text = HEAD + "steps: [{rename: {var: name}}, {set: {var: '1'}}]\n" + TAIL
    text += "tests: [{name: a, in: {json: {var: {var: X}}}, out: {default: {json: {name: {var: X}, var: 1}}}}]\n"
    model = load(write("orders.yaml", text)).model
    assert model["steps"] == [{"rename": {"var": "name"}}, {"set": {"var": "1"}}]
    assert model["tests"][0]["in"]["json"] == {"var": {"var": "X"}}
