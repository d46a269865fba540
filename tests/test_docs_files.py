"""The example of docs/files.md, written into a folder file by file, passes its own tests."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import ROOT, Vrsky


def test_the_example_of_the_page_passes_its_tests(vrsky: Vrsky, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "files.md").read_text()
    files = re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in files] == ["orders.yaml", "countries.csv", "clean.snippet.yaml", "label.js"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    for verb in ("lint", "test"):
        done = vrsky(verb, str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout + done.stderr
