"""The most that an operator lets pipeline files ask for: options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable

import click

from ..facts import DEFAULTS, LEAST_CEILINGS, Ceilings


def options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds them; the command gets them as `ceilings`."""

    @functools.wraps(function)
    def with_ceilings(max_cpu_ms: int, max_memory_mb: int, max_fuel: int, **rest: object) -> int:
        return function(ceilings=Ceilings(max_cpu_ms, max_memory_mb, max_fuel), **rest)

    added = (
        click.option(
            "--max-cpu-ms",
            default=DEFAULTS.ceilings.cpu_ms,
            show_default=True,
            type=click.IntRange(LEAST_CEILINGS.cpu_ms),
            help="The most that a pipeline file may ask for by limits.script.cpu_ms; one that asks for more is refused."
            " Other customers may wait that long for a script that overruns.",
        ),
        click.option(
            "--max-memory-mb",
            default=DEFAULTS.ceilings.memory_mb,
            show_default=True,
            type=click.IntRange(LEAST_CEILINGS.memory_mb),
            help="The same for limits.script.memory_mb.",
        ),
        click.option(
            "--max-fuel",
            default=DEFAULTS.ceilings.fuel,
            show_default=True,
            type=click.IntRange(LEAST_CEILINGS.fuel),
            help="The same for limits.fuel. A million steps keep a shard from other work for a quarter of a second.",
        ),
    )
    wrapped: Callable[..., int] = with_ceilings
    for option in reversed(added):
        wrapped = option(wrapped)
    return wrapped
