"""This revision beside an earlier one, in the same run: prints the ratio of each stage and writes
``bench/results/before.json``.

    load ──► nats-server ──► earlier | this ──► nats-server ──► load

Both are wheels of the same build, in processes of their own; they take turns, and who is first alternates. The load
counts what is delivered and compares every payload, as in ``pipeline.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline import POSTED, WORDS, core_pipeline, load_stream, post, stream_pipeline
from programs import Server, free_port, nats_server, program, write_results
from streams import LANE, make_streams
from systems import NATIVE, STAGES, System, expected, load, take_turns, vrsky

Measured = list[tuple[System, System]]
"""The earlier and this one, of each stage."""


@dataclass(frozen=True)
class Wheel:
    """`folder` is where it is installed; `name` is a part of subjects."""

    name: str
    folder: str

    def command(self, command: list[str]) -> list[str]:
        return ["env", f"PYTHONPATH={self.folder}", *command]


def core(folder: Path, wheels: list[Wheel], scale: float, repeats: int) -> Measured:
    pairs: Measured = []
    with ExitStack() as running:
        server = running.enter_context(nats_server(folder))
        for stage, steps in STAGES.items():
            expect, pair = expected(folder, stage), []
            for wheel in wheels:
                source, target = f"in.{wheel.name}.{stage}", f"out.{wheel.name}.{stage}"
                pipeline = core_pipeline(source, target, steps)
                command = wheel.command(vrsky(folder, f"{wheel.name}-{stage}", pipeline, server.port))
                pid = running.enter_context(program(command, '"ready"')).pid
                count = int((600_000 if stage == "S0" else 400_000) * scale)
                pair.append(System(wheel.name, stage, count, source, target, 20_000, expect, (pid,)))
            pairs.append((pair[0], pair[1]))
        compare(pairs, repeats, server, lambda system: load(system, server.port))
    return pairs


def jetstream(folder: Path, wheels: list[Wheel], scale: float, repeats: int, backlog: bool = False) -> Measured:
    pairs: Measured = []

    with ExitStack() as running:
        server = running.enter_context(nats_server(folder))
        names = {(wheel.name, stage): f"{wheel.name}-{stage}" for wheel in wheels for stage in STAGES}
        asyncio.run(make_streams(server.port, list(names.values())))
        for stage, steps in STAGES.items():
            expect, pair = expected(folder, stage), []
            for wheel in wheels:
                name = names[wheel.name, stage]
                command = wheel.command(vrsky(folder, f"js-{name}", stream_pipeline(name, steps), server.port))
                pid = running.enter_context(program(command, '"ready"')).pid
                count, warm = int(200_000 * scale), 0 if backlog else 5_000
                pair.append(System(wheel.name, stage, count, f"js.in.{name}", f"js.out.{name}", warm, expect, (pid,)))
            pairs.append((pair[0], pair[1]))
        compare(pairs, repeats, server, lambda system: load_stream(system, server.port, backlog))
    return pairs


def http(folder: Path, wheels: list[Wheel], scale: float, repeats: int) -> Measured:
    """POST to durable 202: the in alone, its lane emptied by a drain; and a whole node. Each has its own server."""
    pairs: Measured = []
    with ExitStack() as running:
        servers: dict[str, Server] = {}
        for stage in ("http", "whole"):
            pair = []
            for wheel in wheels:
                name, listen = f"{wheel.name}-{stage}", f"127.0.0.1:{free_port()}"
                (folder / name).mkdir()
                server = running.enter_context(nats_server(folder / name))
                command = wheel.command(vrsky(folder, name, POSTED, server.port, listen))
                command += ["--type", "incoming"] if stage == "http" else []
                pid = running.enter_context(program(command, '"ready"')).pid
                if stage == "http":
                    drain = [NATIVE, "drain", "--server", f"127.0.0.1:{server.port}"]
                    running.enter_context(program([*drain, "--stream", LANE, "--durable", "logic"], "ready"))
                path = "/in/acme/orders"
                pair.append(System(wheel.name, stage, int(100_000 * scale), listen, path, 0, [], (pid,), server.pid))
                servers[listen] = server
            pairs.append((pair[0], pair[1]))
        compare(pairs, repeats, servers[listen], lambda system: post(system, servers[system.source].port, LANE))
    return pairs


def compare(pairs: Measured, repeats: int, server: Server, measure: Any) -> None:
    for turn in range(repeats):
        take_turns([one for pair in pairs for one in (pair if turn % 2 == 0 else reversed(pair))], 1, server, measure)


def table(block: str, pairs: Measured) -> list[dict[str, Any]]:
    print(f"\n{block}: medians; the ratio is the median of the turns'. CPU in microseconds a message, earlier and this")
    print(f"  {'':<24}{'earlier/s':>12}{'this/s':>12}{'ratio':>8}{'program':>16}{'nats-server':>16}")
    rows = []
    for earlier, this in pairs:
        ratio = statistics.median(new / old for old, new in zip(earlier.rates, this.rates, strict=True))
        cpu = [round(statistics.median(one.cpu_us), 2) for one in (earlier, this)]
        servers = [round(statistics.median(one.server_cpu_us), 2) for one in (earlier, this)]
        cells = f"{earlier.median:>12,.0f}{this.median:>12,.0f}{ratio:>8.2f}" + "".join(
            f"{before:>9.2f}{now:>7.2f}" for before, now in (cpu, servers)
        )
        print(f"  {this.stage + ' ' + WORDS[this.stage]:<24}{cells}", flush=True)
        names = {"block": block, "stage": this.stage, "ratio": round(ratio, 3)}
        rows.append(names | {"earlier": earlier.rates, "this": this.rates, "cpu_us": cpu, "server_cpu_us": servers})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", help="what the earlier wheel was built of")
    parser.add_argument("wheel", help="the folder where it is installed")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, one run: does it work?")
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--only", choices=["core", "jetstream", "backlog", "http"], help="writes no file")
    options = parser.parse_args()
    scale, repeats = (0.1, 1) if options.quick else (1.0, options.repeats)
    wheels = [Wheel("earlier", options.wheel), Wheel("this", os.environ["PYTHONPATH"])]
    blocks = {"core": core, "jetstream": jetstream, "backlog": partial(jetstream, backlog=True), "http": http}
    rows: list[dict[str, Any]] = []
    for name, block in blocks.items():
        if options.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory(prefix="vrsky-bench-") as folder:
            rows += table(name, block(Path(folder), wheels, scale, repeats))
    if options.only is not None:
        return
    write_results("before", {"earlier": options.revision, "rows": rows})


if __name__ == "__main__":
    main()
