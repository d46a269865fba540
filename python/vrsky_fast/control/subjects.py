"""What the server knows of subjects: the streams that have them, how many messages each has; and their deletion."""

from __future__ import annotations

import json
from typing import Any

from nats.aio.client import Client

from .answers import answers
from .failure import fail


async def streams_of(client: Client, subject: str) -> list[str]:
    """The names of the streams that take subjects like this. Raises NatsError."""
    names: list[str] = []
    while True:
        told = await _ask(client, "STREAM.NAMES", {"subject": subject, "offset": len(names)}, "JetStream")
        more = (told or {}).get("streams") or []
        names += more
        if not more or len(names) >= (told or {}).get("total", 0):
            return names


async def counts(client: Client, stream: str, subject: str, most: int | None = None) -> dict[str, int]:
    """How many messages each of these subjects has, `subject` with wildcards; without those that have none. Empty
    when the stream is not there. With `most` it stops as soon as it has so many subjects. Raises NatsError."""
    found: dict[str, int] = {}
    while True:
        wanted = {"subjects_filter": subject, "offset": len(found)}
        told = await _ask(client, f"STREAM.INFO.{stream}", wanted, stream)
        more = told["state"].get("subjects") or {} if told else {}
        found |= more
        # The server answers some of them at a time.
        total = (told or {}).get("total", 0)
        if not more or len(found) >= (total if most is None else min(total, most)):
            return found


async def handed_out(client: Client, stream: str, subject: str) -> int:
    """How many messages of these subjects, `subject` with wildcards, consumers of one subject each have given to
    somebody who has not settled them. 0 when the stream is not there. Raises NatsError."""
    count, seen = 0, 0
    while True:
        told = await _ask(client, f"CONSUMER.LIST.{stream}", {"offset": seen}, stream)
        consumers = (told or {}).get("consumers") or []
        for one in consumers:
            if _covers(subject, one["config"].get("filter_subject", "")):
                count += one["num_ack_pending"]
        seen += len(consumers)
        if not consumers or seen >= (told or {}).get("total", 0):
            return count


def _covers(pattern: str, subject: str) -> bool:
    wanted, tokens = pattern.split("."), subject.split(".")
    return len(wanted) == len(tokens) and all(one in ("*", token) for one, token in zip(wanted, tokens, strict=True))


async def purge(client: Client, stream: str, subject: str) -> int:
    """Deletes the messages of these subjects, `subject` with wildcards; returns how many. 0 when the stream is not
    there. Raises NatsError."""
    # By hand, as nats-py drops the number.
    told = await _ask(client, f"STREAM.PURGE.{stream}", {"filter": subject}, stream)
    return int(told["purged"]) if told else 0


async def _ask(client: Client, verb: str, wanted: dict[str, Any], what: str) -> dict[str, Any] | None:
    """None when there is no such stream."""
    with answers(what):
        answer = await client.request(f"$JS.API.{verb}", json.dumps(wanted).encode(), timeout=30)
    told: dict[str, Any] = json.loads(answer.data)
    refused = told.get("error")
    if refused is None:
        return told
    if refused.get("code") == 404:
        return None
    fail("nats/refused", f"{what}: {refused.get('description')}")
