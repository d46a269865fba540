"""The orders example runs as `make run` runs it: the ERP, the pipeline, the orders, Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

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
    (audit,) = (tmp_path / "data" / "files" / "acme" / "audit.ndjson").read_text().splitlines()
    assert '"1004"' in audit


def test_no_order_is_sent_to_another_program_that_has_the_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        options = ["--listen", f"127.0.0.1:{other.getsockname()[1]}", "--receiver-port", "0"]
        refused = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "orders" / "run.py"), *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            env=clean_environment(),
        )
        with pytest.raises(BlockingIOError):
            other.accept()
    assert refused.returncode == 3
    assert "config/cannot-listen" in refused.stderr
    assert "make run ARGS='--listen" in refused.stderr
    assert "POST" not in refused.stderr


def test_only_an_address_that_is_taken_asks_for_another_one(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "orders" / "run.py"), "--receiver-port", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment() | {"VRSKY_NATS": "nats://127.0.0.1:1"},
    )
    assert refused.returncode == 3
    assert "nats/connect" in refused.stderr
    assert "--listen" not in refused.stderr


def test_ctrl_c_on_a_terminal_ends_make_with_0(tmp_path: Path) -> None:
    """`make` must not see the signal: it would call an orderly end a failure."""
    run = ROOT / "examples" / "orders" / "run.py"
    options = f"--listen 127.0.0.1:{free_port()} --receiver-port 0 --data {tmp_path / 'data'}"
    (tmp_path / "Makefile").write_text(f"run:\n\t@exec {sys.executable} {run} {options}\n")
    terminal, inside = os.openpty()
    # `setsid --ctty` makes the other end of this pair the terminal that Ctrl-C comes from.
    with subprocess.Popen(
        ["setsid", "--ctty", "--wait", "make", "-C", str(tmp_path), "run"],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=clean_environment() | {"TERM": "xterm"},
    ) as make:
        os.close(inside)
        shown = b""
        while b"1006-broken.xml" not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, b"\x03")
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:
                break  # the last program has closed the terminal
            shown += part
    os.close(terminal)
    assert make.returncode == 0, shown.decode()
    assert b"draining" in shown
    assert b"\x1b[32mready" in shown
    assert b"Error" not in shown
