"""The CSV example runs as its page says: the warehouse, the pipeline, the files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT, Vrsky, clean_environment, command

EXAMPLE = ROOT / "examples" / "csv-to-http"


@pytest.fixture
def warehouse() -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, EXAMPLE / "receiver.py", "--port", "0"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        yield process
        process.terminate()


def test_the_pipeline_passes_its_tests(vrsky: Vrsky) -> None:
    done = vrsky("test", EXAMPLE, "--var", "WAREHOUSE=http://warehouse.example")
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_arrive_row_by_row_and_are_moved(tmp_path: Path, warehouse: subprocess.Popen[str]) -> None:
    assert warehouse.stdout is not None
    address = warehouse.stdout.readline().strip()
    options = ["--listen", "127.0.0.1:0", "--var", f"WAREHOUSE={address}", "--data", tmp_path / "data"]
    node = subprocess.Popen(
        command("run", EXAMPLE, "--json", *options),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    files = tmp_path / "data" / "files" / "acme"
    with node:
        assert node.stdout is not None
        said = map(json.loads, node.stdout)
        next(one for one in said if one["kind"] == "ready")
        (files / "inbox").mkdir(parents=True, exist_ok=True)
        for file in (EXAMPLE / "inbox").iterdir():
            shutil.copy(file, files / "inbox")
        assert warehouse.stderr is not None
        booked = sorted(warehouse.stderr.readline() for _ in range(4))
        dead = next(one for one in said if one["kind"] == "dead")
        while list((files / "inbox").iterdir()):
            next(said)
        node.terminate()
        node.communicate()
    assert booked == [
        "warehouse | 1 x S-9 out, 249.00\n",
        'warehouse | 10 x C-1 back, 7.50 said "broken"\n',
        "warehouse | 3 x K-7 out, 37.50 shelf 4; top\n",
        "warehouse | 4 x T-3 out, 396.00 Zürich\n",
    ]
    assert dead["code"] == "convert/not-a-number"
    assert sorted(path.name for path in (files / "done").iterdir()) == ["2026-11-28.csv", "2026-11-29.csv"]
    assert node.returncode == 0
