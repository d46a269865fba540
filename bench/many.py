"""Many small pipeline files in one folder: how soon a node serves them all, and what it uses while nothing flows.
Writes ``bench/results/many.json``. One message of some of them has to be delivered."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from programs import cpu_seconds, free_port, program, resident_mib, write_results

PIPELINES, CUSTOMERS, ASKED = 10_000, 1_000, 100
# How long the idle node is watched.
SECONDS = 30.0
TARGETS = {"ready_s": 15.0, "idle_percent": 3.0}


@dataclass
class Figures:
    ready_s: float
    idle_percent: float
    resident_mib: float
    reloaded_s: float


def write(folder: Path, number: int, version: int) -> None:
    pipeline = {
        "customer": f"customer-{number % CUSTOMERS}",
        "pipeline": f"pipeline-{number}",
        "in": {"http": {"path": f"/{number}", "content_types": ["json"]}},
        "steps": [{"filter": f"n > {number}"}, {"set": {"version": version}}],
        "out": {"file": {"path": f"{number}.ndjson"}},
    }
    (folder / f"{number}.yaml").write_text(json.dumps(pipeline))


def lines_of(file: Path) -> list[str]:
    """Those that are whole: one may be written at the moment."""
    return file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []


def deliver(listen: str, number: int, version: int, files: Path) -> None:
    """Posts a message, and waits until it is delivered by this version."""
    url = f"http://{listen}/in/customer-{number % CUSTOMERS}/{number}"
    body = json.dumps({"n": number + 1}).encode()
    file = files / f"customer-{number % CUSTOMERS}" / f"{number}.ndjson"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 202
        while not (lines := lines_of(file)) and time.monotonic() < until:
            time.sleep(0.01)
        if lines and json.loads(lines[-1])["version"] == version:
            return
        time.sleep(0.2)
    raise SystemExit(f"pipeline {number} did not deliver by version {version}")


def measure(folder: Path) -> Figures:
    pipelines, data, listen = folder / "pipelines", folder / "data", f"127.0.0.1:{free_port()}"
    pipelines.mkdir()
    for number in range(PIPELINES):
        write(pipelines, number, 1)
    command = [sys.executable, "-m", "vrsky_fast.cli", "run", str(pipelines), "--data", str(data), "--listen", listen]
    began = time.monotonic()
    with program([*command, "--json"], '"ready"') as process:
        ready = time.monotonic() - began
        for number in range(0, PIPELINES, PIPELINES // ASKED):
            deliver(listen, number, 1, data / "files")
        time.sleep(5)
        began, before = time.monotonic(), cpu_seconds(process.pid)
        time.sleep(SECONDS)
        idle = (cpu_seconds(process.pid) - before) / (time.monotonic() - began)
        began = time.monotonic()
        write(pipelines, 1, 2)
        deliver(listen, 1, 2, data / "files")
        return Figures(ready, idle * 100, resident_mib(process.pid), time.monotonic() - began)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="vrsky-bench-") as folder:
        found = measure(Path(folder))
    print(f"\n{PIPELINES:,} pipelines of {CUSTOMERS:,} customers in one folder")
    print(f"  ready after {found.ready_s:.1f} s (target {TARGETS['ready_s']:.0f})")
    print(f"  idle: {found.idle_percent:.1f} % of a core (target {TARGETS['idle_percent']:.0f})")
    print(f"  memory: {found.resident_mib:.0f} MiB")
    print(f"  a changed file is served after {found.reloaded_s:.1f} s")
    rows = {name: round(value, 2) for name, value in asdict(found).items()}
    write_results("many", {"targets": TARGETS, "rows": rows})


if __name__ == "__main__":
    main()
