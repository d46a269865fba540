"""One process per data folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vrsky_fast.control.lock import FOR_A_MOMENT, DataFolder, Lock
from vrsky_fast.errors import ConfigError

HOLD = """
import sys
from pathlib import Path
from vrsky_fast.control.lock import DataFolder
with DataFolder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_by_name_until_the_first_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError) as caught, DataFolder(tmp_path / "data"):
            pass
        assert caught.value.code == "config/data-folder-in-use"
        assert f"process {holder.pid}" in str(caught.value)
        holder.kill()
    with DataFolder(tmp_path / "data") as data:
        assert data.nats.stat().st_mode & 0o777 == 0o700


def test_a_run_waits_for_those_who_only_look(tmp_path: Path) -> None:
    looking = DataFolder(tmp_path / "data")
    assert looking.try_lock(FOR_A_MOMENT)
    assert not DataFolder(tmp_path / "data").try_lock()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(DataFolder(tmp_path / "data").__enter__)
        with pytest.raises(TimeoutError):
            run.result(0.1)
        looking.unlock()
        run.result(30).unlock()


@pytest.mark.parametrize("note", ["", "4711 \n"], ids=["no note yet", "the note of an earlier run"])
def test_a_run_waits_for_one_that_has_yet_to_write_that_it_only_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str
) -> None:
    (tmp_path / "lock").write_text(note)
    looking = Lock(tmp_path / "lock")
    assert looking.try_acquire()
    steps = iter([lambda: looking.note(f"{os.getpid()} {FOR_A_MOMENT}\n"), looking.release])
    monkeypatch.setattr(time, "sleep", lambda _: next(steps)())
    with DataFolder(tmp_path):
        assert next(steps, None) is None


def test_a_folder_that_cannot_be_made_is_an_error_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught, DataFolder(tmp_path / "file" / "data"):
        pass
    assert caught.value.code == "config/data-folder-unusable"
