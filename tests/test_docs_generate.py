"""The generated documents say what the model and the table of codes say."""

from __future__ import annotations

import subprocess
import sys

from .conftest import ROOT


def test_the_generated_documents_are_up_to_date() -> None:
    check = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
