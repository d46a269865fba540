"""Messages that wait for a pipeline or an out that this node does not serve: counted, and reported.

    lanes         ─┐
                   ├─► names that are not served here ─► judge ─► report: new ones, and all of them
    VRSKY_PARKED  ─┘                                       └────► in a lane only: looked at once more, soon

The engine offers such a message again for a minute, then it sets it aside in VRSKY_PARKED. One that is seen in a lane
once may be in somebody's hands; it is reported when the next poll still finds some of its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from .._native import is_name
from ..control import subjects
from ..control.connection import connect
from ..control.served import Serving
from ..control.server_config import Endpoint
from ..control.streams import STEPS, Stream, parked
from ..errors import VrskyError
from ..facts import STEP_LANES
from .profile import Profile

_POLL_SECONDS = 30.0
# Until what was in a lane is looked at once more.
_AGAIN_SECONDS = 5.0
# After a change of the pipelines, so that many changes are one poll.
_SETTLE_SECONDS = 1.0
# Of one poll; the first one delays the start.
_TIMEOUT_SECONDS = 60.0
_START_TIMEOUT_SECONDS = 5.0
# The last token of a subject in a lane of steps, where it is not a step's label, such as `1:filter`.
_START = "in"
# Of one stream; further ones are not looked at.
_MAX_SUBJECTS = 200_000

Name = tuple[str, str, str]
"""Customer, pipeline, and out or STEPS."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """`out` is `streams.STEPS` for messages that wait for the steps of their pipeline."""

    customer: str
    pipeline: str
    out: str
    messages: int

    def as_json(self) -> dict[str, object]:
        return {"customer": self.customer, "pipeline": self.pipeline, "out": self.out, "messages": self.messages}


Report = Callable[[Sequence[Waiting], Sequence[Waiting]], None]
"""Gets those that were not reported before, and all of them."""


def name_of(subject: str, stream: Stream) -> Name | None:
    """Of a message in a lane or among the parked ones. None for what the engine does not write."""
    prefix = stream.prefix
    tokens = subject.removeprefix(prefix).split(".")
    if not subject.startswith(prefix) or len(tokens) != 3:
        return None
    customer, pipeline, out = tokens
    if stream.consumer in STEP_LANES:
        out = STEPS if out == _START or ":" in out else ""
    elif stream.consumer is not None and out == STEPS:
        return None
    if is_name(customer) and is_name(pipeline) and (out == STEPS or is_name(out)):
        return customer, pipeline, out
    return None


def unserved(
    counts: Mapping[str, int], stream: Stream, serving: Serving, types: Collection[str]
) -> Iterator[tuple[Name, int]]:
    """How many messages wait for what a node of these types would serve if it had it, and has not."""
    for subject, messages in counts.items():
        name = name_of(subject, stream)
        if name is None or serving.has(*name):
            continue
        if not (STEP_LANES if name[2] == STEPS else {"outgoing"}).isdisjoint(types):
            yield name, messages


def judge(
    set_aside: Mapping[Name, int], in_lanes: Mapping[Name, int], seen: Collection[Name]
) -> tuple[dict[Name, int], set[Name]]:
    """What is reported, and what is not yet. `seen` are names for which something waited before."""
    sure = {name: count for name, count in in_lanes.items() if name in seen or name in set_aside}
    found = {name: set_aside.get(name, 0) + sure.get(name, 0) for name in sorted({*set_aside, *sure})}
    return found, in_lanes.keys() - found.keys()


class WaitingPoll:
    """Asks the server now and then, and soon after `changed` is set, since what the node serves has changed."""

    def __init__(
        self,
        endpoint: Endpoint,
        profile: Callable[[], Profile],
        serving: Callable[[], Serving],
        changed: asyncio.Event,
        report: Report,
    ) -> None:
        self._endpoint, self._profile = endpoint, profile
        self._serving, self._changed, self._report = serving, changed, report
        self._found: dict[Name, int] = {}
        self._unsure: set[Name] = set()

    async def start(self) -> None:
        """The first poll, before the node takes anything from the lanes: all that is in them waits."""
        self._changed.clear()
        await self._poll(_START_TIMEOUT_SECONDS, is_at_rest=True)

    async def run(self) -> NoReturn:
        pause = _POLL_SECONDS
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)
                await asyncio.sleep(_SETTLE_SECONDS)
                pause = _POLL_SECONDS
            self._changed.clear()
            await self._poll(_TIMEOUT_SECONDS)
            # What others have in hand all the time is no reason to ask all the time.
            pause = _AGAIN_SECONDS if self._unsure and pause == _POLL_SECONDS else _POLL_SECONDS

    async def _poll(self, seconds: float, is_at_rest: bool = False) -> None:
        try:
            async with asyncio.timeout(seconds):
                profile = self._profile()
                counts = await self._count(_streams(profile))
        except (VrskyError, OSError):
            return  # the server is away, slow, or does not permit it: later
        set_aside, in_lanes = dict[Name, int](), dict[Name, int]()
        serving = self._serving()
        for stream, found in counts:
            group = set_aside if stream.consumer is None else in_lanes
            for name, messages in unserved(found, stream, serving, profile.types):
                group[name] = group.get(name, 0) + messages
        seen = in_lanes.keys() if is_at_rest else self._found.keys() | self._unsure
        before = self._found
        self._found, self._unsure = judge(set_aside, in_lanes, seen)
        if self._found != before:
            everything = [Waiting(*name, messages) for name, messages in self._found.items()]
            new = [one for one in everything if (one.customer, one.pipeline, one.out) not in before]
            self._report(new, everything)

    async def _count(self, streams: Sequence[Stream]) -> list[tuple[Stream, dict[str, int]]]:
        async with connect(self._endpoint) as client:
            return [(one, await subjects.counts(client, one.name, one.subject, _MAX_SUBJECTS)) for one in streams]


def _streams(profile: Profile) -> list[Stream]:
    """What the node looks after."""
    lanes = [one for one in profile.streams() if one.consumer in profile.types]
    if not STEP_LANES.isdisjoint(profile.types):
        lanes += profile.streams_left_behind()
    # What moves from a lane to the parked ones is in both for a moment: in this order it is not missed.
    return [*lanes, parked()] if lanes else []
