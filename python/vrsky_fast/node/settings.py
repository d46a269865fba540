"""What a run was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..control.access import AS_USUAL, Access
from ..control.tls import AS_THE_SERVER_SAYS, Tls
from .profile import Profile


@dataclass(frozen=True)
class Settings:
    """`data` is the folder of the run's own files. `nats` names a running server, or several of a cluster, which `tls`
    and `access` are for; without it one is started in `data`. `secrets` is a folder with files <customer>/<name>. With
    `strict` nothing starts unless all files can be served; with `watch` files are looked at for as long as it runs.
    `given` are the operator's variables. `metrics` is the IP:port where metrics and probes are served. With `take_over`
    the run on the same folder, if there is one, hands its listening sockets over and ends first."""

    data: Path
    profile: Profile
    nats: str | None = None
    tls: Tls = AS_THE_SERVER_SAYS
    secrets: Path | None = None
    strict: bool = False
    watch: bool = True
    given: Mapping[str, str] = field(default_factory=dict)
    access: Access = AS_USUAL
    metrics: str | None = None
    take_over: bool = False
