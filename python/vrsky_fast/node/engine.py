"""The engine as the rest of this package sees it: the only caller of `_native.Node`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from .. import _native
from ..config import PipelineFile
from ..control.server_config import Endpoint
from ..errors import VrskyError
from .events import Events
from .profile import Profile
from .sandbox import default_memory, zygote_command

# A node that is only asked needs no server; the address is never dialled.
_NOBODY = Endpoint("nats://127.0.0.1:4222")


Install = tuple[PipelineFile, dict[str, str], tuple[PipelineFile, int] | None]
"""A pipeline, the values of its secrets by their names, and a canary with its share in millionths."""


@dataclass(frozen=True)
class Changes:
    """The stats of the pipelines that have changed, and customer and name of those that were removed."""

    changed: list[dict[str, Any]]
    removed: list[tuple[str, str]]


NOTHING = Changes([], [])


class Engine:
    """Calls that block run on a thread; everything else returns at once. What is raised is the core's."""

    def __init__(self, profile: Profile, endpoint: Endpoint, max_payload: int | None = None) -> None:
        config = profile.for_engine(endpoint, max_payload)
        if profile.isolates:
            memory = profile.script_memory or default_memory()
            self._node = _native.Node(config, zygote_command(), profile.script_workers, memory)
        else:
            self._node = _native.Node(config)

    @classmethod
    def to_ask(cls, profile: Profile, max_payload: int | None = None) -> Self:
        """One that is asked whether pipelines and their connectors would work, and never started."""
        return cls(replace(profile, isolates=False), _NOBODY, max_payload)

    async def change(
        self, installs: Sequence[Install], removes: Sequence[tuple[str, str]] = (), dry: bool = False
    ) -> tuple[int, VrskyError] | None:
        """See `_native.Node.change`."""
        compiled = [(one.compiled, secrets) for one, secrets, _ in installs]
        given = ((place, canary) for place, (_, _, canary) in enumerate(installs) if canary is not None)
        canaries = {place: (file.compiled, millionths) for place, (file, millionths) in given}
        return await asyncio.to_thread(self._node.change, compiled, removes, dry, canaries)

    async def serve_as(self, profile: Profile) -> None:
        """See `_native.Node.serve_as`."""
        await asyncio.to_thread(self._node.serve_as, profile.part())

    def check(self, one: PipelineFile, secrets: dict[str, str]) -> list[dict[str, Any]]:
        """See `_native.Node.check`. Blocks for some seconds at most."""
        found: list[dict[str, Any]] = json.loads(self._node.check(one.compiled, None, secrets))
        return found

    async def start(self) -> None:
        """Binds and connects; returns when every shard runs."""
        await asyncio.to_thread(self._node.start)

    def address(self) -> str | None:
        """Where HTTP pipelines are served, such as http://127.0.0.1:8080."""
        addresses = self._node.addresses()
        return f"http://{addresses[0]}" if addresses else None

    def listeners(self) -> list[int]:
        """See `_native.Node.listeners`."""
        return self._node.listeners()

    def stats(self) -> list[dict[str, Any]]:
        """Of every pipeline."""
        stats: list[dict[str, Any]] = json.loads(self._node.stats())
        return stats

    def canaries(self) -> list[dict[str, Any]]:
        """See `_native.Node.canaries`."""
        found: list[dict[str, Any]] = json.loads(self._node.canaries())
        return found

    def changes(self) -> Changes:
        """Since the last call; of everything at the first one."""
        found = json.loads(self._node.stats_changed())
        return Changes(found["changed"], [(customer, pipeline) for customer, pipeline in found["removed"]])

    def metrics(self, customers: int) -> dict[str, Any]:
        """The node as a whole, and so many customers, those with the most messages. From any thread."""
        found: dict[str, Any] = json.loads(self._node.metrics(customers))
        workers = self._node.script_workers()
        return found | {"script_workers": None if workers is None else json.loads(workers)}

    def shards(self) -> Sequence[Mapping[str, Any]]:
        """How each shard is, as `metrics` says it. From any thread."""
        found: Sequence[Mapping[str, Any]] = json.loads(self._node.metrics(None))["shards"]
        return found

    def check_shards(self) -> None:
        """Raises InternalError when a part of the node has ended by itself, as `events` does."""
        self._node.check_shards()

    def boot_ms(self) -> int:
        """The clock of leases."""
        return self._node.boot_ms()

    def begin_lease(self, until_ms: int) -> None:
        """See `_native.Node.begin_lease`."""
        self._node.begin_lease(until_ms)

    def renew_lease(self, until_ms: int) -> bool:
        """See `_native.Node.renew_lease`."""
        return self._node.renew_lease(until_ms)

    async def lease(self, grant: Collection[tuple[str, str]], revoke: Collection[tuple[str, str]]) -> None:
        """See `_native.Node.lease`."""
        await asyncio.to_thread(self._node.lease, list(grant), list(revoke))

    def events(self) -> Events:
        return Events(self._node.events())

    async def drain(self, seconds: float) -> bool:
        """Whether everything was finished in time."""
        return await asyncio.to_thread(self._node.drain, seconds)
