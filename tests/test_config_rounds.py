"""Messages that go round for ever by way of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrsky_fast import config
from vrsky_fast.config import InvalidConfig

from .conftest import Write


def pipelines(write: Write, *names: tuple[str, str, str]) -> None:
    """`(name, folder of the in, file of the out)` of each."""
    for name, folder, out in names:
        write(
            f"{name}.yaml",
            f"customer: acme\npipeline: {name}\nin: {{file: {{path: {folder}, pattern: '*.ndjson', format: ndjson}}}}\n"
            f"out: {{file: {{path: {out}}}}}\n",
        )


def found(folder: Path) -> list[tuple[str, str, str | None]]:
    with pytest.raises(InvalidConfig) as caught:
        config.load_all(folder)
    return [(Path(one.file).name, one.code, one.pointer) for one in caught.value.problems]


def test_files_that_lead_back_over_other_pipelines_are_refused(write: Write, tmp_path: Path) -> None:
    pipelines(
        write,
        ("a", "a", "./b//x.ndjson"),
        ("b", "b", "c/x.ndjson"),
        ("c", "./c", "a/x.ndjson"),
        # Leads into the round, and is no part of it.
        ("d", "d", "a/y.ndjson"),
        ("e", "e", "f/x.ndjson"),
    )
    place = ("config/invalid-value", "/out/file/path")
    assert found(tmp_path) == [(name, *place) for name in ("a.yaml", "b.yaml", "c.yaml")]


def test_a_round_in_the_folder_of_the_customer_itself_is_refused(write: Write, tmp_path: Path) -> None:
    pipelines(write, ("a", "a", "x.ndjson"), ("b", ".", "a/x.ndjson"))
    assert [name for name, _, _ in found(tmp_path)] == ["a.yaml", "b.yaml"]


def test_files_that_nobody_reads_back_are_no_round(write: Write, tmp_path: Path) -> None:
    pipelines(
        write,
        ("a", "a", "b/x.ndjson"),
        # Another name than the in reads, another folder.
        ("b", "b", "a/x.json"),
        ("c", "c", "a/deep/x.ndjson"),
    )
    assert len(config.load_all(tmp_path)) == 3
