"""What nodes have run of a canary, and what its rule makes of that.

records of the nodes ──► Tally.take ──► Figures of all ──► decide ──► wait · abort · promote · undecided
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from ..config.share import Rule, percent
from .nodes import Figures, NodeRecord, Refusal

Decision = Literal["wait", "abort", "promote", "undecided"]


class Tally:
    """The last figures of each node, also of those that have ended since: a node that dies takes no failures along.
    `clock` is the server's, in seconds since 1970: when it got the last record."""

    def __init__(self, key: str, revision: str) -> None:
        self._key, self._revision = key, revision
        self._nodes: dict[str, Figures] = {}
        self.refused: Refusal | None = None
        """By a node that lives and was asked last."""
        self.clock = 0.0

    def take(self, records: Iterable[NodeRecord], bucket: str, sequence: int) -> None:
        """Records of nodes that live. `sequence` is that of the value with the canary, in the bucket of this identity:
        what a node says of an earlier value is not counted."""
        self.refused = None
        for one in records:
            self.clock = max(self.clock, one.heard)
            if one.bucket != bucket or one.seen < sequence:
                continue
            figures = one.canaries.get(self._key)
            if figures is not None and figures.revision == self._revision:
                self._nodes[one.id] = figures
            self.refused = one.refused.get(self._key, self.refused)

    def figures(self) -> Figures:
        """Of all nodes together."""
        return added(self._revision, self._nodes.values())


def added(revision: str, figures: Iterable[Figures]) -> Figures:
    found = [one for one in figures if one.revision == revision]
    return Figures(
        revision,
        sum(one.messages for one in found),
        sum(one.failed for one in found),
        sum(one.active_messages for one in found),
        sum(one.active_failed for one in found),
    )


def of_nodes(key: str, revision: str, records: Iterable[NodeRecord]) -> Figures:
    """What the nodes that live have run."""
    return added(revision, (one.canaries[key] for one in records if key in one.canaries))


def decide(rule: Rule, figures: Figures, seconds: float, is_refused: bool) -> tuple[Decision, str]:
    """What is to become of a canary that is there for so many seconds, and why. `undecided`: its time is over, and it
    has run too few messages to say anything."""
    is_enough = figures.messages >= max(rule.over, 1)
    if rule.abort_above is not None:
        if is_refused:
            return "abort", "a node refuses it"
        if is_enough and figures.failed * 1_000_000 > rule.abort_above * figures.messages:
            return "abort", f"{rate(figures.failed, figures.messages)}, above {percent(rule.abort_above)}"
    if rule.promote_after is None or seconds < rule.promote_after:
        return "wait", ""
    if rule.abort_above is not None and not is_enough:
        return "undecided", f"it has run {figures.messages:,} messages, and {rule.over:,} are needed to decide"
    return "promote", rate(figures.failed, figures.messages)


def rate(failed: int, messages: int) -> str:
    """Such as `12 of 240 failed (5 %)`."""
    part = f" ({100 * failed / messages:.3g} %)" if messages else ""
    return f"{failed:,} of {messages:,} failed{part}"


def as_json(figures: Figures) -> Mapping[str, Mapping[str, int]]:
    return {
        "canary": {"messages": figures.messages, "failed": figures.failed},
        "active": {"messages": figures.active_messages, "failed": figures.active_failed},
    }
