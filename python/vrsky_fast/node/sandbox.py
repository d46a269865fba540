"""The program from which script workers are forked, and what this machine lets it take from them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

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
