"""How much a stream holds, as its server counts it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nats.aio.client import Client

from .streams import Stream
from .subjects import ask


@dataclass(frozen=True, slots=True)
class Held:
    """Of one stream: messages that nobody has in hand, that some node has, and that have left it since it was made;
    when the oldest of those that are there was stored, in seconds since the epoch."""

    stream: str
    node_type: str | None
    pending: int
    in_hand: int
    left: int
    oldest: float | None


async def held(client: Client, stream: Stream) -> Held | None:
    """None for a stream that there is not. Raises NatsError."""
    info = await ask(client, f"STREAM.INFO.{stream.name}", {}, stream.name)
    if info is None:
        return None
    state, in_hand = info["state"], 0
    if stream.consumer is not None:
        consumer = await ask(client, f"CONSUMER.INFO.{stream.name}.{stream.consumer}", {}, stream.name)
        in_hand = consumer["num_ack_pending"] if consumer else 0
    messages = state["messages"]
    # Asked one after the other: what came in between may be counted in one of them alone.
    pending, left = max(messages - in_hand, 0), max(state["last_seq"] - messages, 0)
    oldest = datetime.fromisoformat(state["first_ts"]).timestamp() if messages else None
    return Held(stream.name, stream.consumer, pending, in_hand, left, oldest)
