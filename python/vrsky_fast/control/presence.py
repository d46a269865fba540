"""Whether the streams are there that a pipeline's own NATS in or out needs. Asks; makes nothing."""

from __future__ import annotations

from nats.aio.client import Client
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from ..config.summary import JetStream
from .answers import answers
from .durables import Owner
from .failure import fail


async def look_for_stream(client: Client, needed: JetStream, owner: Owner) -> None:
    """Raises NatsError: `nats/no-stream`, or why there is no answer; ConfigError when the durable cannot be
    used, or another customer reads by it."""
    jetstream = client.jetstream(timeout=5)
    stream, subject = needed.stream, needed.subject
    with answers(stream or subject):
        try:
            if stream is not None:
                known = (await jetstream.stream_info(stream)).config
                if needed.durable is not None:
                    await _look_for_durable(client, known, needed, owner)
                    return
            found = await jetstream.find_stream_name_by_subject(subject)
        except NotFoundError:
            fail("nats/no-stream", f"there is no stream {stream or f'for {subject}'}; create it first")
    if stream not in {None, found}:
        fail("nats/no-stream", f"the stream {stream} does not take {subject}; {found} does")


async def _look_for_durable(client: Client, stream: StreamConfig, needed: JetStream, owner: Owner) -> None:
    try:
        have = await client.jetstream(timeout=5).consumer_info(needed.stream or "", needed.durable or "")
        await owner.refuse(client, stream, have.config, needed.subject)
    except NotFoundError:
        return  # a run makes it
