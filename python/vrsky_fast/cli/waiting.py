"""What `vrsky run` shows of messages that wait for what it does not serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..node.waiting import Waiting
from .choice import counted, for_whom
from .terminal import Terminal, safe

HINT = "they go on when it is served again; `vrsky parked ls` lists what is set aside"

# In each line of `stats`.
_MAX_LISTED = 100


def line(terminal: Terminal, one: Waiting) -> str:
    name = safe(f"{one.customer}/{one.pipeline}")
    messages = f"{counted(one.messages, 'message')} {safe(for_whom(one.out))}"
    return f"{terminal.warning('waiting')}  {name}  {messages}: not served here"


def total(found: Sequence[Waiting]) -> int:
    return sum(one.messages for one in found)


def summary(found: Sequence[Waiting]) -> str:
    """Behind the counters of a run that ends."""
    messages = total(found)
    waits = "waits" if messages == 1 else "wait"
    return f", {counted(messages, 'message')} {waits} for what is not served here" if found else ""


def in_stats(found: Sequence[Waiting]) -> dict[str, Any]:
    """The first of them, and how many there are."""
    return {"waiting": [one.as_json() for one in found[:_MAX_LISTED]], "waiting_total": len(found)}
