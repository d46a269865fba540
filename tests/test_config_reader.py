"""YAML text -> nodes: what is refused, where it is said to stand, and that nothing crashes."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vrsky_fast.config import reader
from vrsky_fast.config.problem import InvalidConfig, Problem
from vrsky_fast.config.tree import Mapping, Scalar, Sequence
from vrsky_fast.facts import MAX_FILE_BYTES


def refused(text: str | bytes) -> Problem:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(InvalidConfig) as caught:
        reader.read("orders.yaml", data)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("a: 1\nb: [1, 2\n", "config/invalid-yaml", (3, 1)),
        ("a: 1\nb", "config/invalid-yaml", (2, 1)),
        ("a: 1\na: 2\n", "config/duplicate-key", (2, 1)),
        ("x:\n  - a: {k: 1, k: 2}\n", "config/duplicate-key", (2, 15)),
        ("a: &anchor 1\n", "config/alias", (1, 4)),
        ("a: 1\nb: *a\n", "config/alias", (2, 4)),
        ("a: !!int 1\n", "config/tag", (1, 4)),
        ("a: !local {}\n", "config/tag", (1, 4)),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", "config/tag", (1, 1)),
        ("a: 1\n---\nb: 2\n", "config/invalid-yaml", (2, 1)),
        ("[1, 2]: x\n", "config/invalid-yaml", (1, 1)),
        ("a: 1\n\tb: 2\n", "config/invalid-yaml", (2, 1)),
        ("a: \x07\n", "config/invalid-yaml", (1, 4)),
        ("é: 1\nü: \x00\n", "config/invalid-yaml", (2, 4)),
        ("[" * 65, "config/too-deep", (1, 65)),
        ("- " * 65 + "x", "config/too-deep", (1, 129)),
        ("{a: " * 100_000, "config/too-deep", (1, 257)),
    ],
)
def test_what_a_pipeline_file_must_not_use_is_refused_at_its_place(
    text: str, code: str, place: tuple[int, int]
) -> None:
    problem = refused(text)
    assert problem.code == code, str(problem)
    assert problem.mark is not None
    assert (problem.mark.line, problem.mark.column) == place, str(problem)


def test_an_empty_file_is_said_to_be_empty() -> None:
    for text in ("", "# nothing\n", "\ufeff"):
        assert refused(text).reason == "the file is empty"
        assert refused(text).place == "orders.yaml:1:1"


def test_too_many_bytes_or_values_are_refused() -> None:
    problem = refused(b"#" * (MAX_FILE_BYTES + 1))
    assert (problem.code, problem.reason) == ("config/too-large", "the file has more than 1,048,576 bytes")
    assert refused("[" + "a," * (reader.MAX_NODES + 1) + "]").code == "config/too-large"


def test_bytes_that_are_no_utf8_are_named() -> None:
    problem = refused("a: é\nb: ".encode() + b"\xff\n")
    assert problem.reason == "byte 9 is not UTF-8"
    assert problem.mark is not None
    assert (problem.mark.line, problem.mark.column) == (2, 4)


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("filter: !has(order.x)", "'!has(order.x)'"),
        ("filter: !(a == b)", "'!(a == b)'"),
        ('filter: "a" in order.tags', "'\"a\" in order.tags'"),
        ("filter: 'a' in order.tags", "'''a'' in order.tags'"),
        ("filter: a ? b : c", "'a ? b : c'"),
        ("filter: [1, 2].exists(x, x == 1)", "'[1, 2].exists(x, x == 1)'"),
        ('- when: "a" in b', "'\"a\" in b'"),
        ("order.net: !x", "'!x'"),
        ("filter: @x", "'@x'"),
        ("filter: %x", "'%x'"),
        ("filter: 'a == 'b''", "'a == ''b'''"),
        ('- set: {x: "a" + f(1, 2), y: z}', "'\"a\" + f(1, 2)'"),
        ("- set: {x: y, z: [1, 2].size()}", "'[1, 2].size()'"),
        ('- route: [{when: "a" in b, to: x}]', "'\"a\" in b'"),
        ("- {filter: a == {b: c}}}", "'a == {b: c}'"),
        ("filter: a == 'b: c'", "'a == ''b: c'''"),
        ("order.net: a == 'b: c'", "'a == ''b: c'''"),
        ('- set: {x: a + "b: c", y: z}', "'a + \"b: c\"'"),
        ("- set: {x: a ? 1 : 2}", "'a ? 1 : 2'"),
        ("- set: {w: v, x: a ? 1 : 2, y: z}", "'a ? 1 : 2'"),
        ("x: a ? 1 : 2", "'a ? 1 : 2'"),
        ("x: a ? {'b': 1} : 2", "'a ? {''b'': 1} : 2'"),
        ("- set: {x: size([1, 2])}", "'size([1, 2])'"),
        ("- set: {x: a[0], y: z}", "'a[0]'"),
        ("- set: {x: a ? size([1, 2]) : f(b, c), y: z}", "'a ? size([1, 2]) : f(b, c)'"),
        ('- set: {x: a.replace("b", "c")}', '\'a.replace("b", "c")\''),
        ('- set: {x: b in ["p", "q"]}', '\'b in ["p", "q"]\''),
        ('- route: [{when: b in ["p", "q"], to: x}]', '\'b in ["p", "q"]\''),
        ("x: f({'a': 1})", "'f({''a'': 1})'"),
    ],
)
def test_an_expression_that_yaml_misreads_wants_quotes(line: str, advice: str) -> None:
    assert refused(f"a: 1\n{line}\n").hint == f"Quote the expression: {advice}"


@pytest.mark.parametrize("line", ["note: see (a): b", "- {x: y, z}, w", "x: [a, b", "x: a: b", "- {x: f(y), z: w: v}"])
def test_what_is_no_expression_wants_no_quotes(line: str) -> None:
    assert refused(f"a: 1\n{line}\n").hint == "Mend the YAML here."


def test_an_expression_that_goes_on_behind_a_comment_wants_quotes() -> None:
    assert refused("filter: a == 1 # x\n  && b == 2\n").hint == "Quote the expression: put it between single quotes."
    assert refused("- set: {x: a ? b :\n  c}\n").hint == "Quote the expression: put it between single quotes."


@pytest.mark.parametrize(
    "text",
    [
        "a: 1 # x\n  b: 2\n",
        "note: it's a thing: b\n",
        "a: {b: 1\nc: {d: 2}\n",
        'a: {name: "\\ud800", b: {c: d}}\n',
        "steps:\n   - filter: x == 1\n  - filter: y == 1\n",
        'filter: "\\ud800"\n',
        "- " * 3000 + "{\n",
    ],
)
def test_other_lines_that_yaml_cannot_read_are_not_said_to_want_quotes(text: str) -> None:
    assert "Quote" not in refused(text).hint


@pytest.mark.parametrize("text", ["a:\n\tb: 1\n", "a:\n  b: 1\n\tc: 2\n", "a:\n\t- filter: 'x'\n", "-\ta: 1\n"])
def test_a_tab_is_said_to_be_one(text: str) -> None:
    problem = refused(text)
    assert (problem.reason, problem.hint) == ("YAML takes no tab here", "Indent with blanks.")
    assert problem.mark is not None
    assert text.split("\n")[problem.mark.line - 1][problem.mark.column - 1] == "\t"


@pytest.mark.parametrize("text", ["a: &x 1", "filter: &x 'true'", "steps: &x\n  - a: 1", "a: *x", "- set: {a: *x}"])
def test_an_anchor_or_alias_is_to_be_written_out(text: str) -> None:
    problem = refused(text)
    assert "is not allowed" in problem.reason
    assert "write the value out" in problem.hint


def test_nodes_know_where_they_stand() -> None:
    _, root = reader.read("x", "\ufeffa: 1\nb:\n  - 'é'\n".encode())
    assert isinstance(root, Mapping)
    one = root.get("b")
    assert one is not None
    assert isinstance(one.value, Sequence)
    item = one.value.items[0]
    assert isinstance(item, Scalar)
    assert (item.text, item.style, item.start.line, item.start.column, item.end.column) == ("é", "'", 3, 5, 8)


FRAGMENTS = st.sampled_from(
    ["a", ": ", "- ", "\n", "  ", "{", "}", "[", "]", ",", "'", '"', "|", ">", "&x", "*x", "!t", "#", "?", "---", "...",
     "%YAML 1.2\n", "<<: ", "\t", "\\", "\x00", "\x85", "\u2028", "\ufeff", "é", "😀", "filter: ", "0x1", "1e9", "~"]
)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.lists(FRAGMENTS, max_size=40).map("".join).map(str.encode)))
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
@example(b"a: \xc2\x85b")
@example(b"? a\n: b\n? [c]\n")
@example(b"x: {a: , b: !t }, [")
@example(b"x: {a: }, b: ]")
def test_any_bytes_give_nodes_or_a_problem_that_can_be_shown(data: bytes) -> None:
    try:
        reader.read("orders.yaml", data)
    except InvalidConfig as invalid:
        for problem in invalid.problems:
            shown = problem.text()
            assert problem.code.startswith("config/")
            assert all(line.isprintable() for line in shown.split("\n")), shown
