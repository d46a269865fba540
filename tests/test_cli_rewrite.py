"""A file that people keep is written over as a whole, or stays."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from vrsky_fast.cli import rewrite


def test_mode_and_symlink_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    file.write_bytes(b"old")
    file.chmod(0o604)
    link.symlink_to("real.yaml")
    rewrite.replace(link, b"old", b"new")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode), link.is_symlink()) == (b"new", 0o604, True)
    assert sorted(tmp_path.iterdir()) == [link, file]


def test_what_somebody_has_changed_meanwhile_stays(tmp_path: Path) -> None:
    file = tmp_path / "real.yaml"
    file.write_bytes(b"theirs")
    with pytest.raises(rewrite.Changed):
        rewrite.replace(file, b"old", b"new")
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"theirs", [file])


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    other, file = tmp_path / "other", tmp_path / "new"
    other.touch()
    rewrite.replace(file, None, b"new")
    assert (file.read_bytes(), file.stat().st_mode) == (b"new", other.stat().st_mode)


def test_where_nothing_can_be_written_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        rewrite.replace(tmp_path / "none" / "file", None, b"new")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        rewrite.replace(tmp_path / "folder", None, b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
