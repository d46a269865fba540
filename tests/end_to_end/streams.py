"""What is in the streams of a server, message by message, and what is put there."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from nats.aio.client import Client

from vrsky_fast.control.connection import connect
from vrsky_fast.control.server_config import Endpoint


@dataclass(frozen=True)
class Frame:
    """One message: its header block as it was sent, and its payload as text. All of ours are UTF-8."""

    subject: str
    headers: list[tuple[str, str]]
    payload: str

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


async def api(client: Client, verb: str, wanted: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer of `$JS.API.<verb>`, which may be no refusal."""
    answer = await client.request(f"$JS.API.{verb}", json.dumps(wanted).encode() if wanted else b"", timeout=10)
    told: dict[str, Any] = json.loads(answer.data)
    assert "error" not in told, (verb, told)
    return told


async def call(endpoint: Endpoint, verb: str, wanted: dict[str, Any] | None = None) -> dict[str, Any]:
    """The same on a connection of its own."""
    async with connect(endpoint) as client:
        return await api(client, verb, wanted)


async def make(endpoint: Endpoint, name: str, subject: str) -> None:
    """A stream of a user."""
    await call(endpoint, f"STREAM.CREATE.{name}", {"name": name, "subjects": [subject], "storage": "file"})


async def put(endpoint: Endpoint, subject: str, payload: str, **headers: str) -> None:
    """Publishes to a stream. Underscores in the names of headers stand for hyphens."""
    async with connect(endpoint) as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await client.jetstream().publish(subject, payload.encode(), headers=named)


async def held(endpoint: Endpoint, stream: str) -> int:
    """How many messages it has."""
    return int((await call(endpoint, f"STREAM.INFO.{stream}"))["state"]["messages"])


async def subjects(endpoint: Endpoint, stream: str) -> dict[str, int]:
    """How many messages each of its subjects has."""
    told = await call(endpoint, f"STREAM.INFO.{stream}", {"subjects_filter": ">"})
    return dict(told["state"].get("subjects") or {})


async def waiting(endpoint: Endpoint, pattern: str) -> int:
    """How many messages with such subjects (as fnmatch has them) are in the lanes or set aside."""
    lanes = [f"VRSKY_{kind}_{tier}_0" for kind in ("LOGIC", "OUTGOING") for tier in ("T1000", "T10000")]
    held = [await subjects(endpoint, stream) for stream in (*lanes, "VRSKY_PARKED")]
    return sum(count for one in held for name, count in one.items() if fnmatchcase(name, pattern))


async def frames(client: Client, stream: str) -> list[Frame]:
    """All of its messages, oldest first."""
    state = (await api(client, f"STREAM.INFO.{stream}", {"deleted_details": True}))["state"]
    numbers = set(range(state["first_seq"], state["last_seq"] + 1)) - set(state.get("deleted") or [])
    return [_frame(await api(client, f"STREAM.MSG.GET.{stream}", {"seq": number})) for number in sorted(numbers)]


async def frames_of(endpoint: Endpoint, stream: str) -> list[Frame]:
    """The same on a connection of its own."""
    async with connect(endpoint) as client:
        return await frames(client, stream)


def _frame(told: dict[str, Any]) -> Frame:
    message = told["message"]
    block = base64.b64decode(message.get("hdrs", "")).decode()
    lines = [line.partition(":") for line in block.split("\r\n")[1:] if line]
    payload = base64.b64decode(message.get("data", "")).decode()
    return Frame(message["subject"], [(name, value.strip()) for name, _, value in lines], payload)
