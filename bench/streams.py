"""Streams of the benchmarks: one to read from and one to write to, for each system."""

from __future__ import annotations

import nats
from nats.js.api import ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig

# That of a pipeline with a backlog of 10,000.
LANE = "VRSKY_LOGIC_T10000_0"


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


async def stored(port: int, stream: str) -> int:
    """How many messages a stream has ever taken."""
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    info = await client.jetstream().stream_info(stream)
    await client.close()
    return int(info.state.last_seq)
