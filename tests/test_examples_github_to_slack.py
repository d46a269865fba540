"""The github-to-slack example runs as its README says: signed deliveries, a changed one, and one that comes again."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT, Vrsky, clean_environment

EXAMPLE = ROOT / "examples" / "github-to-slack"


def test_its_tests_pass(vrsky: Vrsky) -> None:
    assert vrsky("lint", EXAMPLE).returncode == 0
    tested = vrsky("test", EXAMPLE)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_push_gets_to_slack_once_and_a_changed_one_never(tmp_path: Path) -> None:
    options = ["--listen", "127.0.0.1:0", "--slack-port", "0", "--data", str(tmp_path / "data")]
    example = subprocess.Popen(
        [sys.executable, str(EXAMPLE / "run.py"), *options],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    shown: list[str] = []
    awaited = ["slack | ada pushed 2 commits to acme/shop: Prices in francs", "vrsky | delivered", "vrsky | filtered"]
    # The last of four deliveries, in the order in which they are made.
    second = re.compile(r"push d-3: 202 \S+")
    with example:
        assert example.stderr is not None
        for line in example.stderr:
            shown.append(line)
            awaited = [text for text in awaited if text not in line]
            if not awaited and len([one for one in shown if second.search(one)]) == 2:
                break
        assert not awaited, "".join(shown)
        example.send_signal(signal.SIGINT)
        shown.append(example.stderr.read())
    text = "".join(shown)
    assert example.returncode == 0, text
    assert "push d-2: 401 http/signature-wrong" in text
    assert len(set(second.findall(text))) == 1, "one delivery is one message"
    assert text.count("slack |") == 1
    assert "eve" not in text
