"""How long a small POST takes while another customer's clients post large bodies to the same node: prints the times
of each turn side by side and writes ``bench/results/beside.json``.

    64 B, one client of `small` ────────┐
                                        ├──► vrsky run ──► embedded nats-server
    8 MB, four clients of `large` ──────┘

A 202 is sent when the server's PubAck is there, so that these times include it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from programs import free_port, program, write_results

NATIVE = os.environ["BENCH_NATIVE"]
CLIENTS, LARGE, SMALL = 4, 8_000_000, 64
TURNS, COUNT = 5, 500
# Above this a second connection for PubAcks would be worth its cost.
TARGET_MS = 100.0
PIPELINE = {
    "in": {"http": {"path": "/orders", "auth": "none"}},
    "steps": [{"filter": '"ce-kept" in headers'}],
    "out": {"file": {"path": "orders.ndjson"}},
    "limits": {"backlog": 10_000},
}


def http_load(listen: str, customer: str, size: int, clients: int, count: int) -> list[str]:
    where = ["--target", listen, "--path", f"/in/{customer}/orders", "--type", "application/octet-stream"]
    return [NATIVE, "http-load", *where, "--bytes", f"{size}", "--connections", f"{clients}", "--count", f"{count}"]


def small(listen: str) -> dict[str, float]:
    answer = subprocess.run(http_load(listen, "small", SMALL, 1, COUNT), capture_output=True, text=True, timeout=300)
    if answer.returncode != 0:
        raise SystemExit(f"not every small message was accepted: {answer.stdout}{answer.stderr}")
    times: dict[str, float] = json.loads(answer.stdout)
    return times


def large(listen: str) -> subprocess.Popen[str]:
    command = http_load(listen, "large", LARGE, CLIENTS, 1_000_000_000)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def measure(folder: Path) -> dict[str, list[dict[str, float]]]:
    (folder / "pipelines").mkdir()
    for customer in ("small", "large"):
        written = json.dumps({"customer": customer, "pipeline": "orders", **PIPELINE})
        (folder / "pipelines" / f"{customer}.yaml").write_text(written)
    listen = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "vrsky_fast.cli", "run", str(folder / "pipelines"), "--listen", listen]
    found: dict[str, list[dict[str, float]]] = {"alone": [], "beside": []}
    with ExitStack() as running:
        running.enter_context(program([*command, "--data", str(folder / "data"), "--json"], '"ready"'))
        small(listen)
        for turn in range(TURNS):
            print(f"\r\033[K  turn {turn + 1} of {TURNS}", end="", file=sys.stderr, flush=True)
            found["alone"].append(small(listen))
            other = large(listen)
            try:
                found["beside"].append(small(listen))
                if other.poll() is not None:
                    raise SystemExit(f"the large messages ended: {other.communicate()}")
            finally:
                other.kill()
                other.communicate()
    print("\r\033[K", end="", file=sys.stderr)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="vrsky-bench-") as folder:
        found = measure(Path(folder))
    print(
        f"\na small POST to durable 202: median of {TURNS} turns of {COUNT:,}; p99 is to stay below {TARGET_MS:.0f} ms"
    )
    print(f"  {'':<42}{'p50 ms':>10}{'p99 ms':>10}")
    rows = {}
    for name, words in (("alone", "alone"), ("beside", f"beside {CLIENTS} clients posting {LARGE // 1_000_000} MB")):
        p50, p99 = (statistics.median(one[key] for one in found[name]) / 1e3 for key in ("p50_us", "p99_us"))
        print(f"  {words:<42}{p50:>10.2f}{p99:>10.2f}")
        rows[name] = {
            "p50_ms": round(p50, 3),
            "p99_ms": round(p99, 3),
            "p99_us": [one["p99_us"] for one in found[name]],
        }
    write_results("beside", {"target_ms": TARGET_MS, "rows": rows})


if __name__ == "__main__":
    main()
