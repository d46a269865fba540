"""Errors of the control plane, with their stable codes."""

from __future__ import annotations

from typing import NoReturn

from ..errors import error_for


def fail(code: str, reason: str) -> NoReturn:
    """Raises the class of `vrsky_fast.errors` that the code's stage names."""
    raise error_for(code, reason)
