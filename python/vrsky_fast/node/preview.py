"""What a run would serve of pipeline files, and what it would leave out: the same files, rules and engine, and nothing
is started or made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import PipelineFile
from ..config.folder import nothing_in
from .disk import Disk
from .engine import Engine
from .options import refused
from .pipelines import Refused, refusal_of, without
from .profile import Profile
from .reconcile import Finding, Key, Running, key_of, plan
from .states import State


@dataclass(frozen=True)
class Preview:
    """`pipelines` are all that compile, each once; `findings` are the files that would be left out."""

    pipelines: tuple[PipelineFile, ...]
    findings: tuple[Finding, ...]


async def preview(
    paths: Sequence[Path], secrets: Path | None, profile: Profile, engine: Engine, given: Mapping[str, str]
) -> Preview:
    """Of files and folders, as if one run served all of them. `profile` is from `checked`, `engine` one to ask,
    `given` the operator's variables. Blocks
    while the files are read."""
    states: dict[str, State] = {}
    empty: list[Finding] = []
    seen: set[str] = set()
    for path in paths:
        disk = Disk(path, secrets, lambda one: refused(one, profile), given=given)
        disk.look(True)
        # A file that two PATHS name, such as a folder and the absolute path of a file in there, is one file. Two links
        # to it in one folder are two, as in a run.
        new = {name: os.path.realpath(name) for name in disk.states}
        states |= {name: disk.states[name] for name, real in new.items() if real not in seen}
        seen.update(new.values())
        if not new:
            empty.append(Finding(str(path), (nothing_in(path),)))
    running, findings = await _installed(states, engine)
    return Preview(tuple(_each_once(states, running)), (*empty, *findings))


async def _installed(states: Mapping[str, State], engine: Engine) -> tuple[Mapping[Key, Running], tuple[Finding, ...]]:
    """What the engine takes, planned anew for as long as it refuses something."""
    running: dict[Key, Running] = {}
    refused: Refused = {}
    while True:
        made = plan(without(states, refused), running)
        new: Refused = {}
        for change in made.changes:
            if not (problems := await refusal_of(engine, change)):
                running |= {key_of(one.ready): Running(one.path, one.ready) for one in change.installs}
            new |= problems
        refused |= new
        if not new:
            return running, made.findings


def _each_once(states: Mapping[str, State], running: Mapping[Key, Running]) -> list[PipelineFile]:
    """By the order of the files; of two with the same name the one that would run."""
    chosen = {key: one.ready.file for key, one in running.items()}
    files = [state.file for state in states.values() if state.file is not None]
    for one in files:
        chosen.setdefault((one.customer, one.pipeline), one)
    return [one for one in files if chosen[one.customer, one.pipeline] is one]
