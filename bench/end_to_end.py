"""The whole way: a POST, a durable lane, convert, filter and script, a durable lane, and an out.

    end-to-end ──POST──► vrsky run ⇄ nats-server
        ▲                    │
        └── HTTP | core NATS ┘

The limit is the same way without steps by bare programs: a POST is published to a stream, a relay takes it to the
next one, and the load reads it there. It has as many PubAcks as the node's way. Up to `IN_FLIGHT` messages are under
way at a time, so that p50 and p99 say how long a message takes on a node that is busy; the rows at a rate, with half
of what the out has reached before, say it for one that is not.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from programs import Server, free_port, program
from streams import make_streams
from systems import NATIVE, STAGES, VRSKY, Found, System, expected, native, take_turns

IN_FLIGHT = 1_000
WARM = 2_000


def write(pipelines: Path, name: str, out: dict[str, Any]) -> None:
    source = {"http": {"path": f"/{name}", "auth": "none"}}
    limits = {"backlog": 10_000}
    pipeline = {"customer": "acme", "pipeline": name, "in": source, "steps": STAGES["S3"], "out": out, "limits": limits}
    (pipelines / f"{name}.yaml").write_text(json.dumps(pipeline))


def bare(running: ExitStack, port: int) -> tuple[str, tuple[int, ...]]:
    """The programs of the limit: where they listen, and their processes."""
    asyncio.run(make_streams(port, ["e2e"]))
    server, listen = ["--server", f"127.0.0.1:{port}"], f"127.0.0.1:{free_port()}"
    source = [NATIVE, "http-relay", *server, "--listen", listen, "--subject", "js.in.e2e"]
    relay = [NATIVE, "durable-relay", *server, "--stream", "IN-e2e", "--durable", "bench", "--out", "js.out.e2e"]
    return listen, tuple(running.enter_context(program(command, "ready")).pid for command in (source, relay))


def node(running: ExitStack, folder: Path, port: int, far_end: str) -> tuple[str, tuple[int, ...]]:
    """A node with both pipelines: where it listens, and its process."""
    (pipelines := folder / "pipelines").mkdir()
    write(pipelines, "http-out", {"http": {"url": f"http://{far_end}/orders"}})
    write(pipelines, "nats-out", {"nats": {"subject": "e2e.out"}})
    listen = f"127.0.0.1:{free_port()}"
    command = [*VRSKY, "run", str(pipelines), "--nats", f"nats://127.0.0.1:{port}", "--data", str(folder / "data-e2e")]
    command += ["--listen", listen, "--allow", "127.0.0.1", "--json"]
    return listen, (running.enter_context(program(command, '"ready"')).pid,)


def end_to_end(folder: Path, server: Server, scale: float, repeats: int) -> list[System]:
    count, far_end = int(40_000 * scale), f"127.0.0.1:{free_port()}"
    with ExitStack() as running:
        limit, relays = bare(running, server.port)
        listen, pids = node(running, folder, server.port, far_end)
        same, converted = expected(folder, "S0"), expected(folder, "S3")
        systems = [System("bare hyper and durable relay", "limit", count, limit, "/", WARM, same[:2], relays)]
        for stage in ("nats-out", "http-out"):
            path = f"/in/acme/{stage}"
            systems.append(System(f"vrsky {stage}", stage, count, listen, path, WARM, converted, pids))
        subjects = {"limit": "js.out.e2e", "nats-out": "e2e.out"}

        def measure(system: System) -> Found:
            out = ["--listen", far_end]
            if subject := subjects.get(system.stage):
                out = ["--server", f"127.0.0.1:{server.port}", "--out", subject]
            command = ["end-to-end", "--target", system.source, "--path", system.target, *out, *system.expect]
            command += ["--count", str(system.count), "--warm", str(system.warm), "--window", str(IN_FLIGHT)]
            command += ["--rate", str(system.paced)] if system.paced else []
            return native(system.name, command)

        take_turns(systems, repeats, server, measure)
        halves = [system.paced_at(int(system.median / 2)) for system in systems]
        take_turns(halves, repeats, server, measure)
    return [*systems, *halves]
