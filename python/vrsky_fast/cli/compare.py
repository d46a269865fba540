"""Expected against actual, as differences a person can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

_SHOWN = 200
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` leads to the value, such as `order.items[0]["@sku"]`; empty for the whole."""

    path: str
    expected: Any
    actual: Any

    def shown(self) -> tuple[str, str]:
        """Expected and actual; long ones are cut around the first place where they differ."""
        texts = _text(self.expected), _text(self.actual)
        differ = (at for at, (one, other) in enumerate(zip(*texts, strict=False)) if one != other)
        first = next(differ, min(map(len, texts)))
        start = 0 if first < _SHOWN // 2 else first - _SHOWN // 4
        return _cut(texts[0], start), _cut(texts[1], start)

    def as_json(self) -> dict[str, str]:
        expected, actual = self.shown()
        return {"path": self.path, "expected": expected, "actual": actual}


def parse(text: str | bytes) -> Any:
    """JSON with its numbers as decimals, so that 0.1 is 0.1. Raises ValueError."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def differences(expected: Any, actual: Any, *, subset: bool, path: str = "") -> Iterator[Difference]:
    """With `subset`, members that are not expected may be there; lists are compared whole."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name in expected:
            below = _below(path, name)
            if name in actual:
                yield from differences(expected[name], actual[name], subset=subset, path=below)
            else:
                yield Difference(below, expected[name], MISSING)
        if not subset:
            for name in actual:
                if name not in expected:
                    yield Difference(_below(path, name), MISSING, actual[name])
    elif isinstance(expected, list) and isinstance(actual, list):
        for index in range(max(len(expected), len(actual))):
            wanted = expected[index] if index < len(expected) else MISSING
            got = actual[index] if index < len(actual) else MISSING
            if wanted is MISSING or got is MISSING:
                yield Difference(f"{path}[{index}]", wanted, got)
            else:
                yield from differences(wanted, got, subset=subset, path=f"{path}[{index}]")
    elif not _equal(expected, actual):
        yield Difference(path, expected, actual)


def _below(path: str, name: str) -> str:
    """As pipelines write paths: `order.id`, `order["@id"]`."""
    if not _IDENTIFIER.match(name):
        return f"{path}[{json.dumps(name, ensure_ascii=False)}]"
    return f"{path}.{name}" if path else name


def _text(value: Any) -> str:
    return repr(value) if value is MISSING else laid_out(value)


def _cut(text: str, start: int) -> str:
    if len(text) <= _SHOWN:
        return text
    end = start + _SHOWN
    return ("..." if start else "") + text[start:end] + ("..." if end < len(text) else "")


def laid_out(value: Any, indent: int | None = None, depth: int = 0) -> str:
    """JSON text; unlike `json.dumps` it keeps every digit of a decimal."""
    if isinstance(value, Decimal):
        return str(value)
    if not isinstance(value, dict | list) or not value:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        inner = [f"{json.dumps(k, ensure_ascii=False)}: {laid_out(v, indent, depth + 1)}" for k, v in value.items()]
    else:
        inner = [laid_out(item, indent, depth + 1) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    if indent is None:
        return opening + ", ".join(inner) + closing
    pad = " " * indent
    lines = ",\n".join(pad * (depth + 1) + line for line in inner)
    return f"{opening}\n{lines}\n{pad * depth}{closing}"


def _equal(expected: Any, actual: Any) -> bool:
    # True == 1 in Python, but not in JSON; 1 and 1.0 are the same number in both.
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    return bool(expected == actual) and _kind(expected) == _kind(actual)


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | Decimal) else type(value).__name__


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")
