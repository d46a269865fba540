"""A test as YAML: read back it is the same message, and the file around it stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vrsky_fast import config
from vrsky_fast.config import InvalidConfig, reader, test_case
from vrsky_fast.config.test_case import TestCase

from .conftest import MINIMAL, MINIMAL_TESTS

CODE = "filter/missing-field"
# What a payload may hold that YAML has its own ideas of.
AWKWARD = (
    st.text(st.sampled_from("\n\n \t:#-'\"{}[]|>&*!%@`\\\r\0\x85\u2028\ufeffa\u00e9\u20ac\U0001f600~08")) | st.text()
)


def added(text: str, case: TestCase) -> tuple[str, int]:
    return test_case.insert(*reader.read("orders.yaml", text.encode()), case)


def read_tests(text: str) -> list[dict[str, Any]]:
    model = config.parse("orders.yaml", text.encode(), Path("orders.yaml")).model
    tests: list[dict[str, Any]] = model.get("tests", [])
    return tests


def case(name: str = "new", text: str = "<order/>", **headers: str) -> TestCase:
    return TestCase(name, CODE, "a comment", text, headers=headers)


@settings(max_examples=300, deadline=None)
@given(AWKWARD)
def test_any_text_is_read_back_as_it_was(payload: str) -> None:
    for before in (MINIMAL, MINIMAL + MINIMAL_TESTS):
        text, _ = added(before, case(text=payload))
        *others, last = read_tests(text)
        assert last["in"]["text"] == payload
        assert others == read_tests(before)


def test_lines_are_added_behind_the_last_test_and_none_is_changed() -> None:
    text, line = added(MINIMAL + MINIMAL_TESTS, case(Content_Type="text/xml; charset=utf-8"))
    assert text.startswith(MINIMAL + MINIMAL_TESTS)
    assert text.removeprefix(MINIMAL + MINIMAL_TESTS) == (
        "  - name: new\n"
        "    # a comment\n"
        "    in:\n"
        "      headers:\n"
        "        Content_Type: text/xml; charset=utf-8\n"
        "      text: '<order/>'\n"
        "    error: filter/missing-field\n"
    )
    assert text.splitlines()[line - 1] == "  - name: new"


def test_a_file_without_tests_gets_them_at_its_end() -> None:
    text, line = added(MINIMAL, case())
    assert text.startswith(MINIMAL + "\ntests:\n  - name: new\n")
    assert text.splitlines()[line - 1] == "tests:"


def test_a_payload_of_several_lines_stays_readable() -> None:
    text, _ = added(MINIMAL, case(text="<order>\n  <id>1</id>\n\n</order>\n"))
    assert "      text: |\n        <order>\n          <id>1</id>\n\n        </order>\n    error" in text


ITEM = "  - {name: old, in: {text: a}, error: xml/not-well-formed}\n"
FILES = {
    "no newline at the end": MINIMAL + "tests:\n" + ITEM.rstrip("\n"),
    "another key behind it": "tests:\n" + ITEM + "\n# of the customer\n" + MINIMAL,
    "comments at the end": MINIMAL + "tests:\n" + ITEM + "  # a comment of the last one\n# and of the file\n",
    "no indentation": MINIMAL + "tests:\n" + ITEM[2:],
    "more indentation": MINIMAL + "tests:\n    " + ITEM,
    "Windows": (MINIMAL + "tests:\n" + ITEM).replace("\n", "\r\n"),
    "end of document": MINIMAL + "tests:\n" + ITEM + "...\n",
    "end of document without tests": MINIMAL + "...\n",
    "begin of document": "---\n" + MINIMAL + "tests:\n" + ITEM,
    "braces over lines": MINIMAL
    + "tests:\n  - {name: old, in: {text: a},\n     error: xml/not-well-formed\n    }  # end\n",
    "a block at the end": MINIMAL
    + "tests:\n  - name: old\n    error: xml/not-well-formed\n    in:\n      text: |\n        a\n\n",
    "a block that keeps its end": MINIMAL
    + "tests:\n  - name: old\n    error: xml/not-well-formed\n    in:\n      text: |+\n        a\n\n\n",
    "that before another key": (
        "tests:\n  - name: old\n    error: xml/not-well-formed\n    in:\n      text: |+\n        # a\n\n\n" + MINIMAL
    ),
    "indented as a whole": "".join(f"  {line}\n" for line in MINIMAL.splitlines()),
    "a list without an indentation before another key": "tests:\n" + ITEM[2:] + MINIMAL,
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_whatever_the_layout_every_line_stays_and_the_test_comes_last(text: str) -> None:
    after, line = added(text, case(text="one\ntwo\n"))
    *others, last = read_tests(after)
    assert (last["name"], last["in"]["text"], last["error"]) == ("new", "one\ntwo\n", CODE)
    assert others == read_tests(text)
    remaining = iter(after.splitlines())
    assert all(line in remaining for line in text.splitlines()), "a line is lost, or out of its place"
    assert after.count("\n") - after.count("\r\n") == (0 if "\r\n" in text else after.count("\n"))
    assert after.splitlines()[line - 1].strip() in {"tests:", "- name: new"}
    again, _ = added(after, case("newer"))
    assert [one["name"] for one in read_tests(again)][-2:] == ["new", "newer"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{customer: acme, pipeline: orders, in: {http: {path: /x}}, out: {stdout: {}}}", "written in braces"),
        (MINIMAL + "tests: []\n", "`tests` is no list"),
        (MINIMAL + "tests: [{name: old, in: {text: a}, dropped: true}]\n", "`tests` is no list"),
        (MINIMAL + "tests: {include: some.snippet.yaml}\n", "`tests` is no list"),
    ],
)
def test_a_file_in_braces_is_refused_with_what_to_do(text: str, reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason) as refused:
        added(text, case())
    (problem,) = refused.value.problems
    assert (problem.code, problem.mark is not None) == ("config/cannot-export", True)
    assert "by hand" in problem.hint


def test_a_payload_in_a_file_is_named() -> None:
    lines = TestCase("new", CODE, "a comment", file="orders 17.payload").lines()
    assert "    file: orders 17.payload" in lines
