"""The systems that are measured: their stages, how each is started, and what one run of the load finds."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import xmltodict
from programs import Server, family_cpu_seconds

from vrsky_fast import Message, Pipeline

NATIVE = os.environ["BENCH_NATIVE"]
VRSKY = [sys.executable, "-m", "vrsky_fast.cli"]
WINDOW = 20_000
SCRIPT = "export default (msg, ctx) => { msg.order.net = msg.order.total / 1.077; return msg }"
CONVERT = {"convert": {"from": "xml", "numbers": ["order.total"]}}
FILTER = {"filter": 'order.total > 100.0 && order.country == "CH"'}
STAGES: dict[str, list[dict[str, Any]]] = {
    "S0": [],
    "S1": [CONVERT],
    "S2": [CONVERT, FILTER],
    "S3": [CONVERT, FILTER, {"script": {"code": SCRIPT}}],
}
Found = dict[str, Any]
"""What a load prints."""


@dataclass
class System:
    """One thing to measure: its name in the table, how the load meets it, and what each run has found. The CPU is in
    microseconds a message: of the system, of the server and of the load."""

    name: str
    stage: str
    count: int
    source: str
    target: str
    warm: int = 2_000
    expect: list[str] = field(default_factory=list)
    pids: tuple[int, ...] = ()
    server_pid: int = 0
    paced: int = 0
    """Messages a second; 0 is as many as it takes."""
    found: list[Found] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    server_cpu_us: list[float] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        return [float(one["rate"]) for one in self.found]

    @property
    def median(self) -> float:
        return statistics.median(self.rates)

    def paced_at(self, rate: int) -> System:
        """The same, to be measured at this rate."""
        return replace(self, name=f"{self.name} at {rate:,}/s", paced=rate, found=[], cpu_us=[], server_cpu_us=[])

    def median_of(self, figure: str) -> float:
        return statistics.median(float(one[figure]) for one in self.found)


def vrsky(folder: Path, name: str, pipeline: dict[str, Any], port: int, listen: str = "127.0.0.1:0") -> list[str]:
    """The command line of the system under test, with its pipeline file written."""
    path = folder / f"{name}.yaml"
    # JSON is YAML.
    path.write_text(json.dumps({"customer": "acme", "pipeline": name.lower(), **pipeline}))
    data = str(folder / f"data-{name}")
    nats_url = f"nats://127.0.0.1:{port}"
    return [*VRSKY, "run", str(path), "--nats", nats_url, "--data", data, "--listen", listen, "--json"]


def order(number: int) -> bytes:
    return subprocess.run([NATIVE, "order", "--number", str(number)], capture_output=True, check=True).stdout[:-1]


def expected(folder: Path, stage: str) -> list[str]:
    """What the orders 0 and 1 have to come out as, as options of the load; checked against xmltodict, then compared
    byte by byte. Where the filter drops order 1, all are as order 0."""
    payloads = [payload for number in (0, 1) if (payload := processed(stage, order(number))) is not None]
    return written(folder / f"expected-{stage}", payloads)


def written(path: Path, payloads: list[bytes]) -> list[str]:
    options = []
    for option, payload in zip(("--expect", "--expect-odd"), payloads, strict=False):
        file = path.with_name(path.name + option)
        file.write_bytes(payload)
        options += [option, str(file)]
    return options


def processed(stage: str, payload: bytes) -> bytes | None:
    pipeline = Pipeline.from_json(
        json.dumps(
            {
                "customer": "acme",
                "pipeline": "expected",
                "in": {"nats": {"subject": "in"}},
                "steps": STAGES[stage],
                "out": {"nats": {"subject": "out"}},
            }
        ),
        {},
    )
    (result,) = pipeline.process([Message(payload=payload)])
    if not result.outputs:
        return None
    (output,) = result.outputs
    if stage == "S0":
        assert output.payload == payload
        return payload
    wanted = xmltodict.parse(payload)
    wanted["order"]["total"] = float(wanted["order"]["total"])
    if stage == "S3":
        wanted["order"]["net"] = wanted["order"]["total"] / 1.077
    assert json.loads(output.payload) == wanted, output.payload
    return output.payload


def native(system: str, command: list[str]) -> Found:
    """One run of a load. What is wrong or incomplete ends the bench, without a rate."""
    answer = subprocess.run([NATIVE, *command], capture_output=True, text=True, timeout=300)
    if answer.returncode != 0:
        raise SystemExit(f"{system}: {answer.stdout}{answer.stderr}")
    found: Found = json.loads(answer.stdout)
    return found


def load(system: System, port: int, *more: str) -> Found:
    command = ["load", "--server", f"127.0.0.1:{port}", "--in", system.source, "--out", system.target, *system.expect]
    command += ["--count", str(system.count), "--warm", str(system.warm), "--window", str(WINDOW), *more]
    if system.stage in ("S2", "S3"):
        command.append("--filtered")
    return native(system.name, command)


def take_turns(systems: list[System], repeats: int, server: Server, measure: Callable[[System], Found]) -> None:
    for turn in range(repeats):
        for system in systems:
            print(f"\r\033[K  turn {turn + 1} of {repeats}: {system.name}", end="", file=sys.stderr, flush=True)
            pids = [system.pids, (system.server_pid or server.pid,)]
            before = [sum(map(family_cpu_seconds, group)) for group in pids]
            system.found.append(measure(system))
            own, servers = (sum(map(family_cpu_seconds, group)) - was for group, was in zip(pids, before, strict=True))
            messages = (system.count + system.warm) / 1e6
            system.cpu_us.append(own / messages)
            system.server_cpu_us.append(servers / messages)
    print("\r\033[K", end="", file=sys.stderr)
