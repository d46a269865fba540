"""The orders example runs as `make run` runs it: the ERP, the pipeline, the orders, Ctrl-C."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

from .conftest import ROOT, clean_environment


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_whole_example_shows_what_happened_and_ends_with_0(tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    options = ["--listen", listen, "--receiver-port", "0", "--data", str(tmp_path / "data")]
    example = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "orders" / "run.py"), *options],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    shown: list[str] = []
    awaited = {
        "/in/acme/orders": "the address to post to",
        "1001 booked: 149.90 CHF, net 138.67, 3 pieces": "what the ERP got",
        "1004 booked: 15560.00 CHF": "the large order",
        "1005 refused": "what the ERP refused",
        'order.total > 100.0 && order.country == "CH"': "why one was filtered",
        "http/rejected": "the dead letter",
        "xml/not-well-formed": "the broken one",
        "to audit": "the audit file",
    }
    with example:
        assert example.stderr is not None
        for line in example.stderr:
            shown.append(line)
            awaited = {text: what for text, what in awaited.items() if text not in line}
            if not awaited:
                break
        assert not awaited, "".join(shown)
        example.send_signal(signal.SIGINT)
        rest = example.stderr.read()
    assert example.returncode == 0, "".join(shown) + rest
    assert "stopped: 6 in" in rest
    (audit,) = (tmp_path / "data" / "files" / "audit.ndjson").read_text().splitlines()
    assert '"1004"' in audit
