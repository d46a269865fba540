"""A pipeline as one JSON document, from which a node without the files makes the same revision.

    files ──load──► PipelineFile ──of──► Stored ──encode──► bytes in the bucket
                                                               │
    PipelineFile ◄──────────── load_each ◄─────────────────────┘

A canary is a second such document within the first: one key, so that both change in one step.

The JSON of the pipeline is a text in the document: no digit of a number is lost on the way. Secrets never enter: the
JSON and the text hold `{secret: NAME}`, and nothing is resolved here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .._native import __version__, is_name
from ..errors import ConfigError
from .pipeline import PipelineFile, StoredDraft, advice, compile_stored
from .problem import InvalidConfig, Problem, defect
from .share import WHOLE, Rule
from .source import Source

FORMAT = 1
"""Of a pipeline that runs alone."""
FORMAT_WITH_CANARY = 2
"""A later format is refused as made by a newer vrsky, as this one is by an older one: it would run no canary."""

_REVISION = re.compile(r"[0-9a-f]{16}", re.ASCII)
_TEXTS = ("vrsky", "customer", "pipeline", "revision", "json", "file", "source", "user", "note")
_BY_NAME = ("texts", "snippets")
# Documents that are compiled together.
_AT_ONCE = 256


@dataclass(frozen=True)
class Stored:
    """`json` is the canonical file after snippets and variables, `texts` its scripts and tables, `source` the file's
    own text and `snippets` those it includes. `file` is its name below the folder that was applied. `user` has applied
    it, `note` says from where or why; `vrsky` is the version that compiled it."""

    customer: str
    pipeline: str
    revision: str
    json: str
    texts: Mapping[str, str]
    file: str
    source: str
    snippets: Mapping[str, str]
    vrsky: str
    user: str = ""
    note: str = ""
    canary: Canary | None = None

    @classmethod
    def of(cls, one: PipelineFile, file: str) -> Stored:
        """Reads scripts and tables again. Raises InvalidConfig when one has changed since the file was loaded."""
        texts = one.read_texts()
        snippets = {name: data.decode() for name, data in one.snippets.items()}
        revision, text = one.compiled.revision, one.source.text
        return cls(one.customer, one.pipeline, revision, one.json, texts, file, text, snippets, __version__)

    @property
    def key(self) -> str:
        return f"{self.customer}.{self.pipeline}"

    @property
    def name(self) -> str:
        """Such as `acme/orders`."""
        return f"{self.customer}/{self.pipeline}"

    def by(self, user: str, note: str) -> Stored:
        return replace(self, user=user, note=note)

    def is_as(self, other: Stored) -> bool:
        """Whether both say the same, whoever has applied them."""
        canaries = [None if one.canary is None else one.canary.stored.says for one in (self, other)]
        shares = [None if one.canary is None else (one.canary.millionths, one.canary.rule) for one in (self, other)]
        return self.says == other.says and canaries[0] == canaries[1] and shares[0] == shares[1]

    @property
    def says(self) -> Stored:
        """Without who has applied it, by which version, and beside what."""
        return replace(self, vrsky="", user="", note="", canary=None)

    def alone(self) -> Stored:
        """Without its canary."""
        return replace(self, canary=None)

    def encode(self) -> bytes:
        """Canonical: the same pipeline gives the same bytes."""
        whole = {"format": FORMAT} | self.members()
        if self.canary is not None:
            whole |= {"format": FORMAT_WITH_CANARY, "canary": self.canary.members()}
        return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def members(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*_TEXTS, *_BY_NAME)}


@dataclass(frozen=True)
class Canary:
    """A revision that runs a share of the messages beside the active one: `millionths` of them. `rule` is what the
    command that watches it goes by."""

    millionths: int
    stored: Stored
    rule: Rule = field(default_factory=Rule)

    def as_json(self) -> dict[str, object]:
        """For people's programs: without what it is made of."""
        return {"revision": self.stored.revision, "share": self.millionths / WHOLE, "rule": self.rule.as_json()}

    def members(self) -> dict[str, Any]:
        return {"millionths": self.millionths, "rule": self.rule.as_json(), "pipeline": self.stored.members()}


@dataclass(frozen=True)
class Loaded:
    """What stands under a key, compiled; what is wrong with one takes its place. `canary` is a file and its share."""

    file: PipelineFile | InvalidConfig
    canary: tuple[PipelineFile, int] | InvalidConfig | None = None


def decode(key: str, data: bytes) -> Stored:
    """Of what stands under a key. Raises InvalidConfig for what `encode` does not write."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        raise _wrong(key, "is not JSON") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("format"), int):
        raise _wrong(key, "is no document of vrsky")
    if whole["format"] > FORMAT_WITH_CANARY:
        made = _short(whole.get("vrsky"))
        reason = (
            f"was made by a newer vrsky ({made}): format {whole['format']}, and this one, {__version__}, reads"
            f" {FORMAT_WITH_CANARY}"
        )
        raise _wrong(key, reason, "config/unsupported-version")
    canary = _canary(key, whole) if whole["format"] == FORMAT_WITH_CANARY else None
    return replace(_stored(key, whole), canary=canary)


def _stored(key: str, whole: dict[str, Any]) -> Stored:
    _check_shape(key, whole)
    return Stored(**{name: whole[name] for name in (*_TEXTS, *_BY_NAME)})


def _canary(key: str, whole: dict[str, Any]) -> Canary:
    canary = whole.get("canary")
    if not isinstance(canary, dict) or not isinstance(canary.get("pipeline"), dict):
        raise _wrong(key, "has no canary, and its format says that it has one")
    millionths, rule = canary.get("millionths"), Rule.read(canary.get("rule"))
    if type(millionths) is not int or not 0 < millionths <= WHOLE or rule is None:
        raise _wrong(key, "has a canary without a share or a rule")
    return Canary(millionths, _stored(key, canary["pipeline"]), rule)


def revision_of(key: str, data: bytes) -> str | None:
    """What the value says its revision is; None where it says nothing."""
    try:
        return decode(key, data).revision
    except InvalidConfig:
        return None


def _check_shape(key: str, whole: dict[str, Any]) -> None:
    for name in _TEXTS:
        if not isinstance(whole.get(name), str):
            raise _wrong(key, f"has no text `{name}`")
    for name in _BY_NAME:
        values = whole.get(name)
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise _wrong(key, f"has no texts by name in `{name}`")
    customer, pipeline = whole["customer"], whole["pipeline"]
    if not (is_name(customer) and is_name(pipeline)) or key != f"{customer}.{pipeline}":
        raise _wrong(key, f"is of {_short(customer)}/{_short(pipeline)}")
    if not _REVISION.fullmatch(whole["revision"]):
        raise _wrong(key, "has no revision")
    try:
        for text in (whole["source"], whole["json"], *whole["texts"].values(), *whole["snippets"].values()):
            text.encode()
    except UnicodeEncodeError:
        raise _wrong(key, "holds half of a surrogate pair") from None


def load_each(documents: Sequence[tuple[str, bytes]]) -> Iterator[Loaded]:
    """The pipelines that stand under keys, in their order. Blocks while they are compiled, some hundred at a time."""
    for first in range(0, len(documents), _AT_ONCE):
        yield from _load(documents[first : first + _AT_ONCE])


def _load(documents: Sequence[tuple[str, bytes]]) -> Iterator[Loaded]:
    decoded: list[Stored | InvalidConfig] = []
    for key, data in documents:
        try:
            decoded.append(decode(key, data))
        except InvalidConfig as invalid:
            decoded.append(invalid)
    good = [one for one in decoded if isinstance(one, Stored)]
    compiled, canaries = iter(_compile(good)), iter(_compile([one.canary.stored for one in good if one.canary]))
    for one in decoded:
        if isinstance(one, InvalidConfig):
            yield Loaded(one)
            continue
        file = _checked(one, next(compiled))
        yield Loaded(file, _beside(file, one.canary, next(canaries)) if one.canary else None)


def _beside(
    file: PipelineFile | InvalidConfig, canary: Canary, compiled: PipelineFile | InvalidConfig
) -> tuple[PipelineFile, int] | InvalidConfig | None:
    found = _checked(canary.stored, compiled)
    if isinstance(found, InvalidConfig) or isinstance(file, InvalidConfig):
        return found if isinstance(found, InvalidConfig) else None
    problem = canary_problem(file, found)
    return (found, canary.millionths) if problem is None else InvalidConfig([problem])


def canary_problem(active: PipelineFile, canary: PipelineFile) -> Problem | None:
    """Why it may not run beside the other: a place in the canary's file."""
    try:
        active.compiled.check_canary(canary.compiled)
    except ConfigError as error:
        pointer = error.place.pointer if error.place is not None else None
        return canary.problem(error.code, error.reason, pointer or "")
    return None


def _compile(good: Sequence[Stored]) -> list[PipelineFile | InvalidConfig]:
    """What it fails at in a way that nobody has thought of takes nothing from the others."""
    try:
        return compile_stored([_draft(one) for one in good])
    except Exception as error:
        if len(good) == 1:
            return [InvalidConfig([defect(good[0].file, error)])]
        return [found for one in good for found in _compile([one])]


def _draft(one: Stored) -> StoredDraft:
    snippets = {name: text.encode() for name, text in one.snippets.items()}
    return StoredDraft(Path(one.file), Source(one.file, one.source), snippets, one.json, one.texts)


def _checked(stored: Stored, one: PipelineFile | InvalidConfig) -> PipelineFile | InvalidConfig:
    """The document speaks of what it holds. Another version of vrsky may write defaults out that this one does not
    know, so that its revision is another."""
    if isinstance(one, InvalidConfig):
        return one
    if (one.customer, one.pipeline) != (stored.customer, stored.pipeline):
        return _wrong(stored.key, f"holds the pipeline {one.name}")
    if one.summary.revision != stored.revision and stored.vrsky == __version__:
        return _wrong(stored.key, f"says revision {stored.revision}, and holds {one.summary.revision}")
    return one


def _wrong(key: str, what: str, code: str = "config/not-a-pipeline") -> InvalidConfig:
    return InvalidConfig([Problem(code, f"the value {what}", f"vrsky_pipelines/{key}", hint=advice(code))])


def _short(text: object) -> str:
    return str(text)[:64]
