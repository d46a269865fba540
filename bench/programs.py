"""Programs of the benchmarks: started, waited for, measured and ended."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrsky_fast.control import server_config

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """What a process has used of all processors so far, in ticks of usually 10 ms."""
    return sum(map(int, _stat(pid)[11:13])) / _TICKS


def family_cpu_seconds(pid: int) -> float:
    """The same of a process and all below it, such as the processes that scripts run in, also of those that have
    ended."""
    found: dict[int, tuple[int, int]] = {}
    for one in [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]:
        with suppress(OSError):
            fields = _stat(one)
            # What children had used when they ended stands with their parent.
            found[one] = int(fields[1]), sum(map(int, fields[11:15]))
    family = {pid}
    while more := {one for one, (parent, _) in found.items() if parent in family} - family:
        family |= more
    return sum(found[one][1] for one in family if one in found) / _TICKS


def _stat(pid: int) -> list[str]:
    """What stands behind the name, proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def resident_mib(pid: int) -> float:
    """The memory that a process has in use."""
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_results(name: str, found: dict[str, Any]) -> None:
    """Into ``bench/results``, with the machine they are of."""
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    file = Path(__file__).parent / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"machine": machine, **found}, indent=1) + "\n")
    print(f"\nwritten to {file}")


@contextmanager
def program(command: list[str], ready: str | None) -> Iterator[subprocess.Popen[str]]:
    """A child that has printed a line with ``ready``; what else it prints is dropped. Ended by SIGTERM, and waited
    for."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        while ready is not None:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise SystemExit(f"{command[0]} ended before it was ready")
            if ready in line:
                break
        reader = threading.Thread(target=read_on, args=[process], daemon=True)
        reader.start()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def read_on(process: subprocess.Popen[str]) -> None:
    """So that its pipe is never full."""
    while process.stdout and process.stdout.read(1 << 16):
        pass


@dataclass(frozen=True)
class Server:
    port: int
    pid: int


@contextmanager
def nats_server(folder: Path) -> Iterator[Server]:
    port = free_port()
    command = [
        server_config.binary(),
        "-a",
        "127.0.0.1",
        "-p",
        str(port),
        "-js",
        "-sd",
        str(folder),
        "-l",
        str(folder / "log"),
    ]
    with program(command, None) as process:
        wait_for("nats-server", port)
        yield Server(port, process.pid)


def wait_for(name: str, port: int) -> None:
    """Until it listens."""
    end = time.monotonic() + 20
    while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
        if time.monotonic() > end:
            raise SystemExit(f"{name} did not start")
        time.sleep(0.01)
