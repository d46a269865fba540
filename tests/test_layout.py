"""Where tests are: named by the source they test, and none that no runner knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "vrsky_fast"
TESTS = sorted(Path(__file__).parent.glob("test_*.py"))
CRATES = sorted(folder for folder in ROOT.glob("native/*/tests") if folder.is_dir())


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.stem)
def test_a_test_named_by_a_folder_of_the_package_names_a_file_or_a_folder_in_it(test: Path) -> None:
    folder, _, file = test.stem.removeprefix("test_").partition("_")
    if (PACKAGE / folder).is_dir() and file:
        named = PACKAGE / folder / file
        assert named.with_suffix(".py").is_file() or named.is_dir(), f"there is no {folder}/{file}.py"


@pytest.mark.parametrize("folder", CRATES, ids=lambda folder: folder.parent.name)
def test_a_crate_has_one_binary_of_tests(folder: Path) -> None:
    """Another file beside `behaviour` would be linked as one more program."""
    assert [path.name for path in folder.glob("*.rs")] == []


@pytest.mark.parametrize("folder", CRATES, ids=lambda folder: folder.parent.name)
def test_every_file_of_rust_tests_is_a_module(folder: Path) -> None:
    """Without its line in `main.rs` or `mod.rs` a file would never be compiled."""
    for file in (folder / "behaviour").rglob("*.rs"):
        inner = file.name in {"main.rs", "mod.rs"}
        if inner and file.parent == folder / "behaviour":
            continue
        above = file.parent.parent if inner else file.parent
        parents = [above / "main.rs", above / "mod.rs"]
        declared = {name for path in parents if path.is_file() for name in modules(path)}
        assert (file.parent.name if inner else file.stem) in declared, file


def modules(file: Path) -> list[str]:
    return re.findall(r"^(?:pub )?mod (\w+);", file.read_text(), re.MULTILINE)
