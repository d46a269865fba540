"""Where a node's pipelines come from: what `serve`, `pipelines` and `reload` know of a folder of files or of a bucket.

folder.py: files of a folder, looked at  ─┐
                                          ├─► states: Ready or Broken by path ─► reconcile ─► pipelines ─► engine
bucket.py: keys of a KV bucket, watched  ─┘                                                       │
                 ▲                                                                                │
                 └───────── handled: what this node made of it, up to which change ◄──────────────┘
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from ..config import Problem
from ..config.deployment import DeploymentSettings
from .leases import Member
from .polling import Watcher
from .profile import Profile
from .reconcile import Finding
from .settings import Settings
from .signals import Stop
from .states import Check, State


class Origin(Protocol):
    """All methods are called on the event loop, and by one task at a time."""

    @property
    def states(self) -> Mapping[str, State]:
        """Everything that there is, by path: what a finding calls a pipeline's file."""

    @property
    def deployment(self) -> DeploymentSettings | None:
        """The settings that all nodes of the deployment follow; None where there are none."""

    @property
    def closed(self) -> Collection[str]:
        """The customers whose ins take nothing in, since they move to other lanes."""

    @property
    def member(self) -> Member | None:
        """Who this node is among others that have the same pipelines; None where there are no others."""

    @property
    def follows(self) -> Mapping[str, int]:
        """By what it is configured from, `pipelines` and `settings`: the sequence up to which the node serves what was
        written there. Empty where there are no sequences."""

    @property
    def if_empty(self) -> Problem | None:
        """Why a node with nothing to serve does not start; None where it waits for what comes."""

    async def first(self, stop: Stop) -> bool:
        """Reads everything; False when a signal to stop came meanwhile. Raises what keeps the node from starting."""

    async def changed(self, stop: Stop) -> bool:
        """Returns soon after `states` or `deployment` have changed, or after some seconds: whether they have.
        `stop.reload` asks to read everything again."""

    def handled(self, findings: Sequence[Finding], running: int, profile: Profile) -> None:
        """The node serves what `states` said last but for `findings`: so many pipelines, as this profile. Called after
        the start, and after each change."""

    def report_canaries(self, canaries: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """From now on `canaries` says what each canary has run, as `Engine.canaries` does."""

    async def close(self) -> None:
        """The node takes nothing new. Called once or twice; raises nothing."""


MakeOrigin = Callable[[Check, Settings, Watcher], Origin]
"""The check says what else speaks against serving a pipeline here."""
