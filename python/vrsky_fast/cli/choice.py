"""The options that choose dead letters, and how people read what a command chose."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import click

from ..control.dead_letters import Wanted
from ..control.streams import STEPS

# JetStream's numbers have 64 bits.
SEQUENCE = click.IntRange(1, 2**64 - 1)

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def age(text: str) -> float:
    """`90s`, `15m`, `1h` or `7d` in seconds."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no time; write 90s, 15m, 1h or 7d")
    return float(int(found[1]) * _UNITS[found[2]])


def options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds them; the command gets them as `wanted`."""
    added = [
        click.option("--customer", metavar="NAME", help="Only of this customer."),
        click.option("--pipeline", metavar="NAME", help="Only of this pipeline."),
        click.option(
            "--code", "codes", metavar="CODE", multiple=True, help="Only with this code; `http` means all of them."
        ),
        click.option("--step", "steps", metavar="STEP", multiple=True, help="Only of this step, such as `out:erp`."),
        click.option("--older-than", metavar="TIME", type=age, help="Only what died so long ago, such as 1h."),
        click.option("--newer-than", metavar="TIME", type=age, help="Only what died since then, such as 15m."),
    ]

    @functools.wraps(function)
    def with_choice(
        customer: str | None,
        pipeline: str | None,
        codes: tuple[str, ...],
        steps: tuple[str, ...],
        older_than: float | None,
        newer_than: float | None,
        **rest: Any,
    ) -> int:
        return function(wanted=Wanted(customer, pipeline, codes, steps, older_than, newer_than), **rest)

    wrapped: Callable[..., int] = with_choice
    for option in reversed(added):
        wrapped = option(wrapped)
    return wrapped


def described(wanted: Wanted) -> str:
    """`all dead letters of acme/orders with http/rejected`"""
    parts = [
        f" of {whose(wanted.customer, wanted.pipeline)}",
        f" with {' or '.join(wanted.codes)}" if wanted.codes else "",
        f" of step {' or '.join(wanted.steps)}" if wanted.steps else "",
        f" older than {wanted.older_than:,.0f} s" if wanted.older_than is not None else "",
        f" newer than {wanted.newer_than:,.0f} s" if wanted.newer_than is not None else "",
    ]
    return "all dead letters" + "".join(parts)


def whose(customer: str | None, pipeline: str | None) -> str:
    """`acme/orders`, `acme`, `*/orders` or `all customers`"""
    if not (customer or pipeline):
        return "all customers"
    return f"{customer or '*'}{'/' + pipeline if pipeline else ''}"


def for_whom(out: str) -> str:
    """`for out erp`, or `for its steps`"""
    return "for its steps" if out == STEPS else f"for out {out}"


def counted(number: int, what: str = "dead letter") -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
