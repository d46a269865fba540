"""How fast messages pass, next to the limits: prints ratios and writes ``bench/results/pipeline.json``.

    load ──► nats-server ──► bare relay | vrsky run | nats-py + xmltodict ──► nats-server ──► load

Every system runs as a user would run it, in a process of its own, against the same real nats-server.
The load counts what is delivered and checks every payload; a run with a missing, double or wrong message ends the
bench, and no rate is printed. Runs of a block take turns, so that a drift of the machine's speed meets all of them;
the median of each system is divided by the median of the block's limit.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import baseline
from programs import Server, free_port, nats_server, program, write_results
from sources import csv_rows, mqtt
from streams import LANE, make_streams, stored
from systems import (
    CONVERT,
    NATIVE,
    STAGES,
    WINDOW,
    Found,
    System,
    expected,
    load,
    native,
    order,
    take_turns,
    vrsky,
    written,
)

from end_to_end import end_to_end

HERE = Path(__file__).parent
# What is POSTed to, and the lane that takes it.
POSTED: dict[str, Any] = {
    "in": {"http": {"path": "/orders", "auth": "none"}},
    "steps": [CONVERT, {"filter": "order.total < 0.0"}],
    "out": {"nats": {"subject": "http.out"}},
    "limits": {"backlog": 10_000},
}
WORDS = {
    "S0": "relay",
    "S1": "XML -> JSON",
    "S2": "+ filter",
    "S3": "+ script",
    "http": "POST to durable 202",
    "keyed": "key",
    "whole": "with its steps",
    "csv": "rows to durable",
    "mqtt": "QoS 1 to durable",
}
# First targets, as ratios to the limit of the block.
TARGETS = {
    "core": {"S0": 0.85, "S1": 0.6, "S2": 0.7, "S3": 0.3},
    "jetstream": {"S0": 0.85, "S3": 0.7},
    "backlog": {"S0": 0.85, "S3": 0.7},
    "http": {"http": 0.7},
    "end-to-end": {},
    "csv": {"csv": 0.6},
    "mqtt": {"mqtt": 0.6},
}
# First targets, as multiples of nats-py + xmltodict in the same block.
TIMES_NATS_PY = {"jetstream": {"S1": 12}, "backlog": {"S1": 12}}


def load_stream(system: System, port: int, backlog: bool) -> Found:
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


def by_hand(folder: Path, stage: str) -> list[str]:
    """What nats-py and xmltodict make of the orders 0 and 1, as options of the load."""
    payloads = [payload for number in (0, 1) if (payload := baseline.STAGES[stage](order(number))) is not None]
    return written(folder / f"by-hand-{stage}", payloads)


def core(folder: Path, server: Server, scale: float, repeats: int) -> list[System]:
    """Core NATS in and out. The first system is the limit."""
    port = server.port
    same = expected(folder, "S0")
    systems = [System("bare relay", "limit", int(600_000 * scale), "in.limit", "out.limit", 20_000, same)]
    with ExitStack() as running:
        relay = [NATIVE, "relay", "--server", f"127.0.0.1:{port}", "--in", "in.limit", "--out", "out.limit"]
        systems[0].pids = (running.enter_context(program(relay, "ready")).pid,)
        for stage, steps in STAGES.items():
            source, target = f"in.{stage}", f"out.{stage}"
            pipeline = core_pipeline(source, target, steps)
            pid = running.enter_context(program(vrsky(folder, f"core-{stage}", pipeline, port), '"ready"')).pid
            count = int((600_000 if stage == "S0" else 400_000) * scale)
            expect = expected(folder, stage)
            systems.append(System(f"vrsky {stage}", stage, count, source, target, 20_000, expect, (pid,)))
        for stage in STAGES:
            source, target = f"py.in.{stage}", f"py.out.{stage}"
            command = [sys.executable, str(HERE / "baseline.py"), stage, "--url", f"nats://127.0.0.1:{port}"]
            pid = running.enter_context(program([*command, "--in", source, "--out", target], "ready")).pid
            count = int((100_000 if stage == "S0" else 30_000) * scale)
            expect = by_hand(folder, stage)
            systems.append(System(f"nats-py {stage}", stage, count, source, target, 2_000, expect, (pid,)))
        take_turns(systems, repeats, server, lambda system: load(system, port))
    return systems


def jetstream(folder: Path, server: Server, scale: float, repeats: int, backlog: bool = False) -> list[System]:
    """Stream in, stream out, file storage: pull, publish, PubAck, ack. The first system is the limit. With
    `backlog` everything is stored before the first message is pulled, so that the publisher takes nothing of
    the machine from those who are measured."""
    port = server.port
    names = ["limit", *STAGES, *(f"py-{stage}" for stage in STAGES), "py-plain"]
    asyncio.run(make_streams(port, names))

    def system(name: str, label: str, stage: str, count: int, pid: int, expect: list[str]) -> System:
        warm = 0 if backlog else 5_000
        return System(label, stage, int(count * scale), f"js.in.{name}", f"js.out.{name}", warm, expect, (pid,))

    with ExitStack() as running:
        relay = [NATIVE, "durable-relay", "--server", f"127.0.0.1:{port}", "--stream", "IN-limit"]
        pid = running.enter_context(program([*relay, "--durable", "bench", "--out", "js.out.limit"], "ready")).pid
        systems = [system("limit", "bare durable relay", "limit", 200_000, pid, expected(folder, "S0"))]
        for stage, steps in STAGES.items():
            command = vrsky(folder, f"js-{stage}", stream_pipeline(stage, steps), port)
            pid = running.enter_context(program(command, '"ready"')).pid
            systems.append(system(stage, f"vrsky {stage}", stage, 200_000, pid, expected(folder, stage)))
        for stage in STAGES:
            command = [sys.executable, str(HERE / "baseline.py"), stage, "--url", f"nats://127.0.0.1:{port}"]
            command += ["--in", f"js.in.py-{stage}", "--out", f"js.out.py-{stage}"]
            command += ["--stream", f"IN-py-{stage}", "--durable", "bench"]
            pid = running.enter_context(program(command, "ready")).pid
            systems.append(system(f"py-{stage}", f"nats-py {stage}", stage, 20_000, pid, by_hand(folder, stage)))
        command = [sys.executable, str(HERE / "baseline.py"), "S1", "--url", f"nats://127.0.0.1:{port}"]
        command += ["--in", "js.in.py-plain", "--out", "js.out.py-plain", "--one-by-one"]
        command += ["--stream", "IN-py-plain", "--durable", "bench"]
        pid = running.enter_context(program(command, "ready")).pid
        systems.append(system("py-plain", "one by one, nats-py S1", "S1", 5_000, pid, by_hand(folder, "S1")))

        take_turns(systems, repeats, server, lambda system: load_stream(system, port, backlog))
    return systems


def post(system: System, port: int, stream: str) -> Found:
    """One run of the HTTP load; every 202 has to stand in the stream."""
    before = asyncio.run(stored(port, stream))
    where = ["--target", system.source, "--path", system.target, "--count", str(system.count)]
    found = native(system.name, ["http-load", *where, *(["--keyed"] if system.stage == "keyed" else [])])
    taken = asyncio.run(stored(port, stream)) - before
    if taken != system.count:
        raise SystemExit(f"{system.name}: {taken} of {system.count} are stored")
    return found


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
            "bare hyper": (System("bare hyper", "limit", count, limit, "/", 0, [], (bare,)), server, "IN-http"),
            "vrsky in": (System("vrsky in", "http", count, source, path, 0, [], (node,)), server, lane),
            "vrsky in, keyed": (System("vrsky in, keyed", "keyed", count, source, path, 0, [], (node,)), server, lane),
            "vrsky whole": (System("vrsky whole", "whole", count, whole, path, 0, [], (both,)), second, lane),
        }
        systems = [system for system, _, _ in places.values()]
        systems[-1].server_pid = second.pid

        def measure(system: System) -> Found:
            _, where, stream = places[system.name]
            return post(system, where.port, stream)

        take_turns(systems, repeats, server, measure)
    return systems


def table(block: str, systems: list[System]) -> list[dict[str, Any]]:
    limit = systems[0]
    by_hand = {system.stage: system.median for system in systems if system.name.startswith("nats-py")}
    print(f"\n{block}: median of {len(limit.found)} runs, {limit.name} = 1")
    print("  CPU of the program, of nats-server and of the load, in microseconds a message; p50 and p99 in ms")
    accepted = f"{'accepted/s':>12}" if block == "end-to-end" else ""
    titles = f"{'ratio':>8}{'target':>8}{'x nats-py':>13}{'CPU':>8}{'server':>8}{'load':>8}{'p50':>9}{'p99':>9}"
    print(f"  {'system':<40}{accepted}{'messages/s':>12}{titles}")
    rows = []
    for system in systems:
        ours = system.name.startswith("vrsky")
        faster = system.median / by_hand[system.stage] if ours and system.stage in by_hand else None
        found = row(block, system, limit, faster)
        print(f"  {system.name + ' ' + WORDS.get(system.stage, ''):<40}{cells(found)}")
        rows.append(found)
    return rows


def row(block: str, system: System, limit: System, faster: float | None) -> dict[str, Any]:
    ours = system.name.startswith("vrsky")
    # From a backlog, messages wait for the last one to be stored: their times say nothing. Rows of a file have none.
    timed = block not in ("backlog", "csv")
    return {
        "block": block,
        "system": system.name,
        "stage": system.stage,
        "rates": system.rates,
        "median": system.median,
        "accepted": system.median_of("accepted_rate") if block == "end-to-end" else None,
        # At a rate that is given, it would be the ratio of what is given.
        "ratio": None if system.paced else round(system.median / limit.median, 3),
        "cpu_us": round(statistics.median(system.cpu_us), 2),
        "server_cpu_us": round(statistics.median(system.server_cpu_us), 2),
        "load_cpu_us": round(system.median_of("cpu_us"), 2),
        "p50_ms": round(system.median_of("p50_us") / 1000, 2) if timed else None,
        "p99_ms": round(system.median_of("p99_us") / 1000, 2) if timed else None,
        "target": TARGETS[block].get(system.stage) if ours else None,
        "times_nats_py": round(faster, 1) if faster else None,
        "times_nats_py_target": TIMES_NATS_PY.get(block, {}).get(system.stage) if faster else None,
    }


def cells(found: dict[str, Any]) -> str:
    faster, wanted = found["times_nats_py"], found["times_nats_py_target"]
    times = "" if faster is None else f"{faster:.1f}" + (f" of {wanted}" if wanted else "")
    accepted = "" if found["accepted"] is None else f"{found['accepted']:>12,.0f}"
    ratio = "" if found["ratio"] is None else f"{found['ratio']:.2f}"
    cpu = "".join(f"{found[name]:>8.2f}" for name in ("cpu_us", "server_cpu_us", "load_cpu_us"))
    waits = "".join("" if found[name] is None else f"{found[name]:>9.1f}" for name in ("p50_ms", "p99_ms"))
    return f"{accepted}{found['median']:>12,.0f}{ratio:>8}{found['target'] or '':>8}{times:>13}{cpu}{waits}"


BLOCKS = {
    "core": core,
    "jetstream": jetstream,
    "backlog": partial(jetstream, backlog=True),
    "http": http,
    "csv": csv_rows,
    "mqtt": mqtt,
    "end-to-end": end_to_end,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, one run; writes no file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=list(BLOCKS), choices=list(BLOCKS), help="writes no file")
    options = parser.parse_args()
    scale, repeats = (0.1, 1) if options.quick else (1.0, options.repeats)
    rows: list[dict[str, Any]] = []
    for name, block in BLOCKS.items():
        if name in options.only:
            with tempfile.TemporaryDirectory(prefix="vrsky-bench-") as folder, nats_server(Path(folder)) as server:
                rows += table(name, block(Path(folder), server, scale, repeats))
    if not options.quick and options.only == list(BLOCKS):
        write_results("pipeline", {"window": WINDOW, "rows": rows})


if __name__ == "__main__":
    main()
