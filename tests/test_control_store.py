"""Whether the embedded server's store still writes, as its log says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrsky_fast.control.store import StoreWatch

ERROR = "[1] [ERR] Filestore [VRSKY_LOGIC_T1000_0] Critical write error: no space left on device\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "server.log"
    path.write_text(f"of an earlier run: {ERROR}")
    return path


def test_only_what_is_new_counts(log: Path, tmp_path: Path) -> None:
    watch = StoreWatch(log, tmp_path)
    assert not watch.look()
    assert not watch.broken
    with log.open("a") as file:
        file.write(ERROR)
    assert watch.look()
    assert watch.broken
    assert not watch.look()
    assert watch.broken
    watch.mended()
    assert not watch.look()
    assert not watch.broken


@pytest.mark.parametrize("cut", range(1, len(ERROR)))
def test_a_line_that_is_half_written_is_found_in_the_end(log: Path, tmp_path: Path, cut: int) -> None:
    watch = StoreWatch(log, tmp_path)
    with log.open("a") as file:
        file.write(ERROR[:cut])
        file.flush()
        watch.look()
        file.write(ERROR[cut:])
    watch.look()
    assert watch.broken


def test_a_rotated_log_is_read_from_its_start(log: Path, tmp_path: Path) -> None:
    watch = StoreWatch(log, tmp_path)
    log.write_text(ERROR[:90])
    assert watch.look()


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert not StoreWatch(tmp_path / "none.log", tmp_path).look()
    assert StoreWatch(tmp_path / "none.log", tmp_path).has_room()


def test_what_a_server_says_while_it_starts_counts(log: Path, tmp_path: Path) -> None:
    watch = StoreWatch(log, tmp_path)
    watch.mended()
    with log.open("a") as file:
        file.write(ERROR)
    assert watch.look()
