"""How fast messages pass, next to the limits: prints ratios and writes ``bench/results/pipeline.json``.

    load ──► nats-server ──► bare relay | vrsky run | nats-py + xmltodict ──► nats-server ──► load

Every system runs as a user would run it, in a process of its own, against the same real nats-server.
The load counts what is delivered and compares every payload; a run with a missing or wrong message
fails. Runs of a block take turns, so that a drift of the machine's speed meets all of them; the median
of each system is divided by the median of the block's limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import nats
import xmltodict
from nats.js.api import ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig
from programs import Server, cpu_seconds, free_port, nats_server, program, write_results

from vrsky_fast import Message, Pipeline

HERE = Path(__file__).parent
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
# What is POSTed to, and the lane that takes it.
POSTED: dict[str, Any] = {
    "in": {"http": {"path": "/orders", "auth": "none"}},
    "steps": [CONVERT, {"filter": "order.total < 0.0"}],
    "out": {"nats": {"subject": "http.out"}},
    "limits": {"backlog": 10_000},
}
LANE = "VRSKY_LOGIC_T10000_0"
WORDS = {
    "S0": "relay",
    "S1": "XML -> JSON",
    "S2": "+ filter",
    "S3": "+ script",
    "http": "POST to durable 202",
    "keyed": "key",
    "whole": "with its steps",
}
# First targets, as ratios to the limit of the block.
TARGETS = {
    "core": {"S0": 0.85, "S1": 0.6, "S2": 0.7, "S3": 0.3},
    "jetstream": {"S0": 0.85, "S3": 0.7},
    "backlog": {"S0": 0.85, "S3": 0.7},
    "http": {"http": 0.7},
}
# First targets, as multiples of nats-py + xmltodict in the same block.
TIMES_NATS_PY = {"jetstream": {"S1": 12}, "backlog": {"S1": 12}}


@dataclass
class System:
    """One thing to measure: its name in the table and how the load meets it."""

    name: str
    stage: str
    count: int
    source: str
    target: str
    warm: int = 2_000
    expect: Path | None = None
    pid: int = 0
    server_pid: int = 0
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    server_cpu_us: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.rates)


def vrsky(folder: Path, name: str, pipeline: dict[str, Any], port: int, listen: str = "127.0.0.1:0") -> list[str]:
    """The command line of the system under test, with its pipeline file written."""
    path = folder / f"{name}.yaml"
    # JSON is YAML.
    path.write_text(json.dumps({"customer": "acme", "pipeline": name.lower(), **pipeline}))
    data = str(folder / f"data-{name}")
    nats_url = f"nats://127.0.0.1:{port}"
    return [*VRSKY, "run", str(path), "--nats", nats_url, "--data", data, "--listen", listen, "--json"]


def expected(folder: Path, stage: str) -> Path:
    """What order 000000000 has to come out as; checked against xmltodict, then compared byte by byte."""
    order = subprocess.run([NATIVE, "order"], capture_output=True, check=True).stdout[:-1]
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
    (result,) = pipeline.process([Message(payload=order)])
    (output,) = result.outputs
    if stage == "S0":
        assert output.payload == order
    else:
        wanted = xmltodict.parse(order)
        wanted["order"]["total"] = float(wanted["order"]["total"])
        if stage == "S3":
            wanted["order"]["net"] = wanted["order"]["total"] / 1.077
        assert json.loads(output.payload) == wanted, output.payload
    path = folder / f"expected-{stage}"
    path.write_bytes(output.payload)
    return path


def load(system: System, port: int, *more: str) -> float:
    command = [NATIVE, "load", "--server", f"127.0.0.1:{port}", "--in", system.source, "--out", system.target]
    command += ["--count", str(system.count), "--warm", str(system.warm), "--window", str(WINDOW), *more]
    if system.stage in ("S2", "S3"):
        command.append("--filtered")
    if system.expect:
        command += ["--expect", str(system.expect)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if answer.returncode != 0:
        raise SystemExit(f"{system.name}: {answer.stdout}{answer.stderr}")
    return float(json.loads(answer.stdout)["rate"])


def load_stream(system: System, port: int, backlog: bool) -> float:
    """The load of a stream that `make_streams` has made."""
    stream = f"IN-{system.source.removeprefix('js.in.')}"
    return load(
        system, port, *(["--backlog", "--stream", stream, "--durable", "bench"] if backlog else ["--confirmed"])
    )


def core_pipeline(source: str, target: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {"in": {"nats": {"subject": source}}, "steps": steps, "out": {"nats": {"subject": target}}}


def stream_pipeline(name: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """From one stream of `make_streams` to the other."""
    source = {"subject": f"js.in.{name}", "mode": "jetstream", "stream": f"IN-{name}", "durable": "bench"}
    out = {"nats": {"subject": f"js.out.{name}", "mode": "jetstream"}}
    return {"in": {"nats": source}, "steps": steps, "out": out}


def core(folder: Path, server: Server, scale: float, repeats: int) -> list[System]:
    """Core NATS in and out. The first system is the limit."""
    port = server.port
    systems = [System("bare relay", "limit", int(600_000 * scale), "in.limit", "out.limit", warm=20_000)]
    with ExitStack() as running:
        relay = [NATIVE, "relay", "--server", f"127.0.0.1:{port}", "--in", "in.limit", "--out", "out.limit"]
        systems[0].pid = running.enter_context(program(relay, "ready")).pid
        for stage, steps in STAGES.items():
            source, target = f"in.{stage}", f"out.{stage}"
            pipeline = core_pipeline(source, target, steps)
            pid = running.enter_context(program(vrsky(folder, f"core-{stage}", pipeline, port), '"ready"')).pid
            count = int((600_000 if stage == "S0" else 400_000) * scale)
            expect = expected(folder, stage)
            systems.append(System(f"vrsky {stage}", stage, count, source, target, 20_000, expect, pid))
        for stage in STAGES:
            source, target = f"py.in.{stage}", f"py.out.{stage}"
            command = [sys.executable, str(HERE / "baseline.py"), stage, "--url", f"nats://127.0.0.1:{port}"]
            pid = running.enter_context(program([*command, "--in", source, "--out", target], "ready")).pid
            count = int((100_000 if stage == "S0" else 30_000) * scale)
            systems.append(System(f"nats-py {stage}", stage, count, source, target, pid=pid))
        take_turns(systems, repeats, server, lambda system: load(system, port))
    return systems


async def make_streams(port: int, names: list[str]) -> None:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    context = client.jetstream()
    for name in names:
        work = RetentionPolicy.WORK_QUEUE
        await context.add_stream(StreamConfig(f"IN-{name}", subjects=[f"js.in.{name}"], retention=work))
        await context.add_consumer(f"IN-{name}", ConsumerConfig(durable_name="bench", max_ack_pending=-1, ack_wait=30))
        # What has been counted may go, or the disk would be measured too.
        kept = {"max_msgs": 50_000, "discard": DiscardPolicy.OLD}
        await context.add_stream(StreamConfig(f"OUT-{name}", subjects=[f"js.out.{name}"], **kept))
    await client.close()


def jetstream(folder: Path, server: Server, scale: float, repeats: int, backlog: bool = False) -> list[System]:
    """Stream in, stream out, file storage: pull, publish, PubAck, ack. The first system is the limit. With
    `backlog` everything is stored before the first message is pulled, so that the publisher takes nothing of
    the machine from those who are measured."""
    port = server.port
    names = ["limit", *STAGES, *(f"py-{stage}" for stage in STAGES), "py-plain"]
    asyncio.run(make_streams(port, names))

    def system(name: str, label: str, stage: str, count: int, pid: int, expect: Path | None = None) -> System:
        warm = 0 if backlog else 5_000
        return System(label, stage, int(count * scale), f"js.in.{name}", f"js.out.{name}", warm, expect, pid)

    with ExitStack() as running:
        relay = [NATIVE, "durable-relay", "--server", f"127.0.0.1:{port}", "--stream", "IN-limit"]
        pid = running.enter_context(program([*relay, "--durable", "bench", "--out", "js.out.limit"], "ready")).pid
        systems = [system("limit", "bare durable relay", "limit", 200_000, pid)]
        for stage, steps in STAGES.items():
            command = vrsky(folder, f"js-{stage}", stream_pipeline(stage, steps), port)
            pid = running.enter_context(program(command, '"ready"')).pid
            systems.append(system(stage, f"vrsky {stage}", stage, 200_000, pid, expected(folder, stage)))
        for stage in STAGES:
            command = [sys.executable, str(HERE / "baseline.py"), stage, "--url", f"nats://127.0.0.1:{port}"]
            command += ["--in", f"js.in.py-{stage}", "--out", f"js.out.py-{stage}"]
            command += ["--stream", f"IN-py-{stage}", "--durable", "bench"]
            pid = running.enter_context(program(command, "ready")).pid
            systems.append(system(f"py-{stage}", f"nats-py {stage}", stage, 20_000, pid))
        command = [sys.executable, str(HERE / "baseline.py"), "S1", "--url", f"nats://127.0.0.1:{port}"]
        command += ["--in", "js.in.py-plain", "--out", "js.out.py-plain", "--one-by-one"]
        command += ["--stream", "IN-py-plain", "--durable", "bench"]
        pid = running.enter_context(program(command, "ready")).pid
        systems.append(system("py-plain", "one by one, nats-py S1", "S1", 5_000, pid))

        take_turns(systems, repeats, server, lambda system: load_stream(system, port, backlog))
    return systems


async def stored(port: int, stream: str) -> int:
    """How many messages a stream has ever taken."""
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    info = await client.jetstream().stream_info(stream)
    await client.close()
    return int(info.state.last_seq)


def post(system: System, port: int, stream: str) -> float:
    """One run of the HTTP load; every 202 has to stand in the stream."""
    before = asyncio.run(stored(port, stream))
    command = [NATIVE, "http-load", "--target", system.source, "--path", system.target, "--count", str(system.count)]
    command += ["--keyed"] if system.stage == "keyed" else []
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300)
    taken = asyncio.run(stored(port, stream)) - before
    if answer.returncode != 0 or taken != system.count:
        raise SystemExit(f"{system.name}: {taken} stored; {answer.stdout}{answer.stderr}")
    return float(json.loads(answer.stdout)["rate"])


def http(folder: Path, server: Server, scale: float, repeats: int) -> list[System]:
    """POST to durable 202. The sources do the same: read, publish, wait for the PubAck, answer; and their
    streams are emptied by the same drain. `with a key` has an `Idempotency-Key` in each request, which is recorded
    first. The last row is a node that runs the steps of what it stored in the same thread meanwhile, as `vrsky run`
    without `--type` does."""
    lane, count, port = LANE, int(100_000 * scale), server.port
    asyncio.run(make_streams(port, ["http"]))
    limit, source, whole = (f"127.0.0.1:{free_port()}" for _ in range(3))
    (own_server := folder / "whole").mkdir()
    with ExitStack() as running:

        def start(command: list[str], ready: str) -> int:
            return running.enter_context(program(command, ready)).pid

        second = running.enter_context(nats_server(own_server))
        relay = [NATIVE, "http-relay", "--server", f"127.0.0.1:{port}", "--listen", limit, "--subject", "js.in.http"]
        bare = start(relay, "ready")
        node = start([*vrsky(folder, "source", POSTED, port, source), "--type", "incoming"], '"ready"')
        both = start(vrsky(folder, "whole", POSTED, second.port, whole), '"ready"')
        for stream, durable in (("IN-http", "bench"), (lane, "logic")):
            drain = [NATIVE, "drain", "--server", f"127.0.0.1:{port}", "--stream", stream, "--durable", durable]
            start(drain, "ready")
        path = "/in/acme/orders"
        places = {
            "bare hyper": (System("bare hyper", "limit", count, limit, "/", 0, None, bare), server, "IN-http"),
            "vrsky in": (System("vrsky in", "http", count, source, path, 0, None, node), server, lane),
            "vrsky in, keyed": (System("vrsky in, keyed", "keyed", count, source, path, 0, None, node), server, lane),
            "vrsky whole": (System("vrsky whole", "whole", count, whole, path, 0, None, both), second, lane),
        }
        systems = [system for system, _, _ in places.values()]
        systems[-1].server_pid = second.pid

        def measure(system: System) -> float:
            _, where, stream = places[system.name]
            return post(system, where.port, stream)

        take_turns(systems, repeats, server, measure)
    return systems


def take_turns(systems: list[System], repeats: int, server: Server, measure: Callable[[System], float]) -> None:
    for turn in range(repeats):
        for system in systems:
            print(f"\r\033[K  turn {turn + 1} of {repeats}: {system.name}", end="", file=sys.stderr, flush=True)
            pids = system.pid, system.server_pid or server.pid
            before = [cpu_seconds(pid) for pid in pids]
            system.rates.append(measure(system))
            own, servers = (cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True))
            messages = (system.count + system.warm) / 1e6
            system.cpu_us.append(own / messages)
            system.server_cpu_us.append(servers / messages)
    print("\r\033[K", end="", file=sys.stderr)


def table(block: str, systems: list[System]) -> list[dict[str, Any]]:
    limit = systems[0]
    by_hand = {system.stage: system.median for system in systems if system.name.startswith("nats-py")}
    print(f"\n{block}: median of {len(limit.rates)} runs, {limit.name} = 1")
    print("  CPU of the program and of nats-server, in microseconds a message")
    print(f"  {'system':<32}{'messages/s':>12}{'ratio':>8}{'target':>8}{'x nats-py':>13}{'CPU':>8}{'server':>8}")
    rows = []
    for system in systems:
        target = TARGETS[block].get(system.stage) if system.name.startswith("vrsky") else None
        ours = system.name.startswith("vrsky")
        faster = system.median / by_hand[system.stage] if ours and system.stage in by_hand else None
        ratio = system.median / limit.median
        wanted = TIMES_NATS_PY.get(block, {}).get(system.stage) if faster else None
        times = "" if faster is None else f"{faster:.1f}" + (f" of {wanted}" if wanted else "")
        own, servers = statistics.median(system.cpu_us), statistics.median(system.server_cpu_us)
        cells = f"{ratio:>8.2f}{target if target else '':>8}{times:>13}{own:>8.1f}{servers:>8.1f}"
        print(f"  {system.name + ' ' + WORDS.get(system.stage, ''):<32}{system.median:>12,.0f}{cells}")
        rows.append(
            {
                "block": block,
                "system": system.name,
                "stage": system.stage,
                "rates": system.rates,
                "median": system.median,
                "ratio": round(ratio, 3),
                "cpu_us": round(own, 2),
                "server_cpu_us": round(servers, 2),
                "target": target,
                "times_nats_py": round(faster, 1) if faster else None,
                "times_nats_py_target": wanted,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, one run: does it work?")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["core", "jetstream", "backlog", "http"])
    options = parser.parse_args()
    scale, repeats = (0.1, 1) if options.quick else (1.0, options.repeats)
    blocks = {"core": core, "jetstream": jetstream, "backlog": partial(jetstream, backlog=True), "http": http}
    rows: list[dict[str, Any]] = []
    for name, block in blocks.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="vrsky-bench-") as folder, nats_server(Path(folder)) as server:
                rows += table(name, block(Path(folder), server, scale, repeats))
    write_results("pipeline", {"window": WINDOW, "rows": rows})


if __name__ == "__main__":
    main()
