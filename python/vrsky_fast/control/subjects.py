"""What the server knows of subjects: the streams that have them, how many messages each has; and their deletion."""

from __future__ import annotations

import json
from typing import Any

from nats.aio.client import Client

from .access import AS_USUAL
from .answers import PASSES, answers
from .failure import fail
from .tls import StrictClient


async def streams_of(client: Client, subject: str) -> list[str]:
    """The names of the streams that take subjects like this. Raises NatsError."""
    return await _all(client, "STREAM.NAMES", {"subject": subject}, "streams", "JetStream")


async def counts(client: Client, stream: str, subject: str, most: int | None = None) -> dict[str, int]:
    """How many messages each of these subjects has, `subject` with wildcards; without those that have none. Empty
    when the stream is not there. With `most` it stops as soon as it has so many subjects. Raises NatsError."""
    found: dict[str, int] = {}
    while True:
        wanted = {"subjects_filter": subject, "offset": len(found)}
        told = await ask(client, f"STREAM.INFO.{stream}", wanted, stream)
        more = told["state"].get("subjects") or {} if told else {}
        found |= more
        # The server answers some of them at a time.
        total = (told or {}).get("total", 0)
        if not more or len(found) >= (total if most is None else min(total, most)):
            return found


async def consumers_of(client: Client, stream: str) -> list[Any]:
    """What the server tells of each consumer of a stream; empty when the stream is not there. Raises NatsError."""
    return await _all(client, f"CONSUMER.LIST.{stream}", {}, "consumers", stream)


async def handed_out(client: Client, stream: str, subject: str) -> int:
    """How many messages of these subjects, `subject` with wildcards, consumers of one subject each have given to
    somebody who has not settled them. 0 when the stream is not there. Raises NatsError."""
    consumers = await consumers_of(client, stream)
    covered = (one for one in consumers if _covers(subject, one["config"].get("filter_subject", "")))
    return sum(one["num_ack_pending"] for one in covered)


def _covers(pattern: str, subject: str) -> bool:
    wanted, tokens = pattern.split("."), subject.split(".")
    return len(wanted) == len(tokens) and all(one in ("*", token) for one, token in zip(wanted, tokens, strict=True))


async def purge(client: Client, stream: str, subject: str) -> int:
    """Deletes the messages of these subjects, `subject` with wildcards; returns how many. 0 when the stream is not
    there. Raises NatsError."""
    # By hand, as nats-py drops the number.
    told = await ask(client, f"STREAM.PURGE.{stream}", {"filter": subject}, stream)
    return int(told["purged"]) if told else 0


async def _all(client: Client, verb: str, wanted: dict[str, Any], key: str, what: str) -> list[Any]:
    """What stands under `key` in all answers, of which each has some; empty when there is no such stream."""
    found: list[Any] = []
    while True:
        told = await ask(client, verb, {**wanted, "offset": len(found)}, what) or {}
        more = told.get(key) or []
        found += more
        if not more or len(found) >= told.get("total", 0):
            return found


def _api(client: Client) -> str:
    """What subjects of JetStream's API begin with; nats-py has no public name for it."""
    return client.access.api if isinstance(client, StrictClient) else AS_USUAL.api


async def ask(client: Client, verb: str, wanted: dict[str, Any], what: str) -> dict[str, Any] | None:
    """What JetStream's API answers; None when there is no such stream or consumer. Raises NatsError."""
    with answers(what):
        answer = await client.request(f"{_api(client)}.{verb}", json.dumps(wanted).encode(), timeout=30)
    told: dict[str, Any] = json.loads(answer.data)
    refused = told.get("error")
    if refused is None:
        return told
    if refused.get("code") == 404:
        return None
    code = "nats/timeout" if refused.get("err_code") in PASSES else "nats/refused"
    fail(code, f"{what}: {refused.get('description')}")
