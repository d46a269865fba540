"""A share of messages, and what decides on a canary that has one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

WHOLE = 1_000_000
"""All messages: shares are counted in millionths."""

OVER = 100
"""A rate means little over fewer messages."""


@dataclass(frozen=True)
class Rule:
    """`abort_above` is the share of a canary's messages that may fail, in millionths, looked at once it has run `over`
    messages. `promote_after` are the seconds after which one that stays below is promoted. None: by hand."""

    abort_above: int | None = None
    over: int = OVER
    promote_after: int | None = None

    @property
    def decides(self) -> bool:
        return self.abort_above is not None or self.promote_after is not None

    def as_json(self) -> dict[str, int | None]:
        return asdict(self)

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """None for what `as_json` does not give."""
        if not isinstance(value, dict) or set(value) != {"abort_above", "over", "promote_after"}:
            return None
        are_right = (type(one) is int and one >= 0 for one in value.values() if one is not None)
        return cls(**value) if all(are_right) and value["over"] is not None else None


def percent(millionths: int) -> str:
    """Such as `5 %`."""
    return f"{millionths / 10_000:g} %"
