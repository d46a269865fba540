"""CONTRIBUTING.md says what is so: its files, targets, names and links are there."""

from __future__ import annotations

import re

import pytest

import matching

from .conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
CODE = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL))
TOP = {path.name for path in ROOT.iterdir()}
PATHS = sorted({word for word in CODE if word.split("/")[0] in TOP and "::" not in word})
ROWS = re.findall(r"^\| `([^`|]+\.\w+)` \| (.*) \|$", PAGE, re.MULTILINE)


def test_the_readme_leads_here() -> None:
    assert "](CONTRIBUTING.md)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_there(path: str) -> None:
    pattern = re.sub(r"\b[A-Z]+\b(?!\.md)", "*", path)
    assert list(ROOT.glob(pattern.rstrip("/"))), path


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)]+)\)", PAGE))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists(), link


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|\$ )make ([a-z-]+)\b", PAGE))))
def test_a_target_of_make_is_there(target: str) -> None:
    assert re.search(rf"^\.PHONY: {target}$", MAKEFILE, re.MULTILINE), target


def names() -> list[str]:
    """What stands for NAME: in the table's first column, and in the commands."""
    table = PAGE.partition("| NAME | runs |\n|---|---|\n")[2].partition("\n\n")[0]
    listed = re.findall(r"`([^`]+)`", "".join(row.split("|")[1] for row in table.splitlines()))
    return sorted({name.strip('"') for name in listed} | set(re.findall(r"make test T=(?!NAME)(\S+)", PAGE)))


@pytest.mark.parametrize("name", names())
def test_a_name_after_make_test_matches_tests(name: str) -> None:
    plan = matching.plan(name)
    assert plan.rust or plan.pytest, name
    # Of a file of pytest the plan takes what stands behind the file for granted.
    there = matching.python_tests()
    for argument in plan.pytest:
        assert "::" not in argument or argument in there, f"{name}: there is no {argument}"


@pytest.mark.parametrize(("file", "change"), ROWS, ids=[file for file, _ in ROWS])
def test_what_a_table_names_in_a_file_stands_in_it(file: str, change: str) -> None:
    text = (ROOT / file).read_text()
    for word in re.findall(r"`([^`]+)`", change):
        assert word in text, f"{word} is not in {file}"


@pytest.mark.parametrize("name", sorted(set(re.findall(r"harness::(\w+)", PAGE)) | {"known_fault!"}))
def test_what_the_page_names_of_the_harness_is_exported(name: str) -> None:
    exported = (ROOT / "native/harness/src/lib.rs").read_text()
    assert re.search(rf"^pub use .*\b{name.rstrip('!')}\b", exported, re.MULTILINE), name
