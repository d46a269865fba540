"""Customers that move between shared lanes and lanes of their own, as one node sees it.

    settings: acme has lanes of its own
        shared nodes      close acme's ins (503), go on with its lanes ──► empty ──► leave acme out
        nodes of acme     install its pipelines with closed ins ─────────► empty ──► open them

A move is over when every node of the old side has taken the settings, so that no in of it takes anything more in, and
the old lanes hold nothing of the customer. Then nothing new can come into them, and what the new side takes in comes
after all that was there. The way back is the same with the sides changed. A node that starts looks as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nats.aio.client import Client

from .._native import lane_of
from ..config.deployment import DeploymentSettings
from ..control.connection import connect
from ..control.nodes import NodeRecord, nodes
from ..control.server_config import Endpoint
from ..control.streams import OWN_SUBJECTS, Stream, lanes_of, own_lanes, own_lanes_among, within
from ..control.subjects import counts, streams_of
from ..errors import VrskyError
from .profile import Profile

# A message is in one of the lanes at any time, and passes from one to another: two looks have to find nothing.
_LOOKS = 2


class Moves:
    """`look` is called until nothing is `unsettled`, and after each change of the settings."""

    def __init__(self, endpoint: Endpoint, profile: Profile, note: Callable[[str], None]) -> None:
        self._endpoint, self._profile, self._note = endpoint, profile, note
        self._own: frozenset[str] = frozenset()
        self._empty: dict[str, int] = {}
        """Looks in a row that have found nothing on the old side, by customer that moves or has moved."""
        self._said: dict[str, str] = {}

    @property
    def unsettled(self) -> tuple[str, ...]:
        """The customers whose move is not over."""
        return tuple(sorted(one for one, looks in self._empty.items() if looks < _LOOKS))

    @property
    def left_out(self) -> tuple[str, ...]:
        """The customers that this node does not serve, now or once their move is over."""
        if (customer := self._profile.customer) is not None:
            return () if customer in self._own else (customer,)
        return tuple(sorted(self._own))

    @property
    def closed(self) -> tuple[str, ...]:
        """The customers whose ins take nothing in here."""
        return tuple(sorted({*self.unsettled, *self.left_out}))

    def serves(self, customer: str) -> bool:
        """Whether the pipelines of a customer are to run here, with open ins or closed ones."""
        return customer in self.unsettled or customer not in self.left_out

    def follow(self, settings: DeploymentSettings) -> None:
        """Begins the moves that these settings ask for."""
        changed = self._own ^ settings.own_lanes
        self._own = settings.own_lanes
        self._empty |= {one: 0 for one in changed if self._concerns(one)}

    def _concerns(self, customer: str) -> bool:
        return self._profile.customer in {None, customer}

    async def begin(self, client: Client, settings: DeploymentSettings, seen: int, bucket: str) -> None:
        """At the start of a node: what has settled before is found settled at once. Raises NatsError."""
        there = {one.customer or "" for one in own_lanes_among(await streams_of(client, OWN_SUBJECTS))}
        self._own = settings.own_lanes
        self._empty = {one: 0 for one in there | self._own if self._concerns(one)}
        if (customer := self._profile.customer) is not None:
            self._empty.setdefault(customer, 0)
        for _ in range(_LOOKS):
            await self._look(client, seen, bucket)
        self._report()

    async def look(self, seen: int, bucket: str) -> bool:
        """Whether a move has ended: looked at the lanes and at the other nodes, which have to have taken the settings
        up to `seen` in the bucket that this identifies. Raises nothing: what does not answer has not ended."""
        before = self.unsettled
        try:
            async with connect(self._endpoint) as client:
                await self._look(client, seen, bucket)
        except (VrskyError, OSError):
            return False
        self._report()
        return self.unsettled != before

    async def _look(self, client: Client, seen: int, bucket: str) -> None:
        if not (moving := self.unsettled):
            return
        running = await nodes(client)
        for customer in moving:
            reason = await self._reason(client, customer, running, (seen, bucket))
            self._empty[customer] = 0 if reason else self._empty[customer] + 1
            if reason:
                self._say(customer, f"{self._where(customer)}: its ins are closed, since {reason}")

    async def _reason(
        self, client: Client, customer: str, running: Iterable[NodeRecord], at: tuple[int, str]
    ) -> str | None:
        """Why a move is not over; None when it is."""
        to_own = customer in self._own
        old_side = (one for one in running if one.customer == (None if to_own else customer))
        if late := [one.id for one in old_side if not _has_taken(one, at)]:
            return f"{late[0]} has not taken the settings"
        for lane in self._old_lanes(customer):
            if found := await counts(client, lane.name, within(lane, customer, None), 1):
                return f"{sum(found.values()):,} messages and more wait in {lane.name}"
        return None

    def _old_lanes(self, customer: str) -> Iterable[Stream]:
        if customer not in self._own:
            return own_lanes(customer)
        return lanes_of(self._profile.tiers, lane_of(customer, self._profile.lanes))

    def _where(self, customer: str) -> str:
        return f"{customer} moves to {'lanes of its own' if customer in self._own else 'the shared lanes'}"

    def _report(self) -> None:
        for customer, looks in self._empty.items():
            if looks >= _LOOKS and customer in self._said:
                served = "served here" if self.serves(customer) else "not served here"
                self._note(f"{self._where(customer)}: done, and it is {served}")
                del self._said[customer]
        if self._profile.customer in self.left_out and not self.unsettled:
            self._say_idle()

    def _say_idle(self) -> None:
        customer = self._profile.customer or ""
        self._say(
            "",
            f"this node serves nothing until {customer} has lanes of its own: `vrsky settings set"
            f" customers.{customer}.lanes=own`",
        )

    def _say(self, customer: str, text: str) -> None:
        """Once for each move, whatever it waits for first."""
        if customer not in self._said:
            self._said[customer] = text
            self._note(text)


def _has_taken(node: NodeRecord, at: tuple[int, str]) -> bool:
    seen, bucket = at
    return node.settings is not None and node.settings.bucket == bucket and node.settings.seen >= seen
