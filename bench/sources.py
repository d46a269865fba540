"""Sources to durable: CSV rows and MQTT messages until they stand in a stream.

    file ──► csv-relay | vrsky run ──► nats-server ──► arrivals
    mqtt-load ──► mosquitto ──► mqtt-relay | vrsky run ──► nats-server ──► mqtt-load

The limits are the client libraries that the connectors are built on, with a publish and a PubAck for each message and
nothing else: no ids, no caps of a lane, no resuming. What is stored is pulled, compared and acked by the load.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from programs import Server, free_port, program, wait_for
from streams import LANE, make_streams
from systems import NATIVE, Found, System, expected, native, take_turns, vrsky, written

LIMITS = {"limits": {"backlog": 10_000}}
NAMES = ["id", "sku", "name", "qty", "price", "country", "day", "text"]
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")


def row(number: int) -> list[Any]:
    """Even and odd ones differ in more than the number."""
    one = ["SKU-00003", "Müller & Söhne AG", 3, 12.25, "CH", "2024-03-01", 'Part no 3, grey "matt"']
    other = ["SKU-01714", "Dupont", 17, 1999.5, "FR", "2024-11-30", ""]
    return [f"{number:09}", *(other if number % 2 else one)]


def write_rows(path: Path, count: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(NAMES)
        rows.writerows(row(number) for number in range(count))


def arrivals(system: System, server: Server, stream: str, durable: str, rows: Path, inbox: Path) -> Found:
    """One run: a copy of the file appears in the folder, and every row has to arrive."""
    where = ["--server", f"127.0.0.1:{server.port}", "--stream", stream, "--durable", durable]
    command = [NATIVE, "arrivals", *where, "--count", str(system.count), *system.expect]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        assert load.stdout
        assert load.stdout.readline() == "ready\n"
        shutil.copy(rows, inbox / ".rows")
        (inbox / ".rows").rename(inbox / "rows.csv")
        answer, faults = load.communicate(timeout=300)
    if load.returncode != 0:
        raise SystemExit(f"{system.name}: {answer}{faults}")
    while list(inbox.glob("*.csv")):
        os.sched_yield()
    found: Found = json.loads(answer)
    return found


def csv_rows(folder: Path, server: Server, scale: float, repeats: int) -> list[System]:
    """Rows of CSV to durable. The first system is the limit."""
    count, port = int(200_000 * scale), server.port
    asyncio.run(make_streams(port, ["csv"]))
    write_rows(rows := folder / "rows", count)
    documents = [dict(zip(NAMES, row(number), strict=True)) for number in (0, 1)]
    expect = written(
        folder / "expected-csv",
        [json.dumps(one, separators=(",", ":"), ensure_ascii=False).encode() for one in documents],
    )
    pipeline = {
        "in": {"file": {
            "path": "inbox", "pattern": "*.csv", "format": {"csv": {"numbers": ["qty", "price"]}}, "done": "delete",
            "settle_for": "1ms",
        }},
        "out": {"nats": {"subject": "csv.out"}},
        **LIMITS,
    }  # fmt: skip
    (bare := folder / "bare").mkdir()
    (ours := folder / "data-csv" / "files" / "acme" / "inbox").mkdir(parents=True)
    with ExitStack() as running:
        relay = [NATIVE, "csv-relay", "--server", f"127.0.0.1:{port}", "--subject", "js.in.csv", "--folder", str(bare)]
        limit = running.enter_context(program(relay, "ready")).pid
        node = running.enter_context(program([*vrsky(folder, "csv", pipeline, port), "--type", "incoming"], '"ready"'))
        places = {
            "bare csv and serde_json": ("IN-csv", "bench", bare, limit),
            "vrsky CSV": (LANE, "logic", ours, node.pid),
        }
        stages = {"bare csv and serde_json": "limit", "vrsky CSV": "csv"}
        systems = [System(name, stages[name], count, "", "", 0, expect, (pid,)) for name, (*_, pid) in places.items()]

        def measure(system: System) -> Found:
            stream, durable, inbox, _ = places[system.name]
            return arrivals(system, server, stream, durable, rows, inbox)

        take_turns(systems, repeats, server, measure)
    return systems


def broker(folder: Path, port: int) -> list[str]:
    """Mosquitto, which drops nothing."""
    config = folder / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", "set_tcp_nodelay true"]
    config.write_text("\n".join([*lines, "max_inflight_messages 4096", "max_queued_messages 0", "log_dest none", ""]))
    if not MOSQUITTO:
        raise SystemExit("mosquitto is missing: apt install mosquitto, or --only with the other blocks")
    return [MOSQUITTO, "-c", str(config)]


def mqtt(folder: Path, server: Server, scale: float, repeats: int) -> list[System]:
    """MQTT at QoS 1 to durable. The first system is the limit."""
    count, port, mqtt_port = int(100_000 * scale), server.port, free_port()
    asyncio.run(make_streams(port, ["mqtt"]))
    expect, at = expected(folder, "S0"), f"127.0.0.1:{mqtt_port}"
    pipeline = {
        "in": {"mqtt": {"broker": {"url": f"mqtt://{at}"}, "topics": ["bench/ours"]}},
        "out": {"nats": {"subject": "mqtt.out"}},
        **LIMITS,
    }
    with ExitStack() as running:
        running.enter_context(program(broker(folder, mqtt_port), None))
        wait_for("mosquitto", mqtt_port)
        relay = [NATIVE, "mqtt-relay", "--server", f"127.0.0.1:{port}", "--subject", "js.in.mqtt", "--broker", at]
        limit = running.enter_context(program([*relay, "--filter", "bench/bare"], "ready")).pid
        command = [*vrsky(folder, "mqtt", pipeline, port), "--type", "incoming", "--allow", "127.0.0.1"]
        node = running.enter_context(program(command, '"ready"')).pid
        systems = [
            System("bare mqtt-protocol-core", "limit", count, "IN-mqtt", "bench/bare", 0, expect, (limit,)),
            System("vrsky MQTT", "mqtt", count, LANE, "bench/ours", 0, expect, (node,)),
        ]

        def measure(system: System) -> Found:
            where = ["--server", f"127.0.0.1:{port}", "--stream", system.source, "--broker", at]
            where += ["--durable", "bench" if system.stage == "limit" else "logic", "--topic", system.target]
            return native(system.name, ["mqtt-load", *where, "--count", str(count), *expect])

        take_turns(systems, repeats, server, measure)
    return systems
