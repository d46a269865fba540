"""The whole messages that are kept beside the dead letters of their parts, until the last of these is gone."""

from __future__ import annotations

from nats.aio.client import Client

from ..facts import STEP_LANES
from . import subjects
from .dead_letters import EVERYTHING, oldest_first
from .streams import DEAD, PARKED, STEPS, original_subject, parked_subject


async def sweep(client: Client) -> None:
    """Deletes those of which no part is a dead letter, nor may become one again. Raises NatsError."""
    # In this order: what dies meanwhile is not among the first, and what was on its way is a letter, or in a lane.
    left = set(await subjects.counts(client, DEAD, original_subject(None, None)))
    if not left:
        return
    busy = await _busy(client)
    left = {subject for subject in left if tuple(subject.split(".")[2:4]) not in busy}
    async for letter in oldest_first(client, EVERYTHING):
        if letter.original is not None:
            left.discard(original_subject(letter.customer, letter.pipeline, letter.original))
    for subject in left:
        await subjects.purge(client, DEAD, subject)


async def _busy(client: Client) -> set[tuple[str, ...]]:
    """Customer and pipeline of messages that wait for steps: one may be a part that was sent again."""
    lanes = [f"vrsky.{lane}.*.*.*.*.*" for lane in sorted(STEP_LANES)]
    there = [(steps, stream) for steps in lanes for stream in await subjects.streams_of(client, steps)]
    waiting = [await subjects.counts(client, stream, steps) for steps, stream in there]
    parked = await subjects.counts(client, PARKED, parked_subject(None, None, STEPS))
    return {tuple(subject.split(".")[-3:-1]) for found in [*waiting, parked] for subject in found}
