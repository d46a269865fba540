"""Errors of the control plane, with their stable codes."""

from __future__ import annotations

from typing import NoReturn

from ..errors import ConfigError, NatsError


def nats(code: str, reason: str) -> NoReturn:
    raise NatsError(code, reason)


def config(code: str, reason: str) -> NoReturn:
    raise ConfigError(code, reason)
