"""What the host of a pipeline knows of it, as Rust sums it up; nothing in Python walks the model for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .._native import patterns_meet


@dataclass(frozen=True, slots=True)
class JetStream:
    """A stream of the user's that an in reads, or an out publishes to. Without `stream` it is whichever one
    has the subject; `durable` is the consumer of an in."""

    subject: str
    stream: str | None
    durable: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """What one pipeline of a node has alone, such as `the address /in/acme/orders`, and where its file says so. Of
    files the folder and the pattern of their names, which another pattern may meet."""

    what: str
    pointer: str
    folder: str | None = None
    pattern: str = ""

    @property
    def group(self) -> str:
        """The same for all claims that may meet."""
        return self.folder if self.folder is not None else self.what

    def meets(self, other: Claim) -> bool:
        """Whether both are of something that one alone may have."""
        if self.folder is None or self.folder != other.folder:
            return self.what == other.what
        return patterns_meet(self.pattern, other.pattern)


@dataclass(frozen=True, slots=True)
class Connector:
    """One in or out. `name` is None for an in; `where` is what people would look for, `file` an out's file below its
    customer's folder; `pointer` leads to its kind in the file; `secrets` are names. `address` is where clients of an
    HTTP in post to, such as `/in/acme/orders`; `through` is what serves it: `listener`, `nats` or `itself`;
    `exclusive` says that one node alone may read it; `claim` is what no other pipeline of a node may have as well;
    `jetstream` is set where a stream is needed."""

    name: str | None
    kind: str
    where: str
    file: str | None
    pointer: str
    secrets: tuple[str, ...]
    address: str | None
    loopback_only: bool
    at_most_once: bool
    through: str
    exclusive: bool
    claim: Claim | None
    jetstream: JetStream | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A pipeline. `tier` is the class of streams that its messages wait in, `steps` are labels such as `1:filter`;
    `table_bytes` is the memory of its lookup tables, `secrets` are the names of all that its connectors use."""

    customer: str
    pipeline: str
    revision: str
    tier: str
    steps: tuple[str, ...]
    table_bytes: int
    secrets: tuple[str, ...]
    source: Connector
    outs: tuple[Connector, ...]


def read(text: str) -> Summary:
    """From what `_native.check_pipeline` gives beside the canonical file."""
    given = json.loads(text)
    return Summary(
        given["customer"],
        given["pipeline"],
        given["revision"],
        given["tier"],
        tuple(given["steps"]),
        given["table_bytes"],
        tuple(given["secrets"]),
        _connector(given["in"]),
        tuple(map(_connector, given["outs"])),
    )


def _connector(given: dict[str, Any]) -> Connector:
    jetstream = given.get("jetstream")
    return Connector(
        given.get("name"),
        given["kind"],
        given["where"],
        given.get("file"),
        given["pointer"],
        tuple(given["secrets"]),
        given.get("address"),
        given["loopback_only"],
        given["at_most_once"],
        given["through"],
        given["exclusive"],
        Claim(**given["claim"]) if "claim" in given else None,
        JetStream(**jetstream) if jetstream else None,
    )
