"""The program from which script workers are forked, and what this machine lets it take from them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .. import _native

# Loads the extension and nothing else of this package: what a zygote has in memory, each worker has.
_PROGRAM = """\
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
loader = ExtensionFileLoader("vrsky_fast._native", sys.argv[1])
module = module_from_spec(spec_from_loader(loader.name, loader))
loader.exec_module(module)
module.sandbox_zygote(0)
"""


_CGROUPS = Path("/sys/fs/cgroup")
# What a node needs itself: a quarter of what it may have, within these bounds.
_LEAST_OWN, _MOST_OWN = 128 << 20, 1 << 30
_LEAST = 64 << 20


@dataclass(frozen=True)
class Layer:
    """One layer of the sandbox, tried here. `stops` says what it takes from a script that has broken out of its engine;
    `reason` why it is not there; without a `required` layer no script runs."""

    name: str
    stops: str
    required: bool
    ok: bool
    reason: str | None


def zygote_command() -> list[str]:
    """The command of a zygote: isolated from the environment, from site-packages and from the current folder. Its
    descriptor 0 is the control socket."""
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, _native.__file__]


def probe() -> list[Layer]:
    """Tries each layer in a process of its own. Raises OSError when no such process can be started, or when this is
    not Linux."""
    if sys.platform != "linux":
        raise OSError(f"script workers need Linux; this is {sys.platform}")
    found = json.loads(_native.sandbox_probe(zygote_command()))
    return [Layer(one["layer"], one["stops"], one["required"], one["ok"], one["reason"]) for one in found]


def default_memory(cgroups: Path = _CGROUPS, own: str | None = None, machine: int | None = None) -> int:
    """Bytes that all workers may use together where nobody has said so: of a container's memory what is left beside the
    node's own need, of a machine without such a limit half of its memory. `own` is what /proc/self/cgroup says."""
    machine = machine or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = min(_limits(cgroups, own or _own_cgroup()), default=machine)
    if limit >= machine:
        return machine // 2
    return max(limit - min(max(limit // 4, _LEAST_OWN), _MOST_OWN), _LEAST)


def _own_cgroup() -> str:
    with suppress(OSError):
        return Path("/proc/self/cgroup").read_text()
    return ""


def _limits(cgroups: Path, own: str) -> Iterator[int]:
    """The memory limits of this process's cgroup and of those above it, of version 2 or 1."""
    for line in own.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers not in ("", "memory"):
            continue
        root, name = (cgroups, "memory.max") if not controllers else (cgroups / "memory", "memory.limit_in_bytes")
        folder = root / path.lstrip("/")
        # A container may see the path of the host, which is not there: then its own is the root.
        for one in (folder, *folder.parents):
            with suppress(OSError, ValueError):
                yield int((one / name).read_text())
            if one == root:
                break
