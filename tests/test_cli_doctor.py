"""`vrsky doctor` as a user runs it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile

import pytest

from .conftest import Vrsky

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")

LAYERS = {"user_namespace", "pid_namespace", "network_namespace", "own_uid", "landlock", "rlimits", "seccomp"}

# Numbers of system calls.
SECCOMP = {"x86_64": 317, "aarch64": 277}.get(platform.machine(), 0)
PIDFD_OPEN = 434
LOAD_NUMBER, IS_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1


def test_doctor_names_each_layer_and_what_it_stops(vrsky: Vrsky) -> None:
    shown = vrsky("doctor")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    names = {line.split()[1] for line in shown.stdout.splitlines() if line.startswith("  ")}
    assert names >= LAYERS
    found = json.loads(vrsky("doctor", "--json").stdout)
    assert found["ok"] is True
    assert {layer["layer"] for layer in found["layers"]} == names
    assert all(set(layer) == {"layer", "stops", "required", "ok", "reason"} for layer in found["layers"])


def without(call: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `vrsky` where the kernel refuses a system call."""
    instructions = [
        (LOAD_NUMBER, 0, 0, 0),
        (IS_EQUAL, 0, 1, call),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    program = shutil.which("vrsky")
    assert program is not None
    with tempfile.TemporaryFile() as file:
        file.write(b"".join(struct.pack("=HBBI", *one) for one in instructions))
        file.seek(0)
        bubble = ["bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--seccomp", str(file.fileno())]
        full = [*bubble, program, *arguments]
        return subprocess.run(full, pass_fds=[file.fileno()], capture_output=True, text=True, env=dict(os.environ))


@pytest.mark.parametrize("as_json", [False, True])
def test_doctor_fails_where_a_required_layer_is_missing(as_json: bool) -> None:
    answer = without(SECCOMP, "doctor", *(["--json"] if as_json else []))
    assert answer.returncode == 3, answer.stdout + answer.stderr
    if as_json:
        found = json.loads(answer.stdout)
        (seccomp,) = [layer for layer in found["layers"] if layer["layer"] == "seccomp"]
        assert (found["ok"], seccomp["ok"], seccomp["required"]) == (False, False, True)
        assert "Operation not permitted" in seccomp["reason"]
    else:
        assert "Scripts cannot be isolated here: seccomp is required." in answer.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_doctor_says_why_no_process_can_be_started(as_json: bool) -> None:
    answer = without(PIDFD_OPEN, "doctor", *(["--json"] if as_json else []))
    assert answer.returncode == 3, answer.stdout + answer.stderr
    shown = json.loads(answer.stdout) if as_json else {"ok": False, "layers": [], "reason": answer.stdout}
    assert (shown["ok"], shown["layers"]) == (False, [])
    assert "no process for scripts can be started: " in shown["reason"]
    assert "Operation not permitted" in shown["reason"]
