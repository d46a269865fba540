"""What a node serves, as other commands need to know it: outs, steps and the backlog tier of every pipeline.

`vrsky run` writes it into its data folder. Without it nothing is known, and nothing is refused for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from ..config.summary import Summary
from .server_config import private
from .streams import STEPS

_FILE = "served.json"


@dataclass(frozen=True)
class Served:
    """One pipeline. `steps` are labels such as `1:filter`, by which dead letters name a step."""

    customer: str
    pipeline: str
    tier: str
    steps: tuple[str, ...]
    outs: tuple[str, ...]

    @classmethod
    def of(cls, summary: Summary) -> Served:
        outs = tuple(out.name for out in summary.outs if out.name is not None)
        return cls(summary.customer, summary.pipeline, summary.tier, summary.steps, outs)

    @cached_property
    def text(self) -> str:
        """As JSON; made once, since all of thousands are written when one of them changes."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Serving:
    """All pipelines of a node, by customer and pipeline."""

    pipelines: Mapping[tuple[str, str], Served]

    @classmethod
    def of(cls, pipelines: Iterable[Served]) -> Serving:
        return cls({(one.customer, one.pipeline): one for one in pipelines})

    def find(self, customer: str, pipeline: str) -> Served | None:
        return self.pipelines.get((customer, pipeline))

    def has(self, customer: str, pipeline: str, out: str) -> bool:
        """Whether it serves this out, or with `streams.STEPS` the steps of this pipeline."""
        served = self.find(customer, pipeline)
        return served is not None and (out == STEPS or out in served.outs)


def write(data: Path, nats: str | None, serving: Serving) -> None:
    """`nats` is the address of the server, None for the embedded one. One that cannot be written is not there: an
    older one would be believed."""
    file = data / _FILE
    rows = ",".join(one.text for one in serving.pipelines.values())
    try:
        private(file, f'{{"nats":{json.dumps(nats)},"pipelines":[{rows}]}}')
    except OSError:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def read(data: Path, nats: str | None) -> Serving | None:
    """What the last run on this data folder, with this server, has written. None when there is nothing, or nothing
    readable."""
    try:
        whole = json.loads((data / _FILE).read_text(encoding="utf-8"))
        if whole["nats"] != nats:
            return None
        return Serving.of(
            Served(one["customer"], one["pipeline"], one["tier"], tuple(one["steps"]), tuple(one["outs"]))
            for one in whole["pipelines"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
