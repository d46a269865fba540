"""Which nodes have taken what was written to a bucket: waited for, by their records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from nats.aio.client import Client

from ..errors import NatsError
from .buckets import DEPLOYMENT, NODES, PIPELINES, identity
from .nodes import NodeRecord, Refusal, decode, nodes
from .watch import Watch

# Between two looks whether nodes that are waited for still live.
_LOOK_SECONDS = 2.0

SETTINGS = "settings"
"""In place of a key: that a node does not follow the settings of the deployment."""
_TOO_OLD = (
    {"code": "config/unsupported-version", "reason": "its vrsky is too old: it knows no settings of a deployment"},
)

State = Literal["applied", "refused", "waiting", "missing"]


@dataclass(frozen=True)
class NodeState:
    """`waiting` has not come so far, and lives; `missing` does not say anything any more. `refused` are the keys that
    the node does not run as they were written."""

    node: NodeRecord
    state: State
    refused: Mapping[str, Refusal] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        refused = {
            key: {"revision": one.revision, "goes_on": one.goes_on, "problems": list(one.problems)}
            for key, one in self.refused.items()
        }
        node = self.node
        return {"node": node.id, "types": node.types, "version": node.version, "state": self.state, "refused": refused}


Judge = Callable[[NodeRecord, bool], NodeState | None]
"""What a node makes of what is waited for, and whether it lives; None where that does not concern it."""


def state_of(node: NodeRecord, wanted: Mapping[str, int], bucket: str, is_alive: bool = True) -> NodeState | None:
    """Of the keys and their sequences in the bucket with this identity; None when none concerns the node."""
    own = {key: sequence for key, sequence in wanted.items() if node.concerns(key.partition(".")[0])}
    if not own:
        return None
    if not is_alive:
        return NodeState(node, "missing")
    if node.bucket != bucket or node.seen < max(own.values()):
        return NodeState(node, "waiting")
    refused = {key: one for key, one in node.refused.items() if key in own}
    return NodeState(node, "refused" if refused else "applied", refused)


def settings_state_of(node: NodeRecord, sequence: int, bucket: str, is_alive: bool = True) -> NodeState:
    """The same of the deployment's settings with this sequence."""
    if not is_alive:
        return NodeState(node, "missing")
    seen = node.settings
    if seen is None:
        return NodeState(node, "refused", {SETTINGS: Refusal(None, _TOO_OLD, True)})
    if seen.bucket != bucket or seen.seen < sequence:
        return NodeState(node, "waiting")
    if seen.moving:
        return NodeState(node, "waiting")
    if seen.problems:
        return NodeState(node, "refused", {SETTINGS: Refusal(None, seen.problems, True)})
    return NodeState(node, "applied")


async def wait(client: Client, wanted: Mapping[str, int], seconds: float) -> list[NodeState]:
    """Of every node that the keys concern, once all have come so far, or are gone, or time is up. Nodes that start
    meanwhile are among them. Raises NatsError."""
    bucket = await identity(client, PIPELINES)
    return await _wait(client, lambda node, is_alive: state_of(node, wanted, bucket, is_alive), seconds)


async def wait_for_settings(client: Client, sequence: int, seconds: float) -> list[NodeState]:
    """The same of every node, for the deployment's settings with this sequence."""
    bucket = await identity(client, DEPLOYMENT)
    return await _wait(client, lambda node, is_alive: settings_state_of(node, sequence, bucket, is_alive), seconds)


async def _wait(client: Client, judge: Judge, seconds: float) -> list[NodeState]:
    found: dict[str, NodeRecord] = {}
    ended: set[str] = set()
    news = asyncio.Event()
    following = asyncio.create_task(_follow(client, found, ended, news))
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _until_all(client, judge, found, ended, news, following)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    alive = {one.id for one in await nodes(client)}
    states = (judge(one, one.id in alive) for _, one in sorted(found.items()) if one.id not in ended)
    return [one for one in states if one is not None]


async def _until_all(
    client: Client,
    judge: Judge,
    found: Mapping[str, NodeRecord],
    ended: set[str],
    news: asyncio.Event,
    following: asyncio.Task[None],
) -> None:
    gone: set[str] = set()
    is_first = True
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), _LOOK_SECONDS)
        if following.done():
            following.result()
        if news.is_set():
            news.clear()
            is_first = False
        else:
            gone = found.keys() - {one.id for one in await nodes(client)}
        states = [judge(one, True) for one in found.values() if one.id not in ended | gone]
        if not is_first and all(one is None or one.state != "waiting" for one in states):
            return


async def _follow(client: Client, found: dict[str, NodeRecord], ended: set[str], news: asyncio.Event) -> None:
    """Ends where there is no bucket: no node has ever been."""
    try:
        await _records(client, found, ended, news)
    except NatsError as error:
        if error.code != "nats/no-stream":
            raise
        news.set()


async def _records(client: Client, found: dict[str, NodeRecord], ended: set[str], news: asyncio.Event) -> None:
    is_current = False
    async for batch in Watch(NODES).follow(client):
        for entry in batch.entries:
            record = decode(entry) if entry.value is not None else None
            if record is not None:
                found[entry.key] = record
                ended.discard(entry.key)
            elif entry.value is None:
                ended.add(entry.key)
        is_current |= batch.is_current
        if is_current:
            news.set()
