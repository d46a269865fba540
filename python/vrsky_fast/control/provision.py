"""Makes streams and consumers what `streams` says. Run it as often as you like.

What would lose messages is refused: on a stream that holds messages the server deletes the oldest ones,
without a word, when the cap of a subject is lowered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import NotFoundError

from ..config.summary import JetStream as SourceStream
from ..facts import ACK_WAIT_SECONDS, DUPLICATE_WINDOW_SECONDS
from .answers import answers
from .durables import Owner, made_by_us
from .failure import fail
from .store import room
from .streams import Stream, sharing

_UNLIMITED = -1
# A share of the disk changes with every file on it. Less of it soon counts; more of it is worth an update when
# it is a good deal more.
_LESS, _MORE = 0.95, 1.25


async def provision(client: Client, wanted: Iterable[Stream]) -> list[str]:
    """Returns what was made or changed, for the log. Raises NatsError."""
    jetstream = client.jetstream(timeout=10)
    done: list[str] = []
    for stream in wanted:
        with answers(stream.name):
            done += await _stream(jetstream, stream)
            if stream.consumer is not None:
                done += await _consumer(client, _stream_config(stream), stream.consumer, None)
    return done


async def share(client: Client, wanted: list[Stream], store: Path) -> list[str]:
    """Provisions the embedded server's streams, each with a share of the disk that `store` is on. Raises
    NatsError."""
    jetstream = client.jetstream(timeout=10)
    with answers("the streams"):
        held = {info.config.name or "": info.state.bytes for info in await jetstream.streams_info()}
    return await provision(client, sharing(wanted, await asyncio.to_thread(room, store), held))


async def consumer_of_source(client: Client, source: SourceStream, owner: Owner) -> list[str]:
    """The durable of a NATS in with `mode: jetstream`, on a stream that is somebody else's. One that somebody else has
    made stays as it is. Raises NatsError, and ConfigError when it cannot be used, or another customer reads by it."""
    jetstream, stream, durable = client.jetstream(timeout=10), source.stream or "", source.durable or ""
    with answers(stream):
        try:
            known = (await jetstream.stream_info(stream)).config
            return await _consumer(client, known, durable, source.subject, owner)
        except NotFoundError:
            fail("nats/no-stream", f"there is no stream {stream}; create it first")


async def _stream(jetstream: JetStreamContext, stream: Stream) -> list[str]:
    wanted = _stream_config(stream)
    try:
        info = await jetstream.stream_info(stream.name)
    except NotFoundError:
        await jetstream.add_stream(wanted)
        return [f"stream {stream.name}"]
    changes = _changes(info, wanted, stream) | _resized(info, stream.max_bytes)
    if not changes:
        return []
    _refuse_loss(info, wanted)
    # What we do not set stays as an operator may have set it.
    await jetstream.update_stream(info.config.evolve(**changes))
    return [f"stream {stream.name}: {', '.join(changes)}"]


def _stream_config(stream: Stream) -> StreamConfig:
    return StreamConfig(
        name=stream.name,
        subjects=stream.subjects,
        retention=RetentionPolicy.WORK_QUEUE if stream.work_queue else RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        discard_new_per_subject=stream.cap is not None,
        max_msgs_per_subject=stream.cap or _UNLIMITED,
        max_bytes=stream.max_bytes or _UNLIMITED,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        max_age=stream.max_age,
        # The node reads single records.
        allow_direct=stream.max_age is not None,
        num_replicas=stream.replicas,
    )


_OURS = (
    "subjects",
    "retention",
    "storage",
    "discard",
    "discard_new_per_subject",
    "max_msgs_per_subject",
    "duplicate_window",
)


def _changes(info: StreamInfo, wanted: StreamConfig, stream: Stream) -> dict[str, object]:
    names = [*_OURS]
    if stream.max_age is not None:
        names += ["max_age", "allow_direct"]
    if stream.replicas is not None:
        names.append("num_replicas")
    return {name: getattr(wanted, name) for name in names if getattr(info.config, name) != getattr(wanted, name)}


def _resized(info: StreamInfo, share: int | None) -> dict[str, object]:
    """Never to less than what the stream holds."""
    if share is None:
        return {}
    now, wanted = info.config.max_bytes or _UNLIMITED, max(share, info.state.bytes)
    if now > 0 and now * _LESS <= wanted <= now * _MORE:
        return {}
    return {"max_bytes": wanted}


def _refuse_loss(info: StreamInfo, wanted: StreamConfig) -> None:
    now, cap = info.config.max_msgs_per_subject, wanted.max_msgs_per_subject
    lowered = cap > 0 and (now <= 0 or cap < now)
    if lowered and info.state.messages > 0:
        held = f"{info.state.messages:,} messages under a cap of {now:,} a subject"
        fail(
            "nats/would-discard",
            f"{wanted.name} holds {held}; lowering it to {cap:,} would delete the oldest",
        )


async def _consumer(
    client: Client, stream: StreamConfig, durable: str, subject: str | None, owner: Owner | None = None
) -> list[str]:
    jetstream, name = client.jetstream(timeout=10), stream.name or ""
    wanted = ConsumerConfig(
        durable_name=durable,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_SECONDS,
        # An exhausted message of a work queue would stay for ever: the node counts deliveries.
        max_deliver=_UNLIMITED,
        # Bounded by the node's pull credit: with a limit here one customer's delayed NAKs block the lane.
        max_ack_pending=_UNLIMITED,
        filter_subject=subject,
        metadata=owner.metadata() if owner else None,
    )
    try:
        have = (await jetstream.consumer_info(name, durable)).config
    except NotFoundError:
        await jetstream.add_consumer(name, wanted)
        return [f"consumer {name}/{durable}"]
    if owner is not None:
        await owner.refuse(client, stream, have, subject)
        if not made_by_us(have):
            return []
        wanted.metadata = owner.metadata(have)
    names = ("ack_policy", "ack_wait", "max_deliver", "max_ack_pending", "filter_subject")
    if all((getattr(have, one) or None) == (getattr(wanted, one) or None) for one in names):
        return []
    await jetstream.add_consumer(name, wanted)
    return [f"consumer {name}/{durable}: changed"]
