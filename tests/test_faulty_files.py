"""Files that hurt those who read them: each is left out with a problem of its own, and costs no other file anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vrsky_fast.config import PipelineFile, Problem
from vrsky_fast.node.disk import Disk
from vrsky_fast.node.states import Broken, Ready

from .test_node_disk import ORDERS, SCRIPTED, aged, fine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipelines").mkdir()
    return tmp_path / "pipelines"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (r"a\0b.js", "config/file-outside"),
        (r"\0", "config/file-outside"),
        ("../" * 3 + "etc/passwd", "config/file-outside"),
        ("n" * 5000, "config/file-not-found"),
        ("d/" * 3000 + "s.js", "config/file-not-found"),
        (r"\uD800.js", "config/invalid-yaml"),
        (r"\uFFFF\U0010FFFF.js", "config/file-not-found"),
    ],
)
def test_no_name_of_a_script_hurts_another_file(folder: Path, name: str, code: str) -> None:
    aged(folder / "evil.yaml", SCRIPTED.format(name="evil").replace("s.js", f'"{name}"'))
    aged(folder / "good.yaml", ORDERS.format(name="good"))
    disk = Disk(folder, None, fine)
    disk.look(everything=True)
    assert isinstance(disk.states[str(folder / "good.yaml")], Ready)
    assert isinstance(state := disk.states[str(folder / "evil.yaml")], Broken)
    assert state.problems[0].code == code
    assert not disk.look()
    assert not disk.is_unsettled


def test_a_check_that_fails_costs_its_file_alone(folder: Path) -> None:
    for name in ("evil", "good"):
        aged(folder / f"{name}.yaml", ORDERS.format(name=name))

    def check(one: PipelineFile) -> Sequence[Problem]:
        if one.pipeline == "evil":
            raise RecursionError("too deep")
        return ()

    disk = Disk(folder, None, check)
    disk.look(everything=True)
    assert isinstance(disk.states[str(folder / "good.yaml")], Ready)
    assert isinstance(state := disk.states[str(folder / "evil.yaml")], Broken)
    assert [one.code for one in state.problems] == ["internal/panic"]


@pytest.mark.parametrize("path", [".", "pipelines", "./pipelines/"])
@pytest.mark.parametrize("unreadable", ["sub", ""])
def test_what_an_unreadable_folder_had_goes_on(
    folder: Path, path: str, unreadable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sub = folder / "sub"
    sub.mkdir()
    aged(sub / "orders.yaml", ORDERS.format(name="orders"))
    monkeypatch.chdir(folder if path == "." else folder.parent)
    disk, scan = Disk(Path(path), None, fine), os.scandir
    disk.look(everything=True)
    before = disk.states
    assert len(before) == 1

    def refuses(name: str) -> os._ScandirIterator[str]:
        if Path(name).resolve() == (folder / unreadable):
            raise PermissionError(13, "Permission denied", name)
        return scan(name)

    monkeypatch.setattr(os, "scandir", refuses)
    for everything in (False, False, True):
        disk.look(everything)
        assert {name: state for name, state in disk.states.items() if isinstance(state, Ready)} == before
        assert len(disk.states) == 2
    monkeypatch.undo()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_path_that_becomes_no_file_is_said_and_holds_nothing_up(folder: Path, make: Callable[[Path], None]) -> None:
    file = folder / "orders.yaml"
    aged(file, ORDERS.format(name="orders"))
    disk = Disk(file, None, fine)
    disk.look(everything=True)
    assert isinstance(disk.states[str(file)], Ready)
    file.unlink()
    make(file)
    assert [disk.look(), disk.look()] == [False, True]
    assert isinstance(state := disk.states[str(file)], Broken)
    assert [one.code for one in state.problems] == ["config/file-not-found"]
    (file.rmdir if file.is_dir() else file.unlink)()
    aged(file, ORDERS.format(name="orders"))
    assert [disk.look(), disk.look()] == [False, True]
    assert isinstance(disk.states[str(file)], Ready)


def test_a_look_that_is_given_up_reads_no_more(folder: Path) -> None:
    for name in ("a", "b", "c"):
        aged(folder / f"{name}.yaml", ORDERS.format(name=name))
    asked: list[str] = []

    def check(one: PipelineFile) -> Sequence[Problem]:
        asked.append(one.name)
        disk.give_up()
        return ()

    disk = Disk(folder, None, check)
    disk.look(everything=True)
    assert len(asked) == 1
