"""`{include: NAME.snippet.yaml}` in a pipeline file: where it may stand, what stands there then, and where its
faults are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrsky_fast import config
from vrsky_fast.config import InvalidConfig, Problem

from .conftest import Write

HEAD = "customer: acme\npipeline: orders\nin: {http: {path: /orders}}\n"
TAIL = "out: {stdout: {}}\n"
STEPS = HEAD + "steps:\n  - include: common/clean.snippet.yaml\n  - filter: total > 100\n" + TAIL


def problems(path: Path) -> list[Problem]:
    with pytest.raises(InvalidConfig) as caught:
        config.load(path)
    return list(caught.value.problems)


def test_a_list_of_steps_stands_where_it_is_included(write: Write) -> None:
    write("common/clean.snippet.yaml", "- remove: a\n- include: deep/more.snippet.yaml\n- set: {b: '1'}\n")
    write("common/deep/more.snippet.yaml", "- script: net.ts\n- remove: c\n")
    write("common/deep/net.ts", "export default (msg: any) => msg\n")
    file = config.load(write("orders.yaml", STEPS))
    assert file.model["steps"] == [
        {"remove": "a"}, {"script": "common/deep/net.ts"}, {"remove": "c"}, {"set": {"b": "1"}},
        {"filter": "total > 100"},
    ]  # fmt: skip
    assert {Path(path).name for path in file.beside} == {"clean.snippet.yaml", "more.snippet.yaml", "net.ts"}


def test_a_snippet_stands_for_a_mapping_a_list_or_a_single_item(write: Write, tmp_path: Path) -> None:
    text = (
        "customer: acme\npipeline: orders\nin: {include: a/in.snippet.yaml}\nsteps: {include: a/steps.snippet.yaml}\n"
        "out:\n  erp: {http: {url: 'http://erp.example', headers: {include: a/headers.snippet.yml}}}\n"
        "  log: {include: a/log.snippet.yaml}\nlimits: {include: a/limits.snippet.yaml}\n"
        "tables: {codes: {include: a/codes.snippet.yaml}}\ntests: [{include: a/tests.snippet.yaml}]\n"
    )
    write("a/in.snippet.yaml", "http: {path: {var: P}}\n")
    write("a/steps.snippet.yaml", "- route: [{include: case.snippet.yaml}, {to: log}]\n")
    write("a/case.snippet.yaml", "when: a == 1\nto: erp\n")
    write("a/headers.snippet.yml", "X-A: '1'\nX-B: {secret: b}\n")
    write("a/log.snippet.yaml", "stdout: {}\n")
    write("a/limits.snippet.yaml", "backlog: 7\n")
    write("a/codes.snippet.yaml", "file: codes.csv\nkey: code\n")
    write("a/codes.csv", "code\n1\n")
    write("a/tests.snippet.yaml", "- name: a\n  in: {json: {include: x.snippet.yaml}}\n  dropped: true\n")
    model = config.load(write("orders.yaml", text), given={"P": "/p"}).model
    assert model["in"]["http"]["path"] == "/p"
    assert model["steps"] == [{"route": [{"when": "a == 1", "to": "erp"}, {"to": "log"}]}]
    assert model["out"]["erp"]["http"]["headers"] == {"X-A": "1", "X-B": {"secret": "b"}}
    assert (model["out"]["log"], model["limits"]["backlog"]) == ({"stdout": {}}, 7)
    assert model["tables"]["codes"]["file"] == "a/codes.csv"
    assert model["tests"][0]["in"] == {"json": {"include": "x.snippet.yaml"}}, "a payload is what it is"
    assert config.load_all(tmp_path, given={"P": "/p"})[0].name == "acme/orders", "no snippet counts as a pipeline"


def test_names_that_are_free_may_be_include(write: Write) -> None:
    text = HEAD + "out: {http: {url: 'http://a.example', headers: {include: all}}}\nsteps: [{set: {include: a + 1}}]\n"
    model = config.load(write("orders.yaml", text)).model
    assert model["out"]["http"]["headers"] == {"include": "all"}
    assert model["steps"] == [{"set": {"include": "a + 1"}}]


def test_the_revision_is_that_of_the_file_with_its_snippets_written_out(write: Write) -> None:
    path = write("orders.yaml", STEPS)
    write("common/clean.snippet.yaml", "- remove: a\n")
    first = config.load(path).summary.revision
    same = write("same.yaml", STEPS.replace("include: common/clean.snippet.yaml", "remove: a"))
    assert config.load(same).summary.revision == first
    write("common/clean.snippet.yaml", "- remove: b\n")
    assert config.load(path).summary.revision != first


@pytest.mark.parametrize(
    ("snippet", "code", "place", "says"),
    [
        ("- remove: a\n- fliter: a\n", "config/unknown-key", (2, 3), "`filter`"),
        ("- filter: a >> 1\n", "config/invalid-expression", (1, 14), ""),
        ("- set: {a: f(x, y)}\n", "config/invalid-expression", (1, 12), "cut"),
        ("- script: missing.ts\n", "config/file-not-found", (1, 11), "common/missing.ts"),
        ("- script: ../net.ts\n", "config/file-outside", (1, 11), ""),
        ("- filter: {var: NAME}\n", "config/wrong-type", (1, 12), "variable"),
        ("- filter: [\n", "config/invalid-yaml", (2, 1), ""),
        ("- remove: a\n- include: other.snippet.yaml\n", "config/file-not-found", (2, 12), "common/other.snippet.yaml"),
        ("- include: clean.snippet.yaml\n", "config/invalid-include", (1, 12), "includes itself"),
        ("- include: ../orders.yaml\n", "config/invalid-include", (1, 12), ".snippet.yaml"),
        ("- include: ../../x.snippet.yaml\n", "config/file-outside", (1, 12), ""),
        ("- include: /etc/x.snippet.yaml\n", "config/file-outside", (1, 12), ""),
        ("- {include: x.snippet.yaml, remove: a}\n", "config/invalid-include", (1, 4), "alone"),
        ("remove: a\nset: {b: '1'}\n", "config/invalid-value", (1, 1), "not several"),
        ("- &x remove\n", "config/alias", (1, 3), "anchor"),
    ],
)
def test_a_fault_of_a_snippet_is_placed_in_the_snippet(
    write: Write, snippet: str, code: str, place: tuple[int, int], says: str
) -> None:
    write("common/clean.snippet.yaml", snippet)
    path = write("orders.yaml", STEPS)
    (problem,) = problems(path)
    assert problem.code == code
    assert problem.file == str(path.parent / "common" / "clean.snippet.yaml")
    assert problem.mark == place, str(problem)
    assert says in problem.reason
    assert problem.source_line is not None


@pytest.mark.parametrize(
    ("include", "code", "column", "says"),
    [
        ("missing.snippet.yaml", "config/file-not-found", 14, "missing.snippet.yaml"),
        ("../x.snippet.yaml", "config/file-outside", 14, ""),
        ("steps.yaml", "config/invalid-include", 14, "ends with"),
        ("link.snippet.yaml", "config/file-outside", 14, "leads outside"),
        ("large.snippet.yaml", "config/too-large", 14, ""),
    ],
)
def test_a_snippet_that_cannot_be_used_is_named_where_it_is_included(
    write: Write, tmp_path: Path, include: str, code: str, column: int, says: str
) -> None:
    outside = tmp_path / "outside.snippet.yaml"
    outside.write_text("- remove: a\n")
    path = write("in/orders.yaml", HEAD + f"steps:\n  - include: {include}\n  - fliter: a\n" + TAIL)
    (path.parent / "link.snippet.yaml").symlink_to(outside)
    (path.parent / "large.snippet.yaml").write_text("#" * (1 << 20) + "\n- remove: a\n")
    first, second = problems(path)
    assert (first.code, first.file, first.mark) == (code, str(path), (5, column))
    assert says in first.reason
    assert (second.code, second.mark) == ("config/unknown-key", (6, 5)), "it hides nothing else"


def test_snippets_are_bounded(write: Write) -> None:
    for depth in range(6):
        write(f"{depth}.snippet.yaml", f"- include: {depth + 1}.snippet.yaml\n")
    (problem,) = problems(write("orders.yaml", HEAD + "steps: [{include: 0.snippet.yaml}]\n" + TAIL))
    assert (problem.code, "4 deep" in problem.reason) == ("config/invalid-include", True)
    write("none.snippet.yaml", "[]\n")
    many = "".join("  - include: none.snippet.yaml\n" for _ in range(101))
    (problem,) = problems(write("orders.yaml", HEAD + "steps:\n" + many + TAIL))
    assert (problem.code, problem.mark) == ("config/invalid-include", (105, 14))
    write("long.snippet.yaml", "#" * (1 << 18) + "\n- remove: a\n")
    many = "".join("  - include: long.snippet.yaml\n" for _ in range(4))
    (problem,) = problems(write("orders.yaml", HEAD + "steps:\n" + many + TAIL))
    assert (problem.code, "together" in problem.reason) == ("config/too-large", True)
    write("deep.snippet.yaml", "[" * 64 + "]" * 64)
    (problem,) = problems(write("orders.yaml", HEAD + "steps: {include: deep.snippet.yaml}\n" + TAIL))
    assert problem.code == "config/too-deep"


def test_a_snippet_is_no_pipeline_file(write: Write) -> None:
    (problem,) = problems(write("a.snippet.yaml", "- remove: a\n"))
    assert (problem.code, "includes it" in problem.hint) == ("config/invalid-include", True)


def test_what_is_found_later_is_placed_in_the_snippet_too(write: Write) -> None:
    write("a/out.snippet.yaml", "http:\n  url: http://erp.example\n  auth: {bearer: {secret: key}}\n")
    path = write("orders.yaml", HEAD + "out: {include: a/out.snippet.yaml}\n")
    found = config.load(path).problem("secret/missing", "it is not there", "/out/http/auth/bearer/secret")
    assert (found.file, found.mark) == (str(path.parent / "a" / "out.snippet.yaml"), (3, 27))


@settings(max_examples=150, deadline=None)
@given(snippet=st.text(alphabet="-{}[]:,'\"#& \nabcinlude.stpyo", max_size=80))
def test_no_snippet_makes_it_fail_in_another_way(tmp_path_factory: pytest.TempPathFactory, snippet: str) -> None:
    folder = tmp_path_factory.mktemp("snippet")
    (folder / "a.snippet.yaml").write_text(snippet)
    (folder / "orders.yaml").write_text(HEAD + "steps: [{include: a.snippet.yaml}]\n" + TAIL)
    try:
        config.load(folder / "orders.yaml")
    except InvalidConfig as invalid:
        assert all(problem.code.startswith(("config/", "script/")) for problem in invalid.problems)
