"""The record of this node in the bucket vrsky_nodes: written when something has changed, and often enough to stay."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn

from .. import __version__
from .._native import subject_token
from ..control.buckets import DELETED, NODES, make, put
from ..control.connection import connect
from ..control.nodes import NodeRecord, Refusal, SettingsSeen, bounded, figures_of
from ..control.server_config import Endpoint
from ..errors import VrskyError

# The bucket forgets a record after 15 s.
_BEAT_SECONDS = 4.0
_AGAIN_SECONDS = 1.0
_REMOVE_SECONDS = 3.0


class Acknowledgement:
    """`run` writes until it is cancelled; `remove` takes the record away."""

    def __init__(
        self,
        endpoint: Endpoint,
        customer: str | None,
        replicas: int | None,
        note: Callable[[str], None],
    ) -> None:
        host = socket.gethostname()
        self.id = f"{subject_token(host)[:40]}-{secrets.token_hex(4)}"
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self._record = NodeRecord(self.id, (), customer, __version__, host, started)
        self._endpoint, self._replicas, self._note = endpoint, replicas, note
        self._began = time.monotonic()
        self._changed = asyncio.Event()
        self._is_there = False
        self.canaries: Callable[[], Sequence[Mapping[str, Any]]] = list
        """What each canary has run, as `Engine.canaries` says it."""

    def report(
        self,
        types: tuple[str, ...],
        settings: SettingsSeen,
        bucket: str,
        seen: int,
        pipelines: int,
        refused: Mapping[str, Refusal],
    ) -> None:
        """`refused`: what matters most first."""
        self._record = replace(
            self._record,
            types=types,
            settings=settings,
            bucket=bucket,
            seen=seen,
            pipelines=pipelines,
            refused=bounded(refused),
            refused_total=len(refused),
        )
        self._changed.set()

    async def run(self) -> NoReturn:
        said = ""
        while True:
            try:
                async with connect(self._endpoint) as client:
                    await make(client, NODES, self._replicas)
                    while True:
                        self._changed.clear()
                        await put(client, NODES, self.id, self._now().encode(), {}, None)
                        self._is_there, said = True, ""
                        with suppress(TimeoutError):
                            await asyncio.wait_for(self._changed.wait(), _BEAT_SECONDS)
            except (VrskyError, OSError) as error:
                if str(error) != said:
                    said = str(error)
                    self._note(f"this node cannot say what it runs, which is tried again: {error}")
            await asyncio.sleep(_AGAIN_SECONDS)

    def _now(self) -> NodeRecord:
        up = int(time.monotonic() - self._began)
        return replace(self._record, up_seconds=up, canaries=figures_of(self.canaries()))

    async def remove(self) -> None:
        """Nobody waits for this node any more. Raises nothing: the record goes by itself, later."""
        if not self._is_there:
            return
        with suppress(VrskyError, OSError, TimeoutError):
            async with asyncio.timeout(_REMOVE_SECONDS), connect(self._endpoint) as client:
                await put(client, NODES, self.id, b"", DELETED, None)
        self._is_there = False
