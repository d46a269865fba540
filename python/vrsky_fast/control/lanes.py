"""Which lane a message belongs on: what `native/flow/src/engine/subjects.rs` says, for control work."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .streams import TIERS

_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
_LANE = re.compile(r"VRSKY_(LOGIC|OUTGOING)_([A-Z0-9]+)_([0-9]+)\Z")


def tier_of(backlog: int) -> str:
    """The smallest tier that holds so many messages."""
    return next((name for name, cap in TIERS.items() if backlog <= cap), list(TIERS)[-1])


def lane_of(customer: str, lanes: int) -> int:
    """FNV-1a (64 bit) of the name: the same on every machine."""
    value = _FNV_OFFSET
    for byte in customer.encode():
        value = (value ^ byte) * _FNV_PRIME % 2**64
    return value % max(lanes, 1)


@dataclass(frozen=True)
class Lanes:
    """The lanes of a deployment: how many each tier of a node type has."""

    counts: dict[tuple[str, str], int]

    @classmethod
    def among(cls, streams: Iterable[str]) -> Lanes:
        """Those of a server with these streams."""
        counts: dict[tuple[str, str], int] = {}
        for found in map(_LANE.match, streams):
            if found is not None:
                key = found[1].lower(), found[2].lower()
                counts[key] = max(counts.get(key, 0), int(found[3]) + 1)
        return cls(counts)

    def find(self, lane_type: str, tier: str | None, customer: str) -> tuple[str, str] | None:
        """Stream and subject, up to the lane, of a customer's messages. `tier` None is the smallest one there is: a
        node reads them all. None when there is no such lane."""
        tiers = [tier] if tier is not None else list(TIERS)
        for one in tiers:
            if count := self.counts.get((lane_type, one)):
                lane = lane_of(customer, count)
                return f"VRSKY_{lane_type}_{one}_{lane}".upper(), f"vrsky.{lane_type}.{one}.{lane}"
        return None
