"""Which lane a message belongs on, for control work. The rule is the engine's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from .._native import lane_of
from ..facts import STREAMS, TIERS
from . import streams as known


@dataclass(frozen=True)
class Lanes:
    """The lanes of a deployment: how many each tier of a node type has, and the lanes of customers that have their
    own."""

    counts: dict[tuple[str, str], int]
    own: dict[tuple[str, str], list[known.Stream]] = field(default_factory=dict)

    @classmethod
    def among(cls, streams: Iterable[str], dedicated: Collection[str] = ()) -> Lanes:
        """Those of a server with these streams, where the `dedicated` customers have their own."""
        there = set(streams)
        found = Counter((one.consumer, one.tier) for one in STREAMS if one.name in there)
        own: dict[tuple[str, str], list[known.Stream]] = {}
        for one in known.own_lanes_among(there):
            if one.customer is not None and one.customer in dedicated and one.consumer is not None:
                own.setdefault((one.consumer, one.customer), []).append(one)
        return cls({(kind, tier): count for (kind, tier), count in found.items() if kind and tier}, own)

    def find(self, lane_type: str, tier: str | None, customer: str) -> tuple[str, str] | None:
        """Stream and subject, up to the lane, of a customer's messages. `tier` None is the smallest one there is: a
        node reads them all. None when there is no such lane."""
        for one in [tier] if tier is not None else TIERS:
            cap = TIERS.get(one)
            for own in self.own.get((lane_type, customer), ()):
                if own.cap == cap:
                    return own.name, own.prefix.removesuffix(".")
            if count := self.counts.get((lane_type, one)):
                lane = known.lane(lane_type, one, lane_of(customer, count))
                return lane.name, lane.subject.removesuffix(".>")
        return None
