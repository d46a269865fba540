"""`make bench` ends at the first run that is wrong or incomplete. What the load itself finds is tested in
bench/native/tests/."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).parent.parent / "bench"
MODULES = ("baseline", "end_to_end", "pipeline", "programs", "streams", "systems")


@pytest.fixture
def native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the bench's own program."""
    path = tmp_path / "bench-native"
    monkeypatch.setenv("BENCH_NATIVE", str(path))
    return path


@pytest.fixture
def pipeline(native: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("pipeline")


def play(native: Path, printed: str, said: str, code: int) -> None:
    native.write_text(f"#!/bin/sh\necho '{printed}'\necho '{said}' >&2\nexit {code}\n")
    native.chmod(0o755)


def system(pipeline: ModuleType) -> Any:
    return pipeline.System("vrsky S1", "S1", 100, "in", "out")


def test_a_run_that_the_load_is_content_with_gives_its_figures(native: Path, pipeline: ModuleType) -> None:
    play(native, '{"rate": 1000}', "", 0)
    assert pipeline.load(system(pipeline), 4222) == {"rate": 1000}


def test_a_run_with_a_missing_message_ends_the_bench_without_a_rate(
    native: Path, pipeline: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    play(native, '{"rate": 1000}', "1 of 100 messages are missing", 1)
    server = pipeline.Server(4222, 1)
    measured = system(pipeline)
    with pytest.raises(SystemExit, match=r"vrsky S1: .*\n1 of 100 messages are missing"):
        pipeline.take_turns([measured], 5, server, lambda one: pipeline.load(one, server.port))
    assert measured.found == []
    assert capsys.readouterr().out == ""


def test_a_202_without_its_message_in_the_stream_ends_the_bench(
    native: Path, pipeline: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(native, '{"rate": 1000}', "", 0)
    counts = iter([1_000, 1_099])

    async def stored(port: int, stream: str) -> int:
        return next(counts)

    monkeypatch.setattr(pipeline, "stored", stored)
    with pytest.raises(SystemExit, match="vrsky S1: 99 of 100 are stored"):
        pipeline.post(system(pipeline), 4222, "LANE")
