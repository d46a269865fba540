"""What Rust and Python both know: names, numbers and defaults of the engine, as Rust defines them.

No file of this package writes such a list a second time (tests/test_facts.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from . import _native


@dataclass(frozen=True, slots=True)
class StreamFact:
    """A stream that a deployment needs; `more` are further subjects. `tier` and `lane` are None for the streams that
    all lanes share, `consumer` for a stream whose consumers the node makes, `cap` for a stream without a bound per
    subject, `max_age` (seconds) for messages that stay."""

    name: str
    subject: str
    more: tuple[str, ...]
    work_queue: bool
    cap: int | None
    consumer: str | None
    max_age: int | None
    tier: str | None
    lane: int | None


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The most that pipeline files may ask for: of `limits.script.cpu_ms` (milliseconds), `limits.script.memory_mb`
    (MiB), and `limits.fuel` (steps of one expression)."""

    cpu_ms: int
    memory_mb: int
    fuel: int


@dataclass(frozen=True, slots=True)
class Defaults:
    """The engine's own settings where its host names none."""

    topology: str
    types: tuple[str, ...]
    threads: int
    lanes: int
    park_after: int
    allow_loopback: bool
    absolute_files: bool
    ceilings: Ceilings


_ALL: dict[str, Any] = json.loads(_native.facts())

NODE_TYPES: tuple[str, ...] = tuple(_ALL["node_types"])
"""The parts of a message's way, each of which can be a node of its own."""


@dataclass(frozen=True, slots=True)
class Topology:
    """How a deployment serves the steps of its pipelines: its node types, the lanes that these read, and those of them
    whose messages wait for steps."""

    node_types: tuple[str, ...]
    lanes: tuple[str, ...]
    step_lanes: tuple[str, ...]


TOPOLOGIES: dict[str, Topology] = {
    one["name"]: Topology(tuple(one["node_types"]), tuple(one["lanes"]), tuple(one["step_lanes"]))
    for one in _ALL["topologies"]
}
"""By name: `fused`, where all steps of a message are run in one go, and `split`."""

STEP_LANES = frozenset(lane for one in TOPOLOGIES.values() for lane in one.step_lanes)
"""The lanes whose messages wait for steps, of any topology."""

DECIDING_STEPS: tuple[str, ...] = tuple(_ALL["deciding_steps"])
"""The words of the steps that leave a message as it is, and decide."""

SERVES_HTTP: str = _ALL["serves_http"]
"""The one of them that HTTP clients post to."""

SERVES_FILES: str = _ALL["serves_files"]
"""The one of them that writes the files of file outs."""

KINDS_OF_OUTS: tuple[str, ...] = tuple(_ALL["kinds"]["out"])
"""The kinds of connectors that an out may be; none of them can be the name of an out."""

_CEILINGS = Ceilings(**_ALL["defaults"]["ceilings"])
DEFAULTS = Defaults(**(_ALL["defaults"] | {"types": tuple(_ALL["defaults"]["types"]), "ceilings": _CEILINGS}))

LEAST_CEILINGS = Ceilings(**_ALL["least_ceilings"])
"""What a pipeline file gets that asks for nothing; no ceiling is lower."""

MAX_TABLE_BYTES: int = _ALL["max_table_bytes"]
"""Of one lookup table's file."""

MAX_CUSTOMER_TABLE_BYTES: int = _ALL["max_customer_table_bytes"]
"""Memory that the lookup tables of all pipelines of a customer may take together."""

MAX_THREADS: int = _ALL["max_threads"]
MAX_LANES: int = _ALL["max_lanes"]

TIERS: dict[str, int] = _ALL["tiers"]
"""Name of a backlog tier to the most messages that one of its subjects may hold."""


def _streams(name: str) -> tuple[StreamFact, ...]:
    return tuple(StreamFact(**(one | {"more": tuple(one["more"])})) for one in _ALL[name])


STREAMS: tuple[StreamFact, ...] = _streams("streams")
"""All streams of a deployment with every tier and the most lanes."""

OWN_LANES: tuple[StreamFact, ...] = _streams("own_lanes")
"""The lanes of a customer of its own. Names have the place `{CUSTOMER}`, in upper case, subjects `{customer}`."""

DEAD: str = _ALL["dead"]["stream"]
DEAD_SUBJECT: str = _ALL["dead"]["subject"]
"""With the places `{customer}`, `{pipeline}` and `{step}`."""

ORIGINAL_SUBJECT: str = _ALL["original"]["subject"]
"""With the places `{customer}`, `{pipeline}` and `{message}`: whole messages beside dead letters of their parts."""

PARKED: str = _ALL["parked"]["stream"]
ASIDE_SUBJECT: str = _ALL["aside"]["subject"]
"""With the places `{customer}` and `{pipeline}`: parked messages that wait for the steps of their pipeline."""

KEYS: str = _ALL["keys"]["stream"]

TAP_SUBJECT: str = _ALL["tap"]["request"]
"""With the places `{customer}` and `{pipeline}`: where somebody asks to see messages. No customer may publish there."""

TAPPED_SUBJECT: str = _ALL["tap"]["records"]
"""With the places `{customer}`, `{pipeline}` and `{token}`: where nodes show them."""

ACK_WAIT_SECONDS = float(_ALL["ack_wait_seconds"])

PULL_BATCH: int = _ALL["pull_batch"]
"""Messages of one request to a consumer, at most."""

PULL_EXPIRES_SECONDS: int = _ALL["pull_expires_seconds"]
DUPLICATE_WINDOW_SECONDS = float(_ALL["duplicate_window_seconds"])

COUNTERS: tuple[str, ...] = tuple(_ALL["counters"])
"""What `stats` counts of a pipeline."""

COUNTER_SUMMARIES: dict[str, str] = _ALL["counter_summaries"]
"""What each of them counts, in a sentence."""

MAX_FILE_BYTES: int = _ALL["max_file_bytes"]
MAX_SCRIPT_BYTES: int = _ALL["max_script_bytes"]
