"""The pipeline files of a folder: all of them or all their errors, and what two of them cannot share."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast import _native, config
from vrsky_fast.config import InvalidConfig, pipeline
from vrsky_fast.config.folder import find, is_below, read_each

from .conftest import MINIMAL, ROOT, Write, clean_environment, command


def test_a_folder_gives_all_files_or_all_their_errors(write: Write, tmp_path: Path) -> None:
    write("one/a.yaml", MINIMAL)
    write("one/deep/b.yml", MINIMAL.replace("orders", "returns"))
    write("one/.hidden/c.yaml", "not: read")
    write("one/notes.txt", "not read")
    assert [one.pipeline for one in config.load_all(tmp_path / "one")] == ["orders", "returns"]
    write("one/x.yaml", "a: 1\na: 2\n")
    write("one/y.yaml", MINIMAL.replace("filter", "fliter").replace("orders", "z"))
    with pytest.raises(InvalidConfig) as caught:
        config.load_all(tmp_path / "one")
    assert [problem.code for problem in caught.value.problems] == ["config/duplicate-key", "config/unknown-key"]


def test_what_only_has_the_name_of_a_pipeline_file_is_said_not_left_out(write: Write, tmp_path: Path) -> None:
    write("one/a.yaml", MINIMAL)
    write("one/folder.yaml/b.yaml", MINIMAL.replace("orders", "returns"))
    (tmp_path / "one" / "dangling.yml").symlink_to("nowhere.yml")
    os.mkfifo(tmp_path / "one" / "pipe.yaml")
    loaded, problems = config.examine(tmp_path / "one")
    assert [one.pipeline for one in loaded] == ["orders", "returns"]
    found = [(Path(problem.file).name, problem.code, problem.reason.split(",")[0]) for problem in problems]
    assert found == [
        ("dangling.yml", "config/file-not-found", "the symlink leads nowhere"),
        ("folder.yaml", "config/file-not-found", "is a folder"),
        ("pipe.yaml", "config/file-not-found", "is no regular file"),
    ]
    assert all(problem.hint for problem in problems)


def test_files_are_sorted_folder_by_folder(write: Write, tmp_path: Path) -> None:
    names = ["a.yaml", "a/b-c/d.yaml", "a/b.yaml", "a/b/c.yaml", "a-b/c.yaml", "b.yaml", "\u00e9.yaml"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(name, "")
    found, problems = find(tmp_path)
    assert [str(Path(name).relative_to(tmp_path)) for name in found] == sorted(names, key=lambda name: name.split("/"))
    assert problems == []


def test_two_files_cannot_define_the_same_pipeline_or_address(write: Write, tmp_path: Path) -> None:
    write("a.yaml", MINIMAL)
    write("b.yaml", MINIMAL)
    write("c.yaml", MINIMAL.replace("pipeline: orders", "pipeline: other"))
    write("d.yaml", MINIMAL.replace("acme", "globex"))
    with pytest.raises(InvalidConfig) as caught:
        config.load_all(tmp_path)
    found = [(Path(problem.file).name, problem.code) for problem in caught.value.problems]
    assert found == [("b.yaml", "config/conflict"), ("b.yaml", "config/conflict"), ("c.yaml", "config/conflict")]


def files_in(customer: str, name: str, path: str, pattern: str, out: str = "out.ndjson") -> str:
    return (
        f"customer: {customer}\npipeline: {name}\n"
        f"in: {{file: {{path: {path}, pattern: '{pattern}', format: ndjson}}}}\n"
        f"out: {{file: {{path: {out}}}}}\n"
    )


@pytest.mark.parametrize(
    ("one", "other", "clashes"),
    [
        (("acme", "box", "*"), ("acme", "./box//", "*"), True),
        (("acme", "box", "*"), ("acme", "box", "g*"), True),
        (("acme", "box", "*.csv"), ("acme", "box", "orders*"), True),
        (("acme", "box", "*.csv"), ("acme", "box", "*.xml"), False),
        (("acme", "box", "*"), ("acme", "box/a", "*"), False),
        (("acme", "box", "*"), ("globex", "box", "*"), False),
        (("acme", "/data/box", "*"), ("globex", "/data//box", "g*"), True),
    ],
)
def test_two_file_ins_cannot_read_the_same_files(
    write: Write, tmp_path: Path, one: tuple[str, str, str], other: tuple[str, str, str], clashes: bool
) -> None:
    for name, (customer, path, pattern) in [("a", one), ("b", other)]:
        write(f"{name}.yaml", files_in(customer, name, path, pattern))
    if not clashes:
        assert len(config.load_all(tmp_path)) == 2
        return
    with pytest.raises(InvalidConfig) as caught:
        config.load_all(tmp_path)
    (found,) = caught.value.problems
    assert (Path(found.file).name, found.code, found.pointer) == ("b.yaml", "config/conflict", "/in/file/path")


def test_two_files_cannot_read_a_stream_by_the_same_durable(write: Write, tmp_path: Path) -> None:
    for name, customer, stream, durable in [
        ("a", "acme", "IN", "durable: shared"),
        ("b", "globex", "IN", "durable: shared"),
        ("c", "globex", "OTHER", "durable: shared"),
        ("d", "acme", "IN", ""),
        ("e", "globex", "IN", ""),
    ]:
        reads = f"subject: a.b, mode: jetstream, stream: {stream}, {durable}"
        write(
            f"{name}.yaml",
            f"customer: {customer}\npipeline: {name}\nin:\n  nats: {{{reads}}}\nout: {{stdout: {{}}}}\n",
        )
    with pytest.raises(InvalidConfig) as caught:
        config.load_all(tmp_path)
    (found,) = caught.value.problems
    assert (Path(found.file).name, found.code, found.pointer) == ("b.yaml", "config/conflict", "/in/nats/durable")
    assert found.mark is not None
    assert found.mark.line == 4
    assert "a.yaml" in found.reason


def test_a_path_that_holds_nothing_is_said_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.yaml"):
        with pytest.raises(InvalidConfig) as caught:
            config.load_all(path)
        assert caught.value.code == "config/file-not-found"


def test_the_example_is_right() -> None:
    (orders,) = config.load_all(ROOT / "examples" / "orders")
    assert (orders.customer, orders.pipeline) == ("acme", "orders")


def test_what_fails_at_one_file_in_a_way_that_nobody_thought_of_leaves_that_one_out(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "evil", "worse", "z"):
        write(f"{name}.yaml", MINIMAL.replace("orders", name))
    compile_all, emit = _native.compile_pipelines, config.emit.emit

    def fails(*arguments: Any) -> str:
        text = emit(*arguments)
        if "evil" in text:
            raise RecursionError("too deep")
        return text

    def fails_too(files: list[tuple[str, dict[str, str]]]) -> list[Any]:
        if any("worse" in text for text, _ in files):
            raise ValueError("embedded null byte")
        return list(compile_all(files))

    monkeypatch.setattr(pipeline, "emit", fails)
    monkeypatch.setattr(_native, "compile_pipelines", fails_too)
    read = read_each(find(tmp_path)[0])
    found = [one.code if isinstance(one, InvalidConfig) else one.pipeline for one in read]
    assert found == ["a", "internal/panic", "internal/panic", "z"]


def test_a_name_that_is_not_utf8_is_a_name(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text(MINIMAL)
    (tmp_path / os.fsdecode(b"\xfe.yaml")).write_text("more: 1")
    loaded, problems = config.examine(tmp_path)
    assert [one.pipeline for one in loaded] == ["orders"]
    assert {os.fsencode(problem.file).rpartition(b"/")[2] for problem in problems} == {b"\xfe.yaml"}
    assert all(problem.text().encode() for problem in problems)


def test_folders_may_be_deeper_than_a_stack(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(1500):
        deep /= "d"
        deep.mkdir()
    (deep / "a.yaml").write_text(MINIMAL)
    found = find(tmp_path)
    assert found == ([str(deep / "a.yaml")], [])
    (deep / "a.yaml").unlink()
    while deep != tmp_path:  # which pytest cannot
        deep.rmdir()
        deep = deep.parent


@pytest.mark.parametrize(
    ("name", "folder", "is_so"),
    [
        ("a/b.yaml", ".", True),
        ("b.yaml", ".", True),
        ("/b.yaml", "/", True),
        ("/a/b.yaml", "/a", True),
        ("/a/c/b.yaml", "/a", True),
        ("a/b.yaml", "a", True),
        ("ab/b.yaml", "a", False),
        ("a.yaml", "a", False),
    ],
)
def test_what_is_below_a_folder(name: str, folder: str, is_so: bool) -> None:
    assert is_below(name, folder) == is_so


@pytest.mark.parametrize("given", ["/dev/stdin", "/dev/fd/0"])
def test_a_file_that_the_command_line_names_may_be_a_pipe(given: str) -> None:
    done = subprocess.run(
        command("lint", given), input=MINIMAL, capture_output=True, text=True, env=clean_environment(), timeout=60
    )
    assert done.returncode == 0, done.stderr
