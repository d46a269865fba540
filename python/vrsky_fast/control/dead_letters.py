"""The dead letters: what failed for good, why, and the payload."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RawStreamMsg
from nats.js.errors import APIError, NotFoundError
from nats.js.errors import Error as JetStreamError

from .failure import fail
from .streams import DEAD, dead_subject

_BATCH = 500


@dataclass(frozen=True)
class DeadLetter:
    """`sequence` is its number in the stream and stays the same."""

    sequence: int
    customer: str
    pipeline: str
    step: str
    headers: dict[str, str] = field(repr=False)
    payload: bytes = field(default=b"", repr=False)

    @property
    def code(self) -> str:
        return self.headers.get("Vrsky-Code", "")

    @property
    def reason(self) -> str:
        return self.headers.get("Vrsky-Reason", "")

    @property
    def id(self) -> str:
        return self.headers.get("Vrsky-Id") or self.headers.get("Nats-Msg-Id", "")

    @property
    def time_ms(self) -> int:
        """When the message was accepted, milliseconds since the Unix epoch; 0 when unknown."""
        text = self.headers.get("Vrsky-Time", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0

    def as_json(self) -> dict[str, object]:
        return {
            "sequence": self.sequence,
            "customer": self.customer,
            "pipeline": self.pipeline,
            "step": self.step,
            "id": self.id,
            "code": self.code,
            "reason": self.reason,
            "place": self.headers.get("Vrsky-Place", ""),
            "time_ms": self.time_ms,
        }


async def newest(
    client: Client, limit: int, customer: str | None = None, pipeline: str | None = None
) -> list[DeadLetter]:
    """The newest `limit` ones, oldest first, without payloads. Raises NatsError, and ConfigError for what is
    no name."""
    subject = dead_subject(customer, pipeline)
    jetstream = client.jetstream(timeout=10)
    try:
        info = await jetstream.stream_info(DEAD)
    except NotFoundError:
        return []
    except APIError as error:
        fail("nats/refused", f"{DEAD}: {error.description}")
    except (JetStreamError, TimeoutError) as error:
        fail("nats/timeout", f"{DEAD}: JetStream did not answer: {error}")
    everything = customer is None and pipeline is None
    first = max(info.state.first_seq, info.state.last_seq - limit + 1) if everything else info.state.first_seq
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=max(1, first),
        headers_only=True,
        mem_storage=True,
        inactive_threshold=30.0,
    )
    subscription = await jetstream.pull_subscribe(subject, stream=DEAD, config=config)
    found: deque[DeadLetter] = deque(maxlen=limit)
    try:
        pending = (await subscription.consumer_info()).num_pending or 0
        while pending > 0:
            for message in await subscription.fetch(min(pending, _BATCH), timeout=5):
                pending -= 1
                found.append(_letter(message.metadata.sequence.stream, message.subject, dict(message.headers or {})))
    except TimeoutError:
        pass  # others removed some in the meantime
    finally:
        await subscription.unsubscribe()
    return list(found)


async def show(client: Client, sequence: int) -> DeadLetter | None:
    """One with its payload; None when there is none of this number."""
    try:
        message: RawStreamMsg = await client.jetstream(timeout=10).get_msg(DEAD, sequence)
    except NotFoundError:
        return None
    except APIError as error:
        fail("nats/refused", f"{DEAD}: {error.description}")
    except (JetStreamError, TimeoutError) as error:
        fail("nats/timeout", f"{DEAD}: JetStream did not answer: {error}")
    return _letter(sequence, message.subject or "", dict(message.headers or {}), message.data or b"")


async def remove(client: Client, sequences: Iterable[int]) -> list[int]:
    """Deletes these; returns the ones that were not there. Raises NatsError."""
    jetstream = client.jetstream(timeout=10)
    missing = []
    for sequence in sequences:
        try:
            await jetstream.delete_msg(DEAD, sequence)
        except APIError as error:
            if await show(client, sequence) is not None:
                fail("nats/refused", f"{DEAD}: {error.description}")
            missing.append(sequence)
        except (JetStreamError, TimeoutError) as error:
            fail("nats/timeout", f"{DEAD}: JetStream did not answer: {error}")
    return missing


async def purge(client: Client, customer: str | None = None, pipeline: str | None = None) -> int:
    """Deletes those of a customer, of one pipeline of it, or all there are; returns how many. Raises NatsError,
    and ConfigError for what is no name."""
    everything = customer is None and pipeline is None
    wanted = {} if everything else {"filter": dead_subject(customer, pipeline)}
    try:
        # By hand, as nats-py drops the number.
        message = await client.request(f"$JS.API.STREAM.PURGE.{DEAD}", json.dumps(wanted).encode(), timeout=30)
    except NatsError as error:
        fail("nats/timeout", f"{DEAD}: JetStream did not answer: {error}")
    answer = json.loads(message.data)
    if refused := answer.get("error"):
        if refused.get("code") == 404:
            return 0
        fail("nats/refused", f"{DEAD}: {refused.get('description')}")
    return int(answer["purged"])


def _letter(sequence: int, subject: str, headers: dict[str, str], payload: bytes = b"") -> DeadLetter:
    tokens = subject.split(".", 4) + [""] * 5
    return DeadLetter(sequence, tokens[2], tokens[3], headers.get("Vrsky-Step") or tokens[4], headers, payload)
