"""Messages that go round for ever: file outs that write what a file in reads, over several pipelines.

Only what the files say is looked at: a folder that is reached by two names, such as by a symlink or by a relative and
an absolute path, is two folders here.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._native import patterns_meet
from .pipeline import PipelineFile
from .problem import Problem
from .summary import Connector


def problems(loaded: list[PipelineFile]) -> Iterator[Problem]:
    """One for each out that leads back to the in of its own pipeline by way of others. An out that writes what the in
    of the same pipeline reads is refused with its file alone."""
    readers: dict[str, list[int]] = {}
    for at, one in enumerate(loaded):
        claim = one.summary.source.claim
        if claim is not None and claim.folder is not None:
            readers.setdefault(claim.folder, []).append(at)
    edges = [
        [(out, reader) for out in one.summary.outs for reader in _readers_of(loaded, readers, one.customer, out)]
        for one in loaded
    ]
    group = _groups([[reader for _, reader in after] for after in edges])
    for at, one in enumerate(loaded):
        for out, reader in edges[at]:
            if reader != at and group[reader] == group[at]:
                reason = (
                    f"the file is read by {loaded[reader].name}, whose messages come back to the in of this pipeline: "
                    "each would go round for ever"
                )
                hint = "Use another folder or name for the file."
                yield one.problem("config/invalid-value", reason, f"{out.pointer}/path", hint)


def _readers_of(
    loaded: list[PipelineFile], readers: dict[str, list[int]], customer: str, out: Connector
) -> Iterator[int]:
    """The pipelines whose in reads the out's file."""
    if not readers or out.file is None:
        return
    *folders, name = [part for part in out.file.split("/") if part not in {"", "."}] or [""]
    start = [""] if out.file.startswith("/") else [customer]
    folder = "/".join([*start, *folders])
    for at in readers.get(folder if folders else folder + "/", []):
        claim = loaded[at].summary.source.claim
        # Between brackets a character stands for itself.
        literal = "".join(f"[{character}]" if character in "*?[" else character for character in name)
        if claim is not None and patterns_meet(claim.pattern, literal):
            yield at


def _groups(after: list[list[int]]) -> list[int]:
    """For each node, a number that it shares with those alone that it leads to and that lead to it (Tarjan)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    group = [-1] * len(after)
    path: list[int] = []
    for root in range(len(after)):
        work = [(root, iter(after[root]))] if root not in index else []
        while work:
            node, rest = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                path.append(node)
            following = next(rest, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    while group[node] < 0:
                        group[path.pop()] = node
            elif following not in index:
                work.append((following, iter(after[following])))
            elif group[following] < 0:
                low[node] = min(low[node], index[following])
    return group
