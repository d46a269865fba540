"""From a pipeline file to what the node installs: every error has its place in the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vrsky_fast import config
from vrsky_fast.config import InvalidConfig, Problem, secrets
from vrsky_fast.errors import SecretError

from .conftest import MINIMAL, ROOT, Write

HEAD = "customer: acme\npipeline: orders\nin: {http: {path: /orders}}\n"
TAIL = "out: {stdout: {}}\n"


def problems(write: Write, text: str) -> list[Problem]:
    with pytest.raises(InvalidConfig) as caught:
        config.load(write("orders.yaml", text))
    return list(caught.value.problems)


def steps(*lines: str) -> str:
    return HEAD + "steps:\n" + "".join(f"  {line}\n" for line in lines) + TAIL


@pytest.mark.parametrize(
    ("text", "code", "place", "says"),
    [
        (steps("- fliter: 'true'"), "config/unknown-key", (5, 5), "`filter`"),
        (HEAD.replace("customer", "custommer") + TAIL, "config/unknown-key", (1, 1), "customer"),
        ("pipeline: orders\nin: {http: {path: /orders}}\n" + TAIL, "config/missing-key", (1, 1), "customer"),
        (HEAD.replace("acme", "Acme Inc") + TAIL, "config/invalid-name", (1, 11), "Acme Inc"),
        (HEAD.replace("/orders", "12") + TAIL, "config/invalid-value", (3, 19), "/"),
        (steps("- filter: [1, 2]"), "config/wrong-type", (5, 5), ""),
        (steps("- filter:"), "config/wrong-type", (5, 5), ""),
        (steps("- convert: {from: xml}", "- filter: order.total >> 1"), "config/invalid-expression", (6, 26), ""),
        (steps("- convert: {from: xml}", "- filter: 'order.total >> 1'"), "config/invalid-expression", (6, 27), ""),
        (steps("- filter: |", "    a ==", "    == b"), "config/invalid-expression", (7, 7), ""),
        (steps("- filter: nope(order)"), "config/invalid-expression", (5, 13), "nope"),
        (steps("- convert: {from: xml}", "- set: {order..net: '1'}"), "config/invalid-path", (6, 17), "order..net"),
        (steps("- convert: {from: xml, arrays: [a, 'b[']}"), "config/invalid-path", (5, 41), "b["),
        (steps("- set: {order.net: '1'}", "- convert: {from: xml}"), "config/needs-convert", (5, 5), "convert"),
        (steps("- route: [{when: 'true', to: erp}]"), "config/unknown-out", (5, 32), "erp"),
        (HEAD + "out: {a: {stdout: {}}, b: {stdout: {}}}\n", "config/needs-route", (4, 1), "route"),
        ("vrsky: 2\n" + HEAD + TAIL, "config/unsupported-version", (1, 8), "2"),
        (HEAD + TAIL + "limits: {rate: fast}\n", "config/invalid-value", (5, 16), "5000/s"),
        (HEAD + TAIL + "limits: {backlog: 0}\n", "config/invalid-value", (5, 19), "1"),
        (steps("- script: missing.ts"), "config/file-not-found", (5, 13), "missing.ts"),
        (steps("- script: ../net.ts"), "config/file-outside", (5, 13), "../net.ts"),
        (steps("- convert: {from: xml}", "- set: {a: f(x, y)}"), "config/invalid-expression", (6, 14), "cut"),
        (steps("- set: {a: f(x, y), b: '1'}"), "config/invalid-expression", (5, 14), "cut"),
        (steps('- filter: a == "x # y"'), "config/invalid-expression", (5, 13), "cut"),
        (steps("- filter: '\"\\ud800\" == a'"), "config/invalid-expression", (5, 14), "an escape"),
        (steps('- filter: "\\ud800"'), "config/invalid-yaml", (5, 16), "escape"),
        (steps("- filter: *a"), "config/alias", (5, 13), "*a"),
        (steps("- filter: &a 'true'"), "config/alias", (5, 13), "&a"),
        (steps("- filter: !!str x"), "config/tag", (5, 13), "tag"),
        (steps("-\tfilter: 'true'"), "config/invalid-yaml", (5, 4), "tab"),
        (steps("- filter: 'true'", "\t- filter: 'true'"), "config/invalid-yaml", (6, 3), "tab"),
        (steps("- filter: 'true'", "  filter: 'true'"), "config/duplicate-key", (6, 5), "filter"),
        (HEAD + "steps: ~\n" + TAIL, "config/wrong-type", (4, 8), "not nothing"),
        (HEAD + "steps:\n" + TAIL, "config/wrong-type", (4, 1), "not nothing"),
        (HEAD + "out: null\n", "config/wrong-type", (4, 6), "not nothing"),
        (HEAD + "out:\n", "config/wrong-type", (4, 1), "not nothing"),
        (HEAD, "config/missing-key", (1, 1), "`out`"),
        ("", "config/missing-key", (1, 1), "empty"),
        ("- a\n", "config/wrong-type", (1, 1), "mapping"),
        ("just a text\n", "config/wrong-type", (1, 1), "mapping"),
        ("#" * (1 << 21), "config/too-large", (1, 1), "more than 1,048,576"),
        (HEAD + TAIL + "---\n", "config/invalid-yaml", (5, 1), "second document"),
        (HEAD.replace("/orders", "/orders, max_body: 9000000") + TAIL, "config/invalid-value", (3, 38), "limits.bytes"),
        (
            HEAD.replace("/orders", "/orders, auth: {bearer: {secret: TOK}}") + TAIL,
            "config/invalid-name",
            (3, 52),
            "`tok`",
        ),
        (
            HEAD + "out: {http: {url: 'http://a/', headers: {X-A: {secret: a_b}}}}\n",
            "config/invalid-name",
            (4, 56),
            "`a-b`",
        ),
        (
            HEAD + "out: {http: {url: 'http://a/', headers: {X-A: {secret: b--c}}}}\n",
            "config/invalid-name",
            (4, 56),
            "`b-c`",
        ),
        (HEAD + "out: {http: {url: 'ftp://a/'}}\n", "config/invalid-value", (4, 20), ""),
        (HEAD + "out: {Big: {stdout: {}}}\n", "config/invalid-name", (4, 7), "Big"),
        (HEAD + "out: {file: {path: ../x}}\n", "config/file-outside", (4, 20), "../x"),
        (HEAD + TAIL + "limits: {bytes: 99999999}\n", "config/invalid-value", (5, 17), "67108864"),
        (
            HEAD + TAIL + "tests: [{name: a, in: {file: no.xml}, dropped: true}]\n",
            "config/file-not-found",
            (5, 30),
            "no.xml",
        ),
        (HEAD + TAIL + "tests: [{name: a, in: {text: a}}]\n", "config/invalid-value", (5, 9), "exactly one"),
        (
            HEAD + TAIL + "tests: [{name: a, in: {text: a}, out: {x: {text: b}}}]\n",
            "config/unknown-out",
            (5, 40),
            "`x`",
        ),
        (
            HEAD.replace("{http: {path: /orders}}", "{nats: {subject: a, stream: S}}") + TAIL,
            "config/invalid-value",
            (3, 33),
            "",
        ),
        (steps("- script: {code: 'return 1'}"), "script/syntax", (5, 21), ""),
        (steps("- script: {code: 'export default function* (m) {}'}"), "script/async", (5, 36), "a generator"),
        (steps("- script: {code: 'let f = function* () {}; export default f'}"), "script/async", (5, 20), "generator"),
        (steps("- script: {code: 'Intl.x; export default (m) => m'}"), "script/locale", (5, 21), "`Intl`"),
        (HEAD + "out: {http: {url: 'http://a/${ID}'}}\n", "config/no-substitution", (4, 29), "${ID}"),
        (HEAD + "out: {file: {path: '${DIR}/x'}}\n", "config/no-substitution", (4, 21), "${DIR}"),
        (steps("- set: {msg.a: msg.a + 1}"), "config/invalid-path", (5, 11), "write `a`"),
        (
            HEAD + TAIL + "tests: [{name: a, in: {text: a, headers: {X-A: b}}, dropped: true}]\n",
            "config/header-dropped",
            (5, 48),
            "`X-A`",
        ),
        (steps("- convert: {from: json, numbers: [a]}"), "config/invalid-value", (5, 27), "`numbers`"),
    ],
)
def test_an_error_names_its_line_and_column(
    write: Write, text: str, code: str, place: tuple[int, int], says: str
) -> None:
    found = problems(write, text)
    shown = "\n".join(problem.text() for problem in found)
    first = found[0]
    assert first.code == code, shown
    assert first.mark is not None, shown
    assert (first.mark.line, first.mark.column) == place, shown
    assert says in first.reason, shown
    assert first.hint, shown


def test_all_errors_of_a_file_are_reported_at_once(write: Write) -> None:
    found = problems(write, steps("- fliter: 'true'", "- convert: {form: xml}") + "limitss: {}\n")
    assert {problem.mark.line for problem in found if problem.mark} == {5, 6, 8}


def test_a_script_that_is_missing_hides_no_other_error(write: Write) -> None:
    write("net.ts", "export default (msg) => msg +;\n")
    missing = ["- script: no.ts", "- script: net.ts", "- script: gone.ts"]
    text = steps(*missing, "- filter: nope(a)") + "tests: [{name: a, in: {file: x}, dropped: true}]\n"
    found = problems(write, text)
    said = [(Path(one.file).name, one.code, one.mark.line) for one in found if one.mark]
    assert said == [
        ("orders.yaml", "config/file-not-found", 5),
        ("orders.yaml", "config/file-not-found", 7),
        ("orders.yaml", "config/invalid-expression", 8),
        ("orders.yaml", "config/file-not-found", 10),
        ("net.ts", "script/syntax", 1),
    ]


def test_a_wrong_value_hides_no_other_error(write: Write) -> None:
    write("enum.ts", "enum E { A }\nexport default (msg) => msg;\n")
    write("none.ts", "const a = 1;\n")
    text = (
        "customer: acme\npipeline: orders\nin: {http: {path: /orders, max_body: 99999999}}\n"
        "steps: [{script: ../../x.ts}, {script: gone.ts}, {script: enum.ts}, {script: none.ts}]\n"
        "out:\n  a: {http: {url: 'ftp://x/{a'}}\n  b: {nats: {subject: a.>.b, stream: S}}\n"
        "tests: [{name: n, in: {text: x}, out: {a: {text: x, json: 1}}}]\n"
    )
    said = [(Path(one.file).name, one.code, one.mark.line) for one in problems(write, text) if one.mark]
    assert said == [
        ("orders.yaml", "config/invalid-value", 3),
        ("orders.yaml", "config/file-outside", 4),
        ("orders.yaml", "config/file-not-found", 4),
        ("orders.yaml", "script/no-default-export", 4),
        ("orders.yaml", "config/needs-route", 5),
        ("orders.yaml", "config/invalid-value", 6),
        ("orders.yaml", "config/invalid-value", 7),
        ("orders.yaml", "config/invalid-value", 7),
        ("orders.yaml", "config/invalid-value", 8),
        ("enum.ts", "script/unsupported", 1),
    ]


def test_an_expression_that_is_cut_hides_no_other_error_and_is_reported_once(write: Write) -> None:
    found = problems(write, steps("- set: {x: max(1, 2), y: max(3, 4)}", "- script: no.ts", "- fliter: a"))
    assert [(one.mark.line, one.mark.column) for one in found if one.mark] == [(5, 14), (5, 28), (6, 13), (7, 5)]
    assert [one.hint for one in found[:2]] == ["Quote the expression: 'max(1, 2)'", "Quote the expression: 'max(3, 4)'"]


@pytest.mark.parametrize(
    ("step", "places"),
    [
        ('- set: {x: max(1, 2), y: nope(a), z: "1"}', [(5, 14), (5, 28)]),
        ("- set: {x: max(1, b: f(2, c: 3)), y: nope(a)}", [(5, 14), (5, 40)]),
        ("- set: {x: max(1,\n    2), y: nope(a)}", [(5, 14), (6, 12)]),
        ("- set: {x: a +\n    max(1, 2), y: nope(a)}", [(5, 14), (6, 19)]),
        ("- route: [{when: max(1, 2), to: erp}]", [(5, 20), (5, 35)]),
        ("- set: {x: max(1, y: nope(a)}", [(5, 14)]),
        ('- filter: a == "x # y"\n  - set: {x: nope(a)}', [(5, 13), (6, 14)]),
    ],
)
def test_beside_an_expression_that_is_cut_only_what_was_cut_off_is_no_error(
    write: Write, step: str, places: list[tuple[int, int]]
) -> None:
    found = problems(write, steps(step))
    assert [(one.mark.line, one.mark.column) for one in found if one.mark] == places
    assert ["cuts" in one.reason for one in found] == [True, *[False] * (len(places) - 1)]


@settings(deadline=None)
@given(st.from_regex(r"[-_a-zA-Z0-9 .]{0,42}", fullmatch=True) | st.from_regex("[-a-z]{1,5}", fullmatch=True))
def test_a_name_of_a_secret_passes_when_it_can_be_looked_up(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    bearer = f"/orders, auth: {{bearer: {{secret: {json.dumps(name)}}}}}"
    text = (HEAD.replace("path: /orders", f"path: {bearer}") + TAIL).encode()
    path = tmp_path_factory.getbasetemp() / "orders.yaml"
    try:
        secrets.resolve("acme", {name}, None, {secrets.variable("acme", name): "value"})
    except SecretError:
        with pytest.raises(InvalidConfig) as caught:
            config.parse("orders.yaml", text, path)
        assert caught.value.problems[0].pointer == "/in/http/auth/bearer/secret"
    else:
        assert config.parse("orders.yaml", text, path).summary.secrets == (name,)


def test_an_error_in_a_script_names_the_scripts_line(write: Write) -> None:
    write("net.ts", "// first\nexport default (msg) => {\n  return msg +;\n};\n")
    (found,) = problems(write, steps("- convert: {from: xml}", "- script: net.ts"))
    assert found.code == "script/syntax"
    assert found.file.endswith("net.ts")
    assert found.mark is not None
    assert (found.mark.line, found.source_line) == (3, "  return msg +;")


def test_an_error_in_an_inline_script_names_the_line_in_the_yaml(write: Write) -> None:
    inline = steps(
        "- convert: {from: xml}",
        "- script:",
        "    code: |",
        "      export default (msg) => {",
        "        return msg +;",
        "      };",
    )
    (found,) = problems(write, inline)
    assert found.code == "script/syntax"
    assert found.file.endswith("orders.yaml")
    assert found.mark is not None
    assert (found.mark.line, found.source_line) == (9, "          return msg +;")


def test_the_report_shows_the_line_with_a_caret_and_a_hint(write: Write) -> None:
    (found,) = problems(write, steps("- fliter: 'true'"))
    lines = found.text().splitlines()
    assert lines[0].endswith("orders.yaml:5:5: config/unknown-key: " + found.reason)
    assert lines[1] == "    5 |   - fliter: 'true'"
    assert lines[2] == "      |     ^^^^^^"
    assert lines[3].startswith("  hint: ")


def test_scalars_are_read_by_the_schema(write: Write) -> None:
    text = """\
vrsky: 1
customer: "no"
pipeline: 08
in: {http: {path: /NO}}
steps: [{filter: true}]
out: {http: {url: http://localhost:1/x, method: PUT, follow_redirects: true, concurrency: 0x10}}
tests:
  - {name: 1e3, in: {json: {a: NO, b: 08, c: 1.50, d: true}}, dropped: true}
"""
    model = config.load(write("orders.yaml", text)).model
    assert model["customer"] == "no"
    assert model["pipeline"] == "08"
    assert model["in"]["http"]["path"] == "/NO"
    assert model["steps"] == [{"filter": "true"}]
    assert model["out"]["http"]["follow_redirects"] is True
    assert model["out"]["http"]["concurrency"] == 16
    assert model["tests"][0]["name"] == "1e3"
    assert model["tests"][0]["in"]["json"] == {"a": "NO", "b": 8, "c": 1.5, "d": True}


def test_the_canonical_form_does_not_depend_on_how_it_is_written(write: Write) -> None:
    flow = config.load(write("a.yaml", HEAD + "steps: [{filter: 'true'}]\n" + TAIL))
    block = config.load(write("b.yaml", TAIL + 'steps:\n  - filter: "true"\n' + HEAD))
    assert flow.json == block.json
    assert json.loads(flow.json)["customer"] == "acme"


def test_the_names_of_secrets_are_found_wherever_they_stand(write: Write) -> None:
    text = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, auth: {bearer: {secret: orders-token}}}}
out: {http: {url: http://localhost:1/x, auth: {bearer: {secret: erp-token}}, headers: {X-Key: {secret: key}}}}
"""
    assert config.load(write("orders.yaml", text)).summary.secrets == ("erp-token", "key", "orders-token")


LINES = MINIMAL.splitlines(keepends=True)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from([*LINES, "  - ", "x", ": ", "{", "}", "'", "null", "- set: {a: b}\n", "filter", "\n"]),
        max_size=20,
    )
)
def test_any_text_is_a_pipeline_or_has_problems(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    try:
        config.parse("orders.yaml", "".join(parts).encode(), tmp_path_factory.getbasetemp() / "orders.yaml")
    except InvalidConfig as invalid:
        assert all(problem.text().startswith("orders.yaml:") for problem in invalid.problems)
        assert all(problem.mark is not None for problem in invalid.problems)


EXAMPLE = ROOT / "examples" / "orders" / "orders.yaml"
PIECES = st.sampled_from(
    ["\t", " ", ": ", "{", "}", "[", "]", ", ", "'", '"', "&a ", "*a", "!t ", " # ", "~", "\n", "- ", "TOK", "-1",
     "\\ud800", "|\n", "? ", "%", "@", "../", "\x07"]
)  # fmt: skip
EDITS = st.tuples(st.floats(0, 1), st.integers(0, 10), PIECES)


@settings(max_examples=300, deadline=None)
@given(st.lists(EDITS, min_size=1, max_size=4))
@example([(1.0, 0, "TOK")])
def test_every_fault_of_a_damaged_file_has_its_place_and_a_hint(edits: list[tuple[float, int, str]]) -> None:
    text = EXAMPLE.read_text()
    for where, cut, piece in edits:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + cut :]
    try:
        config.parse("orders.yaml", text.encode(), EXAMPLE)
    except InvalidConfig as invalid:
        for problem in invalid.problems:
            assert problem.mark is not None, problem.text()
            assert problem.hint, problem.text()
            own = problem.file == "orders.yaml"
            lines = (text if own else (EXAMPLE.parent / problem.file).read_text()).split("\n")
            assert 1 <= problem.mark.line <= len(lines), problem.text()
            assert 1 <= problem.mark.column <= len(lines[problem.mark.line - 1]) + 1, problem.text()


@pytest.mark.parametrize(
    ("lines", "quoted"),
    [
        (["- filter: a == # b"], "'a == # b'"),
        (["- filter: a == 1 && # b == 2"], "'a == 1 && # b == 2'"),
        (["- set: {x: a + # b}", "  }"], "'a + # b'"),
        (["- set:", "    x: a + # b"], "'a + # b'"),
        (["- route:", "    - when: a == # b", "      to: default"], "'a == # b'"),
        (["- filter: a ==", "    b && # c"], "put it between single quotes."),
    ],
)
def test_an_expression_that_a_comment_cuts_wants_quotes(write: Write, lines: list[str], quoted: str) -> None:
    (found,) = problems(write, steps(*lines))
    assert (found.code, found.hint) == ("config/invalid-expression", f"Quote the expression: {quoted}")


@pytest.mark.parametrize("line", ["- filter: a == 1 # a comment", "- set: {a: b} # a comment"])
def test_a_comment_behind_an_expression_that_is_right_is_one(write: Write, line: str) -> None:
    config.load(write("orders.yaml", steps(line)))


@pytest.mark.parametrize("line", ["- filter: 'a ==' # b", "- filter: # b", "- remove: 'a..b' # c", "- fliter: a # c"])
def test_another_fault_beside_a_comment_is_not_said_to_want_quotes(write: Write, line: str) -> None:
    assert not any(one.hint.startswith("Quote") for one in problems(write, steps(line)))
