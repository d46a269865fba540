"""Watching the messages of a pipeline: a request to the nodes that run it, with a lease, and what they show.

vrsky.tap.<customer>.<pipeline>             a request every few seconds: filter, sample, token
vrsky.tapped.<customer>.<pipeline>.<token>  records: a line of JSON, then the payload or the first bytes of it
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from .._native import is_name
from ..errors import VrskyError
from ..facts import TAP_SUBJECT, TAPPED_SUBJECT
from .answers import answers
from .failure import fail

SHARES = 10_000
"""A sample is so many of 10,000 messages."""

# A node's lease is 10 s.
_RENEWAL_SECONDS = 3.0
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class Wanted:
    """What is to be shown. `step` is a label such as `1:filter`, `in` for what comes in, `out` for what goes out;
    `only_failed`: messages that become dead letters; `sample` in SHARES."""

    customer: str
    pipeline: str
    step: str | None = None
    only_failed: bool = False
    sample: int = SHARES


@dataclass(frozen=True)
class Record:
    """`kind` is `hello` (a node has heard the request; again and again), `refused` (it takes no more taps), `in`,
    `step`, `dead` or `dropped`; `line` has the rest. `payload` is its first bytes: `line["bytes"]` is its size."""

    kind: str
    line: dict[str, Any]
    payload: bytes = field(repr=False)

    @property
    def dropped(self) -> int:
        """Records for which a node had no room since the one before."""
        return int(self.line.get("dropped", 0))

    @property
    def is_cut(self) -> bool:
        return len(self.payload) < int(self.line.get("bytes", 0))


async def watch(client: Client, wanted: Wanted) -> AsyncGenerator[Record]:
    """What the nodes show, until it is closed. Raises TenantError `tenant/unknown-pipeline` when none answers in two
    seconds, NatsError, and ConfigError for what is no name."""
    for what, name in (("customer", wanted.customer), ("pipeline", wanted.pipeline)):
        if not is_name(name):
            fail("config/invalid-name", f"{name!r} is no name of a {what}")
    token = secrets.token_hex(16)
    names = {"customer": wanted.customer, "pipeline": wanted.pipeline}
    with answers("tap"):
        subscription = await client.subscribe(TAPPED_SUBJECT.format(**names, token=token))
    try:
        async for record in _records(client, subscription, wanted, token):
            yield record
    finally:
        # A node whose connection is lost ends it by itself.
        with suppress(VrskyError), answers("tap"):
            await _ask(client, wanted, token, stops=True)


async def _records(client: Client, subscription: Subscription, wanted: Wanted, token: str) -> AsyncGenerator[Record]:
    started = time.monotonic()
    renewal, is_heard = started, False
    while True:
        now = time.monotonic()
        if now >= renewal:
            renewal = now + _RENEWAL_SECONDS
            with answers("tap"):
                await _ask(client, wanted, token)
        if not is_heard and now - started >= _ANSWER_SECONDS:
            whose = f"{wanted.customer}/{wanted.pipeline}"
            fail("tenant/unknown-pipeline", f"no node that runs {whose} answers; `vrsky tap` needs one that is running")
        until = renewal if is_heard else min(renewal, started + _ANSWER_SECONDS)
        record = await _next(subscription, max(until - now, 0.01))
        if record is not None:
            is_heard = True
            yield record


async def _next(subscription: Subscription, seconds: float) -> Record | None:
    with answers("tap"):
        try:
            message = await subscription.next_msg(timeout=seconds)
        except nats.errors.TimeoutError:
            return None
    first, _, payload = message.data.partition(b"\n")
    try:
        line = json.loads(first)
        return Record(line["kind"], line, payload)
    except (ValueError, KeyError, TypeError):
        return None  # nothing of ours


async def _ask(client: Client, wanted: Wanted, token: str, stops: bool = False) -> None:
    request: dict[str, Any] = {"token": token, "failed": wanted.only_failed, "sample": wanted.sample, "stop": stops}
    if wanted.step is not None:
        request["step"] = wanted.step
    subject = TAP_SUBJECT.format(customer=wanted.customer, pipeline=wanted.pipeline)
    await client.publish(subject, json.dumps(request).encode())
    await client.flush(timeout=5)
