"""What can go wrong, as one tree:

    VrskyError                     code, reason, place
    ├── ConfigError                a pipeline file or an option that cannot be used
    ├── XmlError                   a payload that is no XML, or more of it than allowed
    ├── JsonError                  a payload that is no JSON, or more of it than allowed
    ├── ConvertError               a value that has no counterpart in the other format
    ├── FilterError                an expression of a filter
    ├── SetError                   set, remove, rename
    ├── RouteError                 an expression of a route, or no case that matched
    ├── ScriptError                a script that does not compile, threw, or went over a limit
    ├── NatsError                  the connection to NATS, or what the server refused
    ├── HttpError                  HTTP, incoming and outgoing
    ├── MqttError                  MQTT, incoming and outgoing
    ├── FileError                  a file out
    ├── DeliverError               outputs and their delivery
    ├── LimitError                 rate, backlog, memory
    ├── TenantError                a customer that is not who it says, or not known
    ├── SecretError                a secret that is not defined
    ├── ConnectorError             a connector's own state
    └── InternalError              a defect of ours, or use after a fork

A class stands for the first half of a code (`xml/not-well-formed`); codes are never renamed. The
table of all codes, with what to do about each, is in docs/errors.md and in `error_table()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

__all__ = [
    "ConfigError",
    "ConnectorError",
    "ConvertError",
    "DeliverError",
    "FileError",
    "FilterError",
    "HttpError",
    "InternalError",
    "JsonError",
    "LimitError",
    "MqttError",
    "NatsError",
    "Place",
    "RouteError",
    "ScriptError",
    "SecretError",
    "SetError",
    "TenantError",
    "VrskyError",
    "XmlError",
    "error_for",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where it went wrong, as far as it is known."""

    file: str | None = None
    """A file, as the user named it."""
    pointer: str | None = None
    """JSON pointer into the pipeline file, such as `/steps/1/filter`."""
    line: int | None = None
    """Counted from 1."""
    column: int | None = None
    """Counted from 1, in characters."""
    offset: int | None = None
    """Bytes into the payload, counted from 0."""
    field: str | None = None
    """A field's path in the message, such as `order.total`."""
    step: str | None = None
    """The step, such as `2:filter`, or the out, such as `out:erp`."""

    def __str__(self) -> str:
        parts = [self.file, self.step and f"step {self.step}", self.pointer, self.field and f"field {self.field}"]
        at = [f"{name} {value}" for name, value in (("line", self.line), ("column", self.column)) if value is not None]
        parts.append(", ".join(at))
        if self.offset is not None:
            parts.append(f"byte {self.offset}")
        return ", ".join(part for part in parts if part)

    def __bool__(self) -> bool:
        return any(getattr(self, part.name) is not None for part in fields(self))


class VrskyError(Exception):
    """Every error of this package. `code` is stable and `reason` is for people."""

    code: str
    reason: str
    place: Place | None
    pointer: str | None
    """`place.pointer`"""
    column: int | None
    """`place.column`"""
    faults: tuple[VrskyError, ...]
    """When several things were found wrong at once: all of them, this one first. Else empty."""

    def __init__(self, code: str, reason: str = "", place: Place | None = None) -> None:
        super().__init__(code, reason, place)
        self.code = code
        self.reason = reason
        self.place = place
        self.pointer = place.pointer if place else None
        self.column = place.column if place else None
        self.faults = ()

    def __str__(self) -> str:
        text = f"{self.code}: {self.reason}" if self.reason else self.code
        return f"{text} ({self.place})" if self.place else text


class ConfigError(VrskyError):
    """A pipeline file or an option that cannot be used."""


class XmlError(VrskyError):
    """A payload that is no XML, or more of it than allowed."""


class JsonError(VrskyError):
    """A payload that is no JSON, or more of it than allowed."""


class ConvertError(VrskyError):
    """A value that has no counterpart in the other format."""


class FilterError(VrskyError):
    """An expression of a filter."""


class SetError(VrskyError):
    """set, remove, rename."""


class RouteError(VrskyError):
    """An expression of a route, or no case that matched."""


class ScriptError(VrskyError):
    """A script that does not compile, threw, or went over a limit."""


class NatsError(VrskyError):
    """The connection to NATS, or what the server refused."""


class HttpError(VrskyError):
    """HTTP, incoming and outgoing."""


class MqttError(VrskyError):
    """MQTT, incoming and outgoing."""


class FileError(VrskyError):
    """A file out."""


class DeliverError(VrskyError):
    """Outputs and their delivery."""


class LimitError(VrskyError):
    """Rate, backlog, memory."""


class TenantError(VrskyError):
    """A customer that is not who it says, or not known."""


class SecretError(VrskyError):
    """A secret that is not defined."""


class ConnectorError(VrskyError):
    """A connector's own state."""


class InternalError(VrskyError):
    """A defect of ours, or use after a fork."""


_BY_STAGE: dict[str, type[VrskyError]] = {
    each.__name__.removesuffix("Error").lower(): each for each in VrskyError.__subclasses__()
}


def error_for(code: str, reason: str = "", place: Place | None = None) -> VrskyError:
    """The error for a code, of the class that its first half names."""
    return _BY_STAGE.get(code.partition("/")[0], VrskyError)(code, reason, place)


def first_of(faults: Sequence[VrskyError]) -> VrskyError:
    """The first of several, which knows the others."""
    faults[0].faults = tuple(faults)
    return faults[0]
