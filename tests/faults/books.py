"""Whether everything that was accepted has ended as it should, and nothing else has come."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vrsky_fast.control import dead_letters
from vrsky_fast.control.connection import connect

from ..end_to_end.node import eventually
from ..end_to_end.servers import Request
from .deployment import Deployment
from .load import Load

# Without anything more: for what a killed node had in hand, and what is in the streams then.
SECONDS = 240


@dataclass
class Books:
    """`expected`: what the sink has to get, path and body, with its customer and number; `may_come` the same of what
    had no answer; `dead` the codes of dead letters by customer and number."""

    expected: dict[tuple[str, bytes], tuple[str, int]] = field(default_factory=dict)
    may_come: dict[tuple[str, bytes], tuple[str, int]] = field(default_factory=dict)
    dead: dict[tuple[str, int], str] = field(default_factory=dict)
    may_die: dict[tuple[str, int], str] = field(default_factory=dict)

    @classmethod
    def of(cls, deployment: Deployment, load: Load) -> Books:
        books = cls()
        for customer in deployment.customers:
            kinds = (
                (load.accepted[customer.name], books.expected, books.dead),
                (load.unknown[customer.name], books.may_come, books.may_die),
            )
            for numbers, delivered, dead in kinds:
                for number in numbers:
                    wanted = customer.wanted(number)
                    delivered.update(dict.fromkeys(wanted.delivered, (customer.name, number)))
                    if wanted.code is not None:
                        dead[customer.name, number] = wanted.code
        return books


def close(deployment: Deployment, load: Load, again: Callable[[], int] = lambda: 0) -> Counter[tuple[str, bytes]]:
    """Waits until all is there; asserts that nothing is lost, altered, strange, or another customer's. How often each
    came. `again` says how many dead letters may be repetitions."""
    load.stop()
    books = Books.of(deployment, load)
    assert books.expected, "nothing was accepted"

    _await_all(deployment, set(books.expected))
    eventually(lambda: books.dead.items() <= letters(deployment).keys(), "the dead letters", SECONDS)
    for node_type in ("logic", "outgoing"):
        eventually(lambda of=node_type: deployment.servers.in_hand(of) == 0, f"empty hands of {node_type}", SECONDS)
    died = letters(deployment)
    _nothing_strange(books, deployment, died)
    repeated = more_than_once(died)
    assert repeated <= again(), f"{repeated} dead letters are repetitions"
    return Counter((one.target, one.body) for one in list(deployment.sink.taken))


def _await_all(deployment: Deployment, missing: set[tuple[str, bytes]]) -> None:
    """Fails when nothing more of it comes. Looks at what is new alone: the sink is served by this process, too."""
    count, looked, until = len(missing), 0, time.monotonic() + SECONDS
    while missing:
        before = len(missing)
        new = deployment.sink.taken[looked:]
        looked += len(new)
        missing.difference_update((one.target, one.body) for one in new)
        now = time.monotonic()
        until = now + SECONDS if len(missing) < before else until
        assert now < until, f"{len(missing)} of {count} lost: {sorted(missing)[:5]}"
        time.sleep(0.1)


def _nothing_strange(books: Books, deployment: Deployment, died: Counter[tuple[tuple[str, int], str]]) -> None:
    taken = list(deployment.sink.taken)
    known = books.expected | books.may_come
    strange = [one for one in taken if (one.target, one.body) not in known]
    assert not strange, f"{len(strange)} came that nobody posted: {strange[:3]}"
    _ids_are_one_messages(taken, known)
    may_die = books.dead | books.may_die
    for about, code in died:
        assert may_die.get(about) == code, f"a dead letter of {about} with {code}"


def _ids_are_one_messages(taken: list[Request], known: dict[tuple[str, bytes], tuple[str, int]]) -> None:
    """An id is that of one thing, and names its customer."""
    things: dict[str, tuple[str, bytes]] = {}
    for one in taken:
        id_, thing = one.headers["idempotency-key"], (one.target, one.body)
        assert id_.startswith(f"{known[thing][0]}."), (id_, thing)
        assert things.setdefault(id_, thing) == thing, f"{id_} is {things[id_]} and {thing}"
    ids = Counter((one.target, one.body) for one in {one.headers["idempotency-key"]: one for one in taken}.values())
    assert max(ids.values()) == 1, "one message has come under several ids"


def letters(deployment: Deployment) -> Counter[tuple[tuple[str, int], str]]:
    """How often there is one of a customer's number with a code."""

    async def read() -> list[dead_letters.DeadLetter]:
        async with connect(deployment.servers.endpoint) as client:
            found = [one async for one in dead_letters.oldest_first(client, dead_letters.EVERYTHING)]
            # The list is without payloads.
            shown = [await dead_letters.show(client, one.sequence) for one in found]
            return [one for one in shown if one is not None]

    shown = deployment.servers.told(read)
    return Counter(((one.customer, json.loads(one.payload)["n"]), one.code) for one in shown)


def more_than_once(came: Counter[Any]) -> int:
    """How many of them were repetitions."""
    return came.total() - len(came)
