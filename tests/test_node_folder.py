"""How soon files are looked at again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vrsky_fast.node import disk, folder
from vrsky_fast.node.disk import Disk

from .conftest import MINIMAL


class Time:
    """In place of the module: `wall` and `work` are what its clocks show."""

    def __init__(self) -> None:
        self.wall, self.work = 100.0, 5.0

    def monotonic(self) -> float:
        return self.wall

    def thread_time(self) -> float:
        return self.work

    def time_ns(self) -> int:
        return time.time_ns()


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Time:
    clocks = Time()
    monkeypatch.setattr(folder, "time", clocks)
    monkeypatch.setattr(disk, "time", clocks)
    return clocks


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[object, str, Callable[[], None]], None]:
    """Calls something before a function of a module or class, each time."""

    def set_up(owner: object, name: str, first: Callable[[], None]) -> None:
        function = getattr(owner, name)

        def called(*arguments: object) -> object:
            first()
            return function(*arguments)

        monkeypatch.setattr(owner, name, called)

    return set_up


During = Callable[[object, str, Callable[[], None]], None]


@pytest.fixture
def pace(clocks: Time, tmp_path: Path) -> folder._Pace:
    (tmp_path / "orders.yaml").write_text(MINIMAL)
    files = Disk(tmp_path, None, lambda _: ())
    files.look(True)
    pace = folder._Pace(files)
    clocks.wall += pace.pause()
    return pace


def passes(clocks: Time, wall: float = 0.0, work: float = 0.0) -> Callable[[], None]:
    def passing() -> None:
        clocks.wall += wall
        clocks.work += work

    return passing


def test_a_look_that_waits_for_its_turn_is_followed_by_another_as_soon(
    pace: folder._Pace, clocks: Time, during: During
) -> None:
    during(Disk, "_find", passes(clocks, wall=0.02))
    assert not pace.look(False)
    assert pace.pause() == pytest.approx(0.25)


def test_a_look_that_works_long_is_followed_by_a_long_pause(pace: folder._Pace, clocks: Time, during: During) -> None:
    during(Disk, "_find", passes(clocks, wall=0.02, work=0.02))
    assert not pace.look(False)
    assert pace.pause() == pytest.approx(4.0)


def test_reading_what_has_changed_delays_no_look(pace: folder._Pace, clocks: Time, during: During) -> None:
    during(disk, "read_each", passes(clocks, wall=0.02, work=0.02))
    assert pace.look(True)
    assert pace.pause() == pytest.approx(0.25)
