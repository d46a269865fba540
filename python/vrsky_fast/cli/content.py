"""A stored message's headers and payload, for people and for programs; and the answer when there is none."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping

from . import exit_codes
from .terminal import Terminal, safe

_SHOWN = 60


def as_json(payload: bytes) -> dict[str, str]:
    """`payload`, and `payload_base64` where the text is not all of it since it is not UTF-8."""
    text = payload.decode(errors="replace")
    if text.encode() == payload:
        return {"payload": text}
    return {"payload": text, "payload_base64": base64.b64encode(payload).decode()}


def show_headers(terminal: Terminal, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        terminal.line(f"  {terminal.quiet(safe(name))}: {safe(value)}")


def show_payload(terminal: Terminal, payload: bytes) -> None:
    for line in payload.decode(errors="replace").splitlines():
        terminal.line(safe(line))


def beginning(payload: bytes, characters: int = _SHOWN) -> str:
    """The first characters on one line, with control characters escaped."""
    # No character has more than four bytes; what the cut leaves of the last one is not shown.
    text = payload[: 4 * characters + 4].decode(errors="replace")
    return safe(text[:characters]) + ("..." if len(text) > characters else "")


def not_there(reason: str, hint: str, is_json: bool) -> int:
    """Says that there is no such message; gives the exit code."""
    if is_json:
        problem = {"code": None, "reason": reason, "hint": hint}
        Terminal(sys.stdout).line(json.dumps({"ok": False, "problems": [problem]}))
    else:
        Terminal(sys.stderr).line(f"{safe(reason)}; {hint}")
    return exit_codes.FINDINGS
