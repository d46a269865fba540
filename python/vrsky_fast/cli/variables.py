"""The option that gives pipeline files the values of their variables."""

from __future__ import annotations

from collections.abc import Callable

import click

from ..config.variables import PREFIX, is_name


def option(function: Callable[..., int]) -> Callable[..., int]:
    """Adds it; the command gets the values by name, as `given`."""
    added: Callable[[Callable[..., int]], Callable[..., int]] = click.option(
        "--var",
        "given",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_by_name,
        help=f"The value of `{{var: NAME}}` in the files; may be repeated. Without it the environment's {PREFIX}NAME.",
    )
    return added(function)


def _by_name(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not is_name(name):
            raise click.BadParameter(f"{text!r}: write NAME=VALUE, with a NAME of A-Z, 0-9 and _")
        if name in given:
            raise click.BadParameter(f"{name} is given twice")
        given[name] = value
    return given
