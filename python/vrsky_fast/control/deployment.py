"""The settings of the deployment in the bucket vrsky_deployment: read, and changed by compare-and-set."""

from __future__ import annotations

from dataclasses import dataclass

from nats.aio.client import Client

from ..config import InvalidConfig
from ..config.deployment import DeploymentSettings, decode
from ..config.problem import Problem
from .buckets import DEPLOYMENT, Conflict, Entry, put, when, who
from .failure import fail
from .watch import entries_if_any

KEY = "settings"


@dataclass(frozen=True, slots=True)
class Version:
    """What the key holds, or held. `settings` is None where the value is none, as `problems` say then; those of a key
    that is deleted say nothing. `time` is the server's, in seconds since 1970."""

    sequence: int
    time: float
    settings: DeploymentSettings | None
    user: str = ""
    note: str = ""
    problems: tuple[Problem, ...] = ()
    is_deleted: bool = False

    @property
    def when(self) -> str:
        return when(self.time)

    @property
    def by(self) -> str:
        """For people."""
        return who(self.user, self.note)

    def as_json(self) -> dict[str, object]:
        return {
            "settings": None if self.settings is None else dict(self.settings.values),
            "deleted": self.is_deleted,
            "sequence": self.sequence,
            "user": self.user,
            "note": self.note,
            "time_ms": int(self.time * 1000),
            "problems": [one.as_json() for one in self.problems],
        }


def version_of(entry: Entry) -> Version:
    if entry.value is None:
        return Version(entry.sequence, entry.time, DeploymentSettings(), is_deleted=True)
    try:
        settings, user, note = decode(entry.value)
    except InvalidConfig as invalid:
        return Version(entry.sequence, entry.time, None, problems=invalid.problems)
    return Version(entry.sequence, entry.time, settings, user, note)


async def history(client: Client) -> list[Version]:
    """The oldest first, at most 10; none before anybody has set anything. Raises NatsError."""
    return [version_of(one) for one in await entries_if_any(client, DEPLOYMENT, (KEY,), history=True)]


def in_force(versions: list[Version]) -> DeploymentSettings:
    """What nodes follow: the last one that can be used."""
    return next((one.settings for one in reversed(versions) if one.settings is not None), DeploymentSettings())


async def write(client: Client, settings: DeploymentSettings, user: str, note: str, last: int) -> int:
    """Puts it where the key still holds what has the sequence `last`, 0 for nothing; the new sequence. Raises
    ConfigError `config/changed-meanwhile`, which says who was quicker, and NatsError."""
    try:
        return await put(client, DEPLOYMENT, KEY, settings.encode(user, note), {}, last)
    except Conflict:
        pass
    there = await history(client)
    if not there:
        fail("config/changed-meanwhile", "the settings were purged meanwhile")
    other = there[-1]
    what = "deleted" if other.is_deleted else "changed"
    fail("config/changed-meanwhile", f"the settings were {what} by {other.by} at {other.when}")
