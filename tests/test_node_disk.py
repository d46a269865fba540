"""Files as they are on the disk: what is taken, and when."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from vrsky_fast.config import PipelineFile, Problem
from vrsky_fast.config.secrets import resolve
from vrsky_fast.node.disk import Disk
from vrsky_fast.node.states import Broken, Ready

ORDERS = """\
customer: acme
pipeline: {name}
in: {{http: {{path: /{name}}}}}
out: {{file: {{path: {name}.ndjson}}}}
"""
SCRIPTED = ORDERS.replace("out:", "steps:\n  - script: s.js\nout:")
GUARDED = ORDERS.replace("}}}}\nout", ", auth: {{bearer: {{secret: token}}}}}}}}\nout")
TWO_SECRETS = (
    GUARDED[: GUARDED.index("out:")] + "out: {{http: {{url: 'http://a.b/', auth: {{bearer: {{secret: erp}}}}}}}}\n"
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fine(_: PipelineFile) -> Sequence[Problem]:
    return ()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipelines").mkdir()
    return tmp_path / "pipelines"


def aged(file: Path, text: str) -> None:
    """Writes a file; each has another size or time, whatever the clock of the file system."""
    aged.count += 1  # type: ignore[attr-defined]
    file.write_text(text)
    os.utime(file, ns=(aged.count, aged.count))  # type: ignore[attr-defined]


aged.count = 1  # type: ignore[attr-defined]


def revision(disk: Disk, file: Path) -> str:
    state = disk.states[str(file)]
    assert isinstance(state, Ready), state
    return state.file.summary.revision


def test_what_is_the_same_in_two_looks_is_taken(folder: Path) -> None:
    file = folder / "orders.yaml"
    aged(file, ORDERS.format(name="orders"))
    disk = Disk(folder, None, fine)
    assert disk.look(everything=True)
    before = revision(disk, file)
    assert not disk.look()
    aged(file, ORDERS.format(name="other"))
    assert not disk.look()
    assert disk.look()
    assert revision(disk, file) != before
    assert not disk.look()


def test_what_changes_all_the_time_is_taken_after_a_while_when_it_is_right(folder: Path) -> None:
    file, clock = folder / "orders.yaml", Clock()
    aged(file, ORDERS.format(name="orders"))
    disk = Disk(folder, None, fine, clock)
    disk.look(everything=True)
    for number in range(3):
        aged(file, ORDERS.format(name=f"v{number}"))
        assert not disk.look()
        clock.now += 0.6
    clock.now += 1.0
    aged(file, "half: [")
    assert not disk.look()
    aged(file, ORDERS.format(name="last"))
    assert disk.look()
    assert isinstance(state := disk.states[str(file)], Ready)
    assert state.file.pipeline == "last"


def test_a_broken_file_is_known_by_its_problems_and_a_new_one_is_found(folder: Path) -> None:
    disk = Disk(folder, None, fine)
    aged(folder / "bad.yaml", "more: 1\n")
    disk.look(everything=True)
    assert isinstance(disk.states[str(folder / "bad.yaml")], Broken)
    aged(folder / "new.yaml", ORDERS.format(name="new"))
    assert not disk.look()
    assert disk.look()
    assert set(disk.states) == {str(folder / "bad.yaml"), str(folder / "new.yaml")}


def test_a_file_that_is_gone_in_two_looks_is_gone(folder: Path) -> None:
    file = folder / "orders.yaml"
    aged(file, ORDERS.format(name="orders"))
    disk = Disk(folder, None, fine)
    disk.look(everything=True)
    file.unlink()
    assert not disk.look()
    assert disk.look()
    assert disk.states == {}


def test_a_folder_that_is_gone_keeps_what_it_had(folder: Path) -> None:
    file = folder / "orders.yaml"
    aged(file, ORDERS.format(name="orders"))
    disk = Disk(folder, None, fine)
    disk.look(everything=True)
    folder.rename(folder.with_name("away"))
    assert disk.look()
    assert isinstance(disk.states[str(file)], Ready)
    assert isinstance(disk.states[str(folder)], Broken)
    folder.with_name("away").rename(folder)
    assert disk.look()
    assert set(disk.states) == {str(file)}


def test_a_script_is_looked_at_beside_the_file_also_where_it_is_broken(folder: Path) -> None:
    file, script = folder / "orders.yaml", folder / "s.js"
    aged(script, "export default (m) =>")
    aged(file, SCRIPTED.format(name="orders"))
    disk = Disk(folder, None, fine)
    disk.look(everything=True)
    assert isinstance(disk.states[str(file)], Broken)
    aged(script, "export default (m) => m")
    assert [disk.look(), disk.look()][-1]
    assert isinstance(disk.states[str(file)], Ready)


def test_a_secret_is_looked_at_and_missing_names_its_place(folder: Path, tmp_path: Path) -> None:
    file, secret = folder / "orders.yaml", tmp_path / "secrets" / "acme" / "token"
    secret.parent.mkdir(parents=True)
    aged(file, GUARDED.format(name="orders"))
    disk = Disk(folder, tmp_path / "secrets", fine)
    disk.look(everything=True)
    state = disk.states[str(file)]
    assert isinstance(state, Broken)
    assert [(one.code, one.mark is not None) for one in state.problems] == [("secret/not-found", True)]
    aged(secret, "abc\n")
    assert [disk.look(), disk.look()][-1]
    assert isinstance(state := disk.states[str(file)], Ready)
    assert state.secrets == {"token": "abc"}


def test_a_mount_that_is_switched_by_a_symlink_is_a_change(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    for number, name in enumerate(("orders", "other")):
        (tmp_path / f"data{number}").mkdir()
        aged(tmp_path / f"data{number}" / "orders.yaml", ORDERS.format(name=name))
    mount.mkdir()
    (mount / "..data").symlink_to(tmp_path / "data0")
    (mount / "orders.yaml").symlink_to("..data/orders.yaml")
    disk = Disk(mount, None, fine)
    disk.look(everything=True)
    before = revision(disk, mount / "orders.yaml")
    (mount / "..tmp").symlink_to(tmp_path / "data1")
    (mount / "..tmp").rename(mount / "..data")
    assert [disk.look(), disk.look()] == [False, True]
    assert revision(disk, mount / "orders.yaml") != before


def test_a_second_look_at_what_changes_alone_is_enough(folder: Path) -> None:
    one, other = folder / "orders.yaml", folder / "returns.yaml"
    aged(one, ORDERS.format(name="orders"))
    aged(other, ORDERS.format(name="returns"))
    disk = Disk(folder, None, fine, Clock())
    disk.look(True)
    before = revision(disk, one)
    assert not disk.is_unsettled
    aged(one, ORDERS.format(name="orders") + "limits: {backlog: 7}\n")
    other.unlink()
    assert not disk.look()
    assert disk.is_unsettled
    assert disk.look_again()
    assert revision(disk, one) != before
    assert str(other) not in disk.states
    assert not disk.is_unsettled


def test_what_was_gone_and_is_back_is_not_taken_for_gone(folder: Path) -> None:
    file, clock = folder / "orders.yaml", Clock()
    aged(file, ORDERS.format(name="orders"))
    disk = Disk(folder, None, fine, clock)
    disk.look(True)
    file.unlink()
    assert not disk.look()
    aged(file, ORDERS.format(name="orders"))
    clock.now += 10
    disk.look_again()
    assert str(file) in disk.states


def test_a_new_file_that_is_gone_again_leaves_no_trace(folder: Path) -> None:
    disk = Disk(folder, None, fine, Clock())
    disk.look(True)
    file = folder / "orders.yaml"
    aged(file, ORDERS.format(name="orders"))
    assert not disk.look()
    file.unlink()
    assert not disk.look_again()
    assert not disk.look()
    assert disk.states == {}
    assert not disk.is_unsettled


# -- what changes while it is read -----------------------------------------------------------------


@pytest.fixture
def all_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file here is so new that it is read again for that alone."""
    monkeypatch.setattr("vrsky_fast.node.disk._TICK_SECONDS", -3600)


def link(place: Path, target: str) -> None:
    """As a Kubernetes mount is switched: all at once, and the target has an old time."""
    place.with_name("..tmp").symlink_to(target)
    place.with_name("..tmp").rename(place)


@pytest.mark.usefixtures("all_is_old")
def test_a_script_whose_symlink_is_switched_while_files_are_read_is_read_again(folder: Path) -> None:
    file, script = folder / "orders.yaml", folder / "s.js"
    for version in ("v1", "v2"):
        aged(folder / f"{version}.js", f"export default (m) => ({{...m, {version}: 1}})")
    link(script, "v1.js")
    aged(file, SCRIPTED.format(name="orders"))
    aged(folder / "still.yaml", ORDERS.format(name="still"))
    to: list[str] = []

    def switch(_: PipelineFile) -> Sequence[Problem]:
        if to:
            link(script, to.pop())
        return ()

    disk = Disk(folder, None, switch)
    disk.look(everything=True)
    first = revision(disk, file)
    for everything in (True, False):
        aged(file, file.read_text())
        to = ["v2.js"]
        for _ in range(4):
            disk.look(everything)
        assert not to
        assert revision(disk, file) != first
        assert not disk.is_unsettled
        link(script, "v1.js")
        assert [disk.look(), disk.look()] == [False, True]
        assert revision(disk, file) == first


@pytest.mark.usefixtures("all_is_old")
def test_two_secrets_of_one_file_are_of_one_version(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, mount = folder / "orders.yaml", tmp_path / "secrets" / "acme"
    for version in ("v1", "v2"):
        (tmp_path / "secrets" / version).mkdir(parents=True)
        for name in ("token", "erp"):
            aged(tmp_path / "secrets" / version / name, version)
    link(mount, "v1")
    aged(file, TWO_SECRETS.format(name="orders"))
    switched: list[str] = []

    def resolves_slowly(customer: str, names: list[str], secrets: Path | None) -> dict[str, str]:
        found = resolve(customer, names, secrets)
        if not switched:
            switched.append(names[0])
            link(mount, "v2")
        return found

    monkeypatch.setattr("vrsky_fast.node.states.resolve", resolves_slowly)
    disk = Disk(folder, tmp_path / "secrets", fine)
    disk.look(everything=True)
    assert isinstance(state := disk.states[str(file)], Ready), state
    assert switched
    assert state.secrets == {"token": "v2", "erp": "v2"}


def test_a_clock_that_is_behind_reads_nothing_for_ever_and_says_nothing_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, clock, now = folder / "orders.yaml", Clock(), time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() - 600 * 10**9)
    aged(folder / "s.js", "export default (m) => m")
    aged(file, SCRIPTED.format(name="orders"))
    asked: list[str] = []

    def refuses(one: PipelineFile) -> Sequence[Problem]:
        asked.append(one.name)
        return (one.problem("config/conflict", "no", "/in"),)

    disk = Disk(folder, None, refuses, clock)
    disk.look(everything=True)
    state = disk.states[str(file)]
    for _ in range(8):
        clock.now += 0.25
        assert not disk.look()
    assert len(asked) == 2
    assert not disk.is_unsettled
    assert disk.states[str(file)] is state


def test_what_is_read_again_and_says_the_same_is_the_same(folder: Path) -> None:
    good, bad = folder / "good.yaml", folder / "bad.yaml"
    aged(good, ORDERS.format(name="good"))
    aged(bad, "more: 1\n")
    disk = Disk(folder, None, fine)
    disk.look(everything=True)
    before = disk.states
    for file in (good, bad):
        aged(file, file.read_text())
    assert [disk.look(), disk.look()] == [False, True]  # what was refused may be right now
    assert disk.states[str(good)] is before[str(good)]
    before = disk.states
    assert disk.look(everything=True)
    assert all(disk.states[name] is state for name, state in before.items())
    aged(good, "\n" + good.read_text())
    assert [disk.look(), disk.look()] == [False, True]
    assert disk.states[str(good)] is not before[str(good)]  # its places are others


def test_a_fault_that_stays_is_news_when_its_file_has_changed(folder: Path) -> None:
    file = folder / "orders.yaml"
    aged(file, ORDERS.format(name="orders") + "more: 1\n")
    disk = Disk(folder, None, fine, Clock())
    disk.look(True)
    before = disk.states[str(file)]
    disk.look(True)
    assert disk.states[str(file)] is before
    aged(file, ORDERS.format(name="orders") + "more: 1\n# by hand\n")
    disk.look(True)
    assert isinstance(disk.states[str(file)], Broken)
    assert disk.states[str(file)] is not before
