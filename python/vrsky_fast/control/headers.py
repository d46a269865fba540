"""The headers of a stored message: ours that are numbers, and those whose values nobody is shown."""

from __future__ import annotations

from collections.abc import Mapping
from email.header import Header, decode_header

HIDDEN = "(left out: it may be a secret)"
"""Stands in place of the value of a secret header."""

# Names that carry credentials, in lower case; and parts of names that say so.
_SECRET = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-amz-security-token"})
_SECRET_PARTS = ("token", "secret", "password", "api-key", "apikey", "signature", "credential")


def read(parsed: Mapping[str, str | Header] | None) -> dict[str, str]:
    """As nats-py gives them: a value that is not ASCII is no text there."""
    return {name: value if isinstance(value, str) else _text(value) for name, value in (parsed or {}).items()}


def _text(value: Header) -> str:
    chunks = (chunk if isinstance(chunk, bytes) else chunk.encode() for chunk, _ in decode_header(value))
    return b"".join(chunks).decode(errors="replace")


def is_secret(name: str) -> bool:
    """Whether the value may be a credential: `Authorization`, `Cookie`, `X-Api-Key` and the like."""
    lower = name.lower()
    return lower in _SECRET or any(part in lower for part in _SECRET_PARTS)


def shown(headers: Mapping[str, str]) -> dict[str, str]:
    """All of them, with HIDDEN for the values that may be secrets."""
    return {name: HIDDEN if is_secret(name) else value for name, value in headers.items()}


def number(headers: Mapping[str, str], name: str) -> int:
    """The value of a header of ours, such as `Vrsky-Time`; 0 when it is not there or no number."""
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def message_id(headers: Mapping[str, str]) -> str:
    """The message's id, the same in every stream; the publish's where an earlier version wrote no other."""
    return headers.get("Vrsky-Id") or headers.get("Nats-Msg-Id", "")
