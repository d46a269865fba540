"""Names of customers, pipelines and secrets: the rules of `native/message/src/name.rs`."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,38}[a-z0-9])?\Z")


def is_name(text: str) -> bool:
    return _NAME.match(text) is not None


def is_secret_name(text: str) -> bool:
    """Without two hyphens in a row, which in a variable's name would look like the border to the customer's."""
    return is_name(text) and "--" not in text
