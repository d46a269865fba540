"""Whose a durable consumer of a user's stream is.

A pipeline file may name any durable, so that its name says nothing: its metadata does. A durable without them was made
by somebody else, or by a version before: it is used as it is, or refused, and never changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from ..facts import ACK_WAIT_SECONDS, PULL_BATCH, PULL_EXPIRES_SECONDS
from .failure import fail
from .subjects import ask

_CUSTOMER, _PIPELINE = "vrsky.customer", "vrsky.pipeline"
# What the server adds of its own.
_SERVERS = "_nats."


@dataclass(frozen=True, slots=True)
class Owner:
    """A pipeline that reads by a durable."""

    customer: str
    pipeline: str

    def metadata(self, before: ConsumerConfig | None = None) -> dict[str, str]:
        """Those of its durable, which had these before."""
        kept = {name: value for name, value in _metadata(before).items() if not name.startswith(_SERVERS)}
        return {_CUSTOMER: self.customer, _PIPELINE: self.pipeline} | kept

    async def refuse(self, client: Client, stream: StreamConfig, durable: ConsumerConfig, subject: str | None) -> None:
        """Raises ConfigError `config/conflict` when a pipeline that reads `subject` cannot use it, and NatsError."""
        self._refuse_another(stream.name or "", durable)
        if made_by_us(durable):
            return
        verb = f"CONSUMER.INFO.{stream.name}.{durable.durable_name}"
        # Some of it the client library does not know.
        told = await ask(client, verb, {}, f"the durable {durable.durable_name}") or {}
        differs = list(_differences(durable, subject, stream.subjects or []))
        if differs := differs + list(_limits(told.get("config", {}))):
            reason = f"the durable {durable.durable_name} of the stream {stream.name} was made by somebody else, and "
            fail("config/conflict", reason + "; ".join(differs))

    def _refuse_another(self, stream: str, durable: ConsumerConfig) -> None:
        """Raises ConfigError `config/conflict` for that of another customer: each would get a part of the other's
        messages. Pipelines of one customer may hand one over, so that a renamed one goes on where it was."""
        found = _metadata(durable)
        if found.get(_CUSTOMER, self.customer) != self.customer:
            whose = f"{found[_CUSTOMER]}/{found.get(_PIPELINE, '')}"
            fail("config/conflict", f"the durable {durable.durable_name} of the stream {stream} is that of {whose}")


def made_by_us(durable: ConsumerConfig) -> bool:
    return _CUSTOMER in _metadata(durable)


def _differences(durable: ConsumerConfig, subject: str | None, subjects: list[str]) -> Iterator[str]:
    """What keeps a node from reading by it: messages would be left out, lost, or in two hands. `subjects` are the
    stream's, all of which it reads without a filter."""
    if durable.deliver_subject:
        yield f"pushes to {durable.deliver_subject}; a node pulls"
    filters = durable.filter_subjects or ([durable.filter_subject] if durable.filter_subject else [])
    if (filters or subjects) != ([subject] if subject else subjects):
        yield f"is for {', '.join(filters) or 'every subject'}; the pipeline reads {subject or 'every subject'}"
    if durable.ack_policy not in {None, AckPolicy.EXPLICIT}:
        yield f"has the ack policy {durable.ack_policy}; each message has to be acked by itself (explicit)"
    if durable.max_deliver is not None and durable.max_deliver > 0:
        yield f"gives a message up after max_deliver {durable.max_deliver}; that has to be -1"
    if durable.ack_wait is not None and durable.ack_wait < ACK_WAIT_SECONDS:
        yield f"has an ack_wait of {durable.ack_wait:g} s; at least {ACK_WAIT_SECONDS:g} s are needed"


def _limits(config: Mapping[str, Any]) -> Iterator[str]:
    """The same by the server's own words: it would give less than a message, or nothing to what a node asks for."""
    if config.get("headers_only"):
        yield "gives headers without payloads (headers_only)"
    if 0 < (batch := config.get("max_batch") or 0) < PULL_BATCH:
        yield f"grants {batch} messages a request (max_batch); a node asks for up to {PULL_BATCH}"
    if 0 < (expires := (config.get("max_expires") or 0) / 1e9) < PULL_EXPIRES_SECONDS:
        yield f"grants requests of {expires:g} s (max_expires); a node asks for {PULL_EXPIRES_SECONDS} s"
    if size := config.get("max_bytes") or 0:
        yield f"grants {size} bytes a request (max_bytes), which the largest message may pass; that has to be 0"
    if config.get("priority_groups"):
        yield "gives messages to priority groups; a node is in none"


def _metadata(config: ConsumerConfig | None) -> dict[str, str]:
    return (config.metadata if config is not None else None) or {}
