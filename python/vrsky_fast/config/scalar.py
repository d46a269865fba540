"""A YAML scalar -> JSON text, by the types that the schema wants.

`NO`, `08` and `1e3` stay strings where a string is wanted. Otherwise the core schema of YAML 1.2
decides: true and false only in three spellings each, decimal, 0o and 0x integers, decimal floats.
Numbers keep their digits: they become JSON by text, never through a float.
"""

from __future__ import annotations

import json
import re

from .tree import Scalar

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_DECIMAL = re.compile(r"([-+]?)0*(0|[1-9][0-9]*)$", re.ASCII)
_FLOAT = re.compile(r"([-+]?)0*([0-9]*)(?:\.([0-9]*))?(?:[eE]([-+]?[0-9]+))?$", re.ASCII)
_BASED = re.compile(r"0(?:o[0-7]{1,40}|x[0-9a-fA-F]{1,40})$", re.ASCII)


def to_json(scalar: Scalar, wanted: frozenset[str] | None) -> str:
    """The JSON text. A scalar that fits none of the wanted types becomes a string, so that the
    validation names it as the user wrote it."""
    text = scalar.text
    if scalar.style is not None:
        return json.dumps(text)
    # An empty place is null everywhere: silently reading it as "" would hide a forgotten value. So is
    # `~` where no text is wanted, for the validation to say that nothing stands there.
    if text == "" or (text in _NULL and (_allows(wanted, "null") or not _allows(wanted, "string"))):
        return "null"
    if _allows(wanted, "boolean") and text in _TRUE | _FALSE:
        return "true" if text in _TRUE else "false"
    if _allows(wanted, "number") or _allows(wanted, "integer"):
        number = _number(text)
        if number is not None:
            return number
    return json.dumps(text)


def _allows(wanted: frozenset[str] | None, kind: str) -> bool:
    return wanted is None or kind in wanted


def _number(text: str) -> str | None:
    if _BASED.match(text):
        return str(int(text, 0))
    if match := _DECIMAL.match(text):
        return match[1].replace("+", "") + match[2]
    match = _FLOAT.match(text)
    if match is None or not (match[2] or match[3] or text.lstrip("+-").startswith("0")):
        return None
    sign, whole, fraction, exponent = match[1], match[2] or "0", match[3], match[4]
    return sign.replace("+", "") + whole + (f".{fraction}" if fraction else "") + (f"e{exponent}" if exponent else "")
