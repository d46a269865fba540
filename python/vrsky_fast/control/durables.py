"""Whose a durable consumer of a user's stream is.

A pipeline file may name any durable, so that its name says nothing: its metadata does. A durable without them was made
by somebody else, or by a version before, and is taken as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from nats.js.api import ConsumerConfig

from .failure import fail

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

    def refuse_another(self, stream: str, durable: ConsumerConfig) -> None:
        """Raises ConfigError `config/conflict` for that of another customer: each would get a part of the other's
        messages. Pipelines of one customer may hand one over, so that a renamed one goes on where it was."""
        found = _metadata(durable)
        if found.get(_CUSTOMER, self.customer) != self.customer:
            whose = f"{found[_CUSTOMER]}/{found.get(_PIPELINE, '')}"
            fail("config/conflict", f"the durable {durable.durable_name} of the stream {stream} is that of {whose}")


def _metadata(config: ConsumerConfig | None) -> dict[str, str]:
    return (config.metadata if config is not None else None) or {}
