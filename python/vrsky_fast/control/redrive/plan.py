"""Where a dead letter goes when it is sent again, or why it cannot be."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace

from ..._native import is_name
from ...facts import DECIDING_STEPS, TOPOLOGIES
from ..dead_letters import DeadLetter
from ..lanes import Lanes
from ..served import Served, Serving

_OUT = "out:"
_START = "in"
_OURS = ("nats-", "vrsky-")
_OURS_EXACTLY = {"customer-id", "content-type"}
# nats-py sends no others (RFC 7230, 3.2.6: token).
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclass(frozen=True)
class Sending:
    """One publish. `to` says where in words: `the start`, `step 2:script`, `out erp`."""

    sequence: int
    to: str
    stream: str
    subject: str
    headers: dict[str, str] = field(repr=False)
    payload: bytes = field(repr=False)

    def without_payload(self) -> Sending:
        """For a report, which may hold many."""
        return replace(self, payload=b"")


@dataclass(frozen=True)
class Refused:
    """A letter that stays where it is."""

    sequence: int
    reason: str
    hint: str

    def as_json(self) -> dict[str, object]:
        return {"sequence": self.sequence, "reason": self.reason, "hint": self.hint}


class _CannotBeSent(Exception):
    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


def plan(letter: DeadLetter, lanes: Lanes, serving: Serving | None) -> Sending | Refused:
    """`serving` is what the node serves; None when that is not known. `letter` has its payload."""
    try:
        return _plan(letter, lanes, serving)
    except _CannotBeSent as no:
        return Refused(letter.sequence, no.reason, no.hint)


def _plan(letter: DeadLetter, lanes: Lanes, serving: Serving | None) -> Sending:
    _check_kept(letter)
    served = _served(letter, serving)
    if letter.step.startswith(_OUT):
        name = letter.step.removeprefix(_OUT)
        _check_out(letter, name, served)
        return _sending(letter, lanes, served, f"out {name}", "outgoing", name)
    if _is_part(letter, served):
        _check_step(letter, served)
        resume = {"Vrsky-Resume": letter.step}
        lane_type = _step_lane(lanes, letter.step)
        return _sending(letter, lanes, served, f"step {letter.step}", lane_type, _START, resume)
    first = served.steps[0] if served is not None and served.steps else ""
    return _sending(letter, lanes, served, "the start", _step_lane(lanes, first), _START)


def _step_lane(lanes: Lanes, step: str) -> str:
    """Which lane the server has for a step, `1:filter`: that of all steps, or else that of its kind. Every node that
    runs steps takes a message wherever it begins; the lane says whose load it is."""
    there = {lane_type for lane_type, _ in lanes.counts}
    if (fused := TOPOLOGIES["fused"].step_lanes[0]) in there:
        return fused
    return "filter" if not step or step.partition(":")[2] in DECIDING_STEPS else "converter"


def _sending(
    letter: DeadLetter,
    lanes: Lanes,
    served: Served | None,
    to: str,
    lane_type: str,
    step: str,
    more: dict[str, str] | None = None,
) -> Sending:
    lane = lanes.find(lane_type, served.tier if served else None, letter.customer)
    if lane is None:
        raise _CannotBeSent("the server has no lane for it", "Start `vrsky run` on this server once: it makes them.")
    stream, prefix = lane
    subject = f"{prefix}.{letter.customer}.{letter.pipeline}.{step}"
    return Sending(letter.sequence, to, stream, subject, _headers(letter) | (more or {}), letter.payload)


def _headers(letter: DeadLetter) -> dict[str, str]:
    """Those that came with the message, and ours: the message's own id, time and part, and a new id of the publish."""
    attempt = _attempt(letter)
    ours = {
        "Customer-ID": letter.customer,
        "Nats-Msg-Id": publish_id(letter, attempt),
        "Content-Type": letter.headers.get("Content-Type", ""),
        "Vrsky-Id": letter.id,
        "Vrsky-Time": letter.headers.get("Vrsky-Time", ""),
        "Vrsky-Part": letter.headers.get("Vrsky-Part", "0"),
        "Vrsky-Redrive": str(attempt),
        "Vrsky-Url": letter.headers.get("Vrsky-Url", ""),
    }
    came = {name: value for name, value in letter.headers.items() if not _is_ours(name)}
    for name in came:
        if not _NAME.fullmatch(name):
            raise _CannotBeSent(f"its header {name!r} has a name that cannot be sent from here", _by_hand(letter))
    return {name: value for name, value in ours.items() if value} | came


def _is_ours(header: str) -> bool:
    return header.lower().startswith(_OURS) or header.lower() in _OURS_EXACTLY


def _attempt(letter: DeadLetter) -> int:
    """How often it has been sent again, with this time."""
    before = letter.headers.get("Vrsky-Redrive", "")
    return int(before) + 1 if before.isascii() and before.isdigit() and len(before) < 9 else 1


def publish_id(letter: DeadLetter, attempt: int) -> str:
    """The same when the same letter is sent again after a crash, so that the stream drops the second; another one
    than any publish of the message before."""
    parts = [b"redrive", letter.id.encode(), str(letter.sequence).encode(), str(attempt).encode()]
    lengths = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return f"{letter.customer}.{hashlib.blake2b(lengths, digest_size=16).hexdigest()}"


# -- what cannot be sent --------------------------------------------------------------------------


def _check_kept(letter: DeadLetter) -> None:
    if not (is_name(letter.customer) and is_name(letter.pipeline) and letter.id):
        raise _CannotBeSent("it is no dead letter of ours", f"Look at it with `vrsky dlq show {letter.sequence}`.")
    if letter.code == "tenant/mismatch":
        reason = "the message named another customer than its subject, and is not processed as either's"
        raise _CannotBeSent(reason, "Let its sender send it again.")
    for what, header in (("payload", "Vrsky-Omitted-Bytes"), ("headers", "Vrsky-Omitted-Headers")):
        if omitted := letter.headers.get(header):
            reason = f"its {what} of {omitted} bytes could not be kept"
            raise _CannotBeSent(reason, "Send the message again from where it came.")


def _served(letter: DeadLetter, serving: Serving | None) -> Served | None:
    if serving is None:
        return None
    found = serving.find(letter.customer, letter.pipeline)
    if found is None:
        reason = f"the pipeline {letter.customer}/{letter.pipeline} is not served"
        raise _CannotBeSent(reason, "Add it to what `vrsky run` serves, or name its file with --pipelines.")
    return found


def _check_out(letter: DeadLetter, name: str, served: Served | None) -> None:
    if not is_name(name):
        raise _CannotBeSent("it does not name its out", f"Look at it with `vrsky dlq show {letter.sequence}`.")
    if served is not None and name not in served.outs:
        reason = f"{letter.customer}/{letter.pipeline} has no out `{name}` any more"
        raise _CannotBeSent(reason, f"Its outs are: {', '.join(served.outs)}.")


def _check_step(letter: DeadLetter, served: Served | None) -> None:
    if served is not None and letter.step not in served.steps:
        reason = f"{letter.customer}/{letter.pipeline} has no step `{letter.step}` any more"
        raise _CannotBeSent(reason, f"Its steps are: {', '.join(served.steps) or 'none'}. {_by_hand(letter)}")


def _is_part(letter: DeadLetter, served: Served | None) -> bool:
    """Programs before this one said neither when a message died nor whether it was a part; the number of a part's
    first was 0, as that of a whole message."""
    if letter.original is not None:
        return True
    if "Vrsky-Died" in letter.headers or letter.step == _START or letter.step.startswith("0:"):
        return False
    if letter.headers.get("Vrsky-Part", "0") != "0":
        return True
    before = served.steps[: served.steps.index(letter.step)] if served and letter.step in served.steps else None
    if before is not None and not any(label.endswith(":script") for label in before):
        return False
    raise _CannotBeSent("an earlier program has kept it, and does not say whether it is a part", _by_hand(letter))


def _by_hand(letter: DeadLetter) -> str:
    if letter.original is None:
        return f"`vrsky dlq show {letter.sequence} --payload` writes its payload, to be sent by hand."
    return f"`vrsky dlq show {letter.sequence} --original --payload` writes the whole message, to be sent by hand."
