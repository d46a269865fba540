"""The zygote of script workers as the node starts it, and the look at the sandbox."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vrsky_fast import _native
from vrsky_fast.errors import ScriptError
from vrsky_fast.node.sandbox import default_memory, probe, zygote_command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")


def test_every_layer_that_a_node_requires_is_to_be_had() -> None:
    layers = probe()
    assert [layer.name for layer in layers if layer.required and not layer.ok] == []
    assert {layer.name for layer in layers if layer.required} >= {"seccomp", "rlimits", "descriptors"}
    assert all(layer.ok == (layer.reason is None) for layer in layers)


def start() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    host, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        zygote = subprocess.Popen(zygote_command(), stdin=theirs.fileno(), stderr=subprocess.PIPE, env={}, cwd="/")
    host.settimeout(30)
    # Its report: it is ready.
    assert len(host.recv(1024)) > 4
    return host, zygote


def processes_below(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_zygote_has_one_thread_and_loads_the_extension_and_no_package() -> None:
    host, zygote = start()
    with host, zygote:
        inner = [zygote.pid, *processes_below(zygote.pid)]
        for pid in inner:
            assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
            mapped = Path(f"/proc/{pid}/maps").read_text()
            assert Path(_native.__file__).name in mapped
            # No library for sockets or TLS of Python's: what is not there cannot hold anything.
            assert "_ssl" not in mapped
            assert Path(f"/proc/{pid}/environ").read_bytes() == b""
        host.close()
        assert zygote.wait(30) == 0


def test_a_zygote_ends_when_the_host_goes() -> None:
    host, zygote = start()
    with zygote:
        inner = processes_below(zygote.pid)
        host.close()
        assert zygote.wait(30) == 0
        assert [pid for pid in inner if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.parametrize(
    ("before", "control", "reason"),
    [
        ("", 99, "Bad file descriptor"),
        ("threading.Thread(target=threading.Event().wait, daemon=True).start()", 0, "several threads"),
    ],
)
def test_a_program_that_was_not_started_for_it_is_no_zygote(before: str, control: int, reason: str) -> None:
    program = f"import threading\n{before}\nfrom vrsky_fast import _native\n_native.sandbox_zygote({control})"
    host, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with host, theirs:
        answer = subprocess.run(
            [sys.executable, "-c", program], stdin=theirs.fileno(), stderr=subprocess.PIPE, text=True
        )
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1].startswith("OSError")
    assert reason in answer.stderr


def test_a_command_that_is_no_zygote_is_an_error() -> None:
    with pytest.raises(OSError, match="the zygote has ended"):
        _native.sandbox_probe(["/bin/true"])
    with pytest.raises(OSError, match="No such file"):
        _native.sandbox_probe(["/no/such/program"])


MIB = 1 << 20


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {}, 4096),
        ("0::/\n", {"memory.max": "max"}, 4096),
        ("0::/\n", {"memory.max": str(512 * MIB)}, 384),
        ("0::/\n", {"memory.max": str(100 * MIB)}, 64),
        ("0::/pod/one\n", {"pod/memory.max": str(1024 * MIB), "pod/one/memory.max": "max"}, 768),
        ("0::/not/seen/here\n", {"memory.max": str(6144 * MIB)}, 5120),
        ("5:memory:/pod\n3:cpu:/x\n", {"memory/pod/memory.limit_in_bytes": str(1024 * MIB)}, 768),
        ("5:memory:/\n", {"memory/memory.limit_in_bytes": str(1 << 63)}, 4096),
    ],
)
def test_workers_get_what_a_containers_limit_leaves_beside_the_node(
    tmp_path: Path, own: str, files: dict[str, str], expected: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert default_memory(tmp_path, own, 8192 * MIB) == expected * MIB


def pipeline(name: str, steps: list[object]) -> str:
    file = {"customer": "acme", "pipeline": name, "in": {"nats": {"subject": f"in.{name}"}}, "steps": steps}
    return json.dumps(file | {"out": {"file": {"path": "out"}}})


def test_where_scripts_cannot_be_isolated_pipelines_with_scripts_are_refused_alone(tmp_path: Path) -> None:
    config = json.dumps({"nats": {"url": "nats://127.0.0.1"}, "files": str(tmp_path)})
    node = _native.Node(config, ["/bin/true"])
    scripted = pipeline("scripted", [{"script": {"code": "export default msg => msg"}}])
    with pytest.raises(ScriptError, match=r"`vrsky doctor` shows .* `--isolation none` runs scripts") as caught:
        node.install(scripted)
    assert caught.value.code == "script/unavailable"
    node.install(pipeline("plain", []))
    outgoing = json.loads(config) | {"types": ["outgoing"]}
    _native.Node(json.dumps(outgoing), ["/bin/true"]).install(scripted)
    _native.Node(config, zygote_command()).install(scripted)
