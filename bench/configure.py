"""Nodes that are configured by the KV bucket: how soon one serves 10,000 customers, in how much memory, and how soon a
change of one customer is on every node. Writes ``bench/results/configure.json``.

`apply` is the whole command: a process starts, checks the file and runs its tests, compares, writes, and waits until
both nodes have acknowledged. `acknowledged` is the part from the write to the last acknowledgement. `start_cpu_s` is
the processor time of the start: on a busy machine the seconds beside it are those of its neighbours.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from programs import cpu_seconds, free_port, nats_server, program, resident_mib, write_results

from vrsky_fast.config import parse
from vrsky_fast.config.stored import Stored
from vrsky_fast.control.buckets import NODES, PIPELINES, make
from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.revisions import history, write
from vrsky_fast.control.rollout import wait

CUSTOMERS, BYTES, NODE_COUNT, CHANGES, COMMANDS = 10_000, 4096, 2, 100, 20
IDLE_SECONDS = 20.0
TARGETS = {"start_s": 5.0, "resident_mib": 400.0, "apply_p99_s": 1.0, "rollback_s": 1.0}
CLI = [sys.executable, "-m", "vrsky_fast.cli"]


@dataclass
class Figures:
    start_s: float
    start_cpu_s: float
    resident_mib: float
    peak_mib: float
    idle_percent: float
    acknowledged_p50_s: float
    acknowledged_p99_s: float
    apply_p50_s: float
    apply_p99_s: float
    rollback_s: float


def text_of(number: int, version: int) -> str:
    """A pipeline of about 4 KB."""
    fields = "\n".join(f"      order.field{at}: '\"a value of the field {at}\"'" for at in range(20))
    text = f"""\
customer: customer-{number}
pipeline: orders
in:
  http: {{path: /orders, content_types: [json]}}
steps:
  - filter: order.total > {number}.0 && order.version != {version}
  - set:
{fields}
out:
  file: {{path: orders.ndjson}}
tests:
  - name: a small one is dropped
    in: {{json: {{order: {{total: -1, version: 0}}}}}}
    dropped: true
"""
    return text + f"# {'padding ' * ((BYTES - len(text)) // 8)}\n"


def stored(number: int, version: int = 1) -> Stored:
    text = text_of(number, version)
    return Stored.of(parse("orders.yaml", text.encode(), Path("orders.yaml")), "orders.yaml").by("bench", "bench")


async def fill(url: str) -> int:
    """The size of one document."""
    size = 0
    async with connect(endpoint_of(url)) as client:
        for bucket in (PIPELINES, NODES):
            await make(client, bucket, None)
        for first in range(0, CUSTOMERS, 100):
            documents = [stored(number) for number in range(first, first + 100)]
            size = len(documents[0].encode())
            await asyncio.gather(*(write(client, one, 0) for one in documents))
    return size


async def acknowledged(url: str) -> list[float]:
    """Seconds from the write to the last node, of changes one after the other."""
    took = []
    async with connect(endpoint_of(url)) as client:
        for change in range(CHANGES):
            document = stored(change * 7, change + 2)
            last = (await history(client, document.key))[-1].sequence
            began = time.monotonic()
            sequence = await write(client, document, last)
            states = await wait(client, {document.key: sequence}, 30)
            took.append(time.monotonic() - began)
            assert [one.state for one in states] == ["applied"] * NODE_COUNT, states
    return took


def command(*arguments: str, url: str) -> float:
    began = time.monotonic()
    done = subprocess.run([*CLI, *arguments, "--nats", url, "--yes", "--json"], capture_output=True, text=True)
    took = time.monotonic() - began
    report = json.loads(done.stdout)
    assert report["ok"], done.stdout + done.stderr
    assert len(report["nodes"]) == NODE_COUNT, done.stdout
    return took


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def peak_mib(pid: int) -> float:
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@contextmanager
def node(folder: Path, url: str, number: int) -> Iterator[subprocess.Popen[str]]:
    listen = f"127.0.0.1:{free_port()}"
    arguments = ["node", "--nats", url, "--listen", listen, "--data", str(folder / f"node-{number}"), "--json"]
    with program([*CLI, *arguments], '"ready"') as process:
        yield process


def measure(folder: Path) -> Figures:
    with nats_server(folder / "js") as server, ExitStack() as stack:
        url = f"nats://127.0.0.1:{server.port}"
        size = asyncio.run(fill(url))
        print(f"{CUSTOMERS:,} customers of one pipeline each, {size:,} bytes a document")
        began = time.monotonic()
        first = stack.enter_context(node(folder, url, 0))
        start, start_cpu = time.monotonic() - began, cpu_seconds(first.pid)
        peak = peak_mib(first.pid)
        for number in range(1, NODE_COUNT):
            stack.enter_context(node(folder, url, number))
        time.sleep(5)
        began, before = time.monotonic(), cpu_seconds(first.pid)
        time.sleep(IDLE_SECONDS)
        idle = (cpu_seconds(first.pid) - before) / (time.monotonic() - began) * 100
        took = asyncio.run(acknowledged(url))
        applies = []
        for change in range(COMMANDS):
            file = folder / "orders.yaml"
            file.write_text(text_of(5_000 + change, 2))
            applies.append(command("apply", str(file), url=url))
        rollback = command("rollback", "customer-5000/orders", url=url)
        return Figures(
            start,
            start_cpu,
            resident_mib(first.pid),
            max(peak, peak_mib(first.pid)),
            idle,
            statistics.median(took),
            percentile(took, 0.99),
            statistics.median(applies),
            percentile(applies, 0.99),
            rollback,
        )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="vrsky-bench-") as folder:
        (Path(folder) / "js").mkdir()
        found = measure(Path(folder))
    for name, value in asdict(found).items():
        target = f"  (target {TARGETS[name]:g})" if name in TARGETS else ""
        print(f"  {name:<20} {value:8.2f}{target}")
    rows = {name: round(value, 3) for name, value in asdict(found).items()}
    write_results("configure", {"targets": TARGETS, "rows": rows})


if __name__ == "__main__":
    main()
