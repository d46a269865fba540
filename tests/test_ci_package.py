"""The tree under test holds what a wheel would: new files come, old ones go, the extension stays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import package


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {
        "__init__.py": "",
        "names.py": "A = 1\n",
        "py.typed": "",
        "cli/main.py": "",
        "_native.abi3.so": "of make run",
    }
    return write(tmp_path / "python/vrsky_fast", files)


@pytest.fixture
def tree(tmp_path: Path, source: Path) -> Path:
    tree = tmp_path / "wheel"
    write(tree / "vrsky_fast", {"_native.abi3.so": "of the wheel"})
    package.copy(tree, source)
    return tree


def wheel_of(tmp_path: Path, tree: Path) -> Path:
    wheel = tmp_path / "vrsky_fast-1-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in package.package_files(tree / "vrsky_fast"):
            archive.write(tree / "vrsky_fast" / path, f"vrsky_fast/{path}")
        archive.writestr("vrsky_fast-1.dist-info/RECORD", "")
    return wheel


def test_a_copy_has_every_file_but_the_other_extension(tree: Path) -> None:
    names = {str(path) for path in package.package_files(tree / "vrsky_fast")}
    assert names == {"__init__.py", "names.py", "py.typed", "cli/main.py", "_native.abi3.so"}
    assert (tree / "vrsky_fast/_native.abi3.so").read_text() == "of the wheel"


def test_only_what_has_changed_is_written(tree: Path, source: Path) -> None:
    assert package.copy(tree, source) == []
    (source / "names.py").write_text("A = 2\n")
    assert package.copy(tree, source) == [Path("names.py")]
    assert (tree / "vrsky_fast/names.py").read_text() == "A = 2\n"


def test_what_is_removed_from_the_sources_goes_with_its_folder_and_bytecode(tree: Path, source: Path) -> None:
    write(tree / "vrsky_fast", {"__pycache__/names.cpython-311.pyc": "", "cli/__pycache__/main.cpython-311.pyc": ""})
    (source / "cli/main.py").unlink()
    (source / "cli").rmdir()
    (source / "names.py").unlink()
    assert package.copy(tree, source) == [Path("cli/main.py"), Path("names.py")]
    assert not (tree / "vrsky_fast/cli").exists()
    assert not (tree / "vrsky_fast/names.py").exists()
    assert (tree / "vrsky_fast/_native.abi3.so").exists()


def test_a_file_in_place_of_a_folder_and_the_reverse_are_copied(tree: Path, source: Path) -> None:
    (source / "cli/main.py").unlink()
    (source / "cli").rmdir()
    (source / "names.py").unlink()
    write(source, {"cli": "a file", "names.py/__init__.py": ""})
    package.copy(tree, source)
    assert (tree / "vrsky_fast/cli").read_text() == "a file"
    assert (tree / "vrsky_fast/names.py/__init__.py").is_file()


def test_a_tree_that_is_the_wheels_passes(tmp_path: Path, tree: Path) -> None:
    wheel = wheel_of(tmp_path, tree)
    write(tree / "vrsky_fast", {"__pycache__/names.cpython-311.pyc": ""})
    assert package.differences(tree, wheel) == []


def test_every_difference_from_the_wheel_is_named(
    tmp_path: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = wheel_of(tmp_path, tree)
    (tree / "vrsky_fast/py.typed").unlink()
    write(tree / "vrsky_fast", {"names.py": "A = 3\n", "stale.py": ""})
    assert package.main(["check", str(tree), str(wheel)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "only in the wheel: py.typed",
        "not in the wheel: stale.py",
        "differs: names.py",
    ]


def test_another_call_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert package.main(["copy"]) == 2
    assert "package.py copy TREE" in capsys.readouterr().err
