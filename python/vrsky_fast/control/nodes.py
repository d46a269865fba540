"""What each running node says of itself: its record in the bucket vrsky_nodes.

A record goes by itself when its node writes no new one for some seconds of the server's clock, so that who is in the
bucket lives, whatever the clocks of nodes and commands say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from nats.aio.client import Client

from .buckets import NODES, Entry
from .watch import entries_if_any

MAX_REFUSED = 500
MAX_CANARIES = 500
_MAX_REFUSED_BYTES = 256 * 1024
_MAX_PROBLEMS = 3
_MAX_CHARACTERS = 500


@dataclass(frozen=True)
class Refusal:
    """Why a node does not run what a key holds: `problems` as `config.Problem.as_json` has them. With `goes_on` it
    runs what it ran before."""

    revision: str | None
    problems: tuple[Mapping[str, Any], ...]
    goes_on: bool

    @classmethod
    def of(cls, revision: str | None, problems: list[dict[str, object]], goes_on: bool) -> Refusal:
        return cls(revision, tuple(_short(one) for one in problems[:_MAX_PROBLEMS]), goes_on)


@dataclass(frozen=True)
class SettingsSeen:
    """What a node makes of the deployment's settings: it serves by `topology`, and has seen the stream of
    vrsky_deployment that `bucket` identifies up to the sequence `seen`. `problems` is why that is not what they say.
    `left_out` are the customers that it does not serve for them, `moving` those that it serves no new message of, until
    their old lanes are empty."""

    bucket: str = ""
    seen: int = 0
    topology: str = ""
    problems: tuple[Mapping[str, Any], ...] = ()
    left_out: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()

    def with_problems(self, problems: list[dict[str, object]]) -> SettingsSeen:
        return replace(self, problems=tuple(_short(one) for one in problems[:_MAX_PROBLEMS]))


@dataclass(frozen=True)
class Figures:
    """What a node has run of a pipeline with a canary since it has the canary: messages, and how many of them failed.
    `revision` is the canary's."""

    revision: str
    messages: int
    failed: int
    active_messages: int
    active_failed: int


def figures_of(canaries: Sequence[Mapping[str, Any]]) -> dict[str, Figures]:
    """Of what `Engine.canaries` says, by key; as many as a record has room for."""
    found: dict[str, Figures] = {}
    for one in canaries[:MAX_CANARIES]:
        active, canary = one["runs"]["active"], one["runs"]["canary"]
        figures = (canary["messages"], canary["failed"], active["messages"], active["failed"])
        found[f"{one['customer']}.{one['pipeline']}"] = Figures(one["revision"], *figures)
    return found


@dataclass(frozen=True)
class NodeRecord:
    """`customer` is None for a node that serves all. `seen` is the sequence up to which everything that concerns the
    node is applied or refused, in the stream of vrsky_pipelines that `bucket` identifies. `refused` has the last of
    the keys that it refuses, `refused_total` how many there are. `canaries` are those that it runs, by key. `settings`
    is None in the record of a vrsky that knows no settings of a deployment. `started` is by the node's own clock,
    `up_seconds` by none."""

    id: str
    types: tuple[str, ...]
    customer: str | None
    version: str
    host: str
    started: str
    up_seconds: int = 0
    bucket: str = ""
    seen: int = 0
    pipelines: int = 0
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    refused_total: int = 0
    settings: SettingsSeen | None = None
    canaries: Mapping[str, Figures] = field(default_factory=dict)
    heard: float = 0.0
    """When the server got it, seconds since 1970 by its clock; 0 in a record that is to be written."""

    def concerns(self, customer: str) -> bool:
        is_left_out = self.settings is not None and customer in self.settings.left_out
        return self.customer in {None, customer} and not is_left_out

    def encode(self) -> bytes:
        whole = asdict(self)
        del whole["heard"]
        return json.dumps(whole, separators=(",", ":")).encode()


def decode(entry: Entry) -> NodeRecord | None:
    """None for what is no record, such as one of a later version with other fields."""
    try:
        whole = json.loads(entry.value or b"")
        refused = {
            key: Refusal(one["revision"], tuple(one["problems"]), bool(one["goes_on"]))
            for key, one in whole["refused"].items()
        }
        return NodeRecord(
            entry.key,
            tuple(whole["types"]),
            whole["customer"],
            str(whole["version"]),
            str(whole["host"]),
            str(whole["started"]),
            int(whole["up_seconds"]),
            str(whole["bucket"]),
            int(whole["seen"]),
            int(whole["pipelines"]),
            refused,
            int(whole["refused_total"]),
            _settings(whole.get("settings")),
            # An earlier version runs none.
            {key: Figures(**one) for key, one in whole.get("canaries", {}).items()},
            entry.time,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _settings(whole: Mapping[str, Any] | None) -> SettingsSeen | None:
    if whole is None:
        return None
    return SettingsSeen(
        str(whole["bucket"]),
        int(whole["seen"]),
        str(whole["topology"]),
        tuple(map(dict, whole["problems"])),
        tuple(whole["left_out"]),
        tuple(whole["moving"]),
    )


def bounded(refused: Mapping[str, Refusal]) -> dict[str, Refusal]:
    """The first of them, as many as a record has room for."""
    found: dict[str, Refusal] = {}
    size = 0
    for key, one in refused.items():
        size += len(json.dumps(asdict(one))) + len(key)
        if len(found) == MAX_REFUSED or size > _MAX_REFUSED_BYTES:
            break
        found[key] = one
    return found


async def nodes(client: Client) -> list[NodeRecord]:
    """Those that live, by their ids; none before the first one has made the bucket. Raises NatsError."""
    found = (decode(one) for one in await entries_if_any(client, NODES, (">",)) if one.value is not None)
    return sorted((one for one in found if one is not None), key=lambda one: one.id)


def _short(problem: Mapping[str, object]) -> dict[str, Any]:
    return {name: value[:_MAX_CHARACTERS] if isinstance(value, str) else value for name, value in problem.items()}
