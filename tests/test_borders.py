"""The borders between the crates hold: who may use whom, who may touch Python, sockets, or memory."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "native"

# A message's way. Each crate may use the ones named, and no other of ours.
MAY_USE = {
    "message": set(),
    "formats": {"message"},
    "expression": {"message"},
    "script": {"message"},
    "sandbox": {"message", "script"},
    "nats": {"message"},
    "connectors": {"message", "formats", "nats"},
    "flow": {"message", "formats", "expression", "script", "nats", "connectors"},
    "vrsky-native": {"message", "formats", "expression", "script", "sandbox", "flow"},
    "bench-native": set(),
    # A model of the server, for simulations.
    "model": set(),
    # For tests alone: the engine in a simulated world.
    "simulation": {"message", "script", "nats", "connectors", "flow", "model"},
    # For tests alone: nobody uses it but in dev-dependencies.
    "harness": {"message", "nats"},
}
# Sockets, threads and clocks live here; the others only compute.
MAY_USE_TOKIO = {"nats", "connectors", "flow", "bench-native", "harness", "simulation"}
# Modules in which `unsafe` is allowed: what speaks to the script engine directly, a descriptor that was inherited,
# system calls for which no library has a safe function, and memory that is shared with a process.
# Each says why in its first lines.
MAY_BE_UNSAFE = {
    "connectors/src/http/source/inherited.rs",
    "sandbox/src/layers/system.rs",
    "sandbox/src/memory.rs",
    "script/src/executor/engines.rs",
    "script/src/runtime/allocator.rs",
    "script/src/runtime/bytecode.rs",
    "script/src/runtime/builtins/mod.rs",
    "script/src/runtime/define.rs",
    "script/src/runtime/host.rs",
    "script/src/runtime/keys.rs",
    "script/src/runtime/promises.rs",
    "script/src/runtime/raw/key.rs",
    "script/src/runtime/raw/mod.rs",
    "script/src/runtime/raw/value.rs",
    "script/src/runtime/realm.rs",
    "script/src/runtime/view.rs",
}


@pytest.fixture(scope="module")
def packages() -> dict[str, dict]:
    command = ["cargo", "metadata", "--format-version=1", "--no-deps", "--locked"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    return {package["name"]: package for package in json.loads(answer.stdout)["packages"]}


def uses(package: dict) -> set[str]:
    return {dependency["name"] for dependency in package["dependencies"] if dependency["kind"] is None}


def test_every_crate_is_named_here(packages: dict[str, dict]) -> None:
    assert set(packages) == set(MAY_USE)


@pytest.mark.parametrize("crate", MAY_USE)
def test_a_crate_uses_only_what_stands_before_it(packages: dict[str, dict], crate: str) -> None:
    assert uses(packages[crate]) & set(MAY_USE) <= MAY_USE[crate]


def test_only_one_crate_knows_python(packages: dict[str, dict]) -> None:
    assert [name for name, package in packages.items() if "pyo3" in uses(package)] == ["vrsky-native"]


def test_only_the_outer_crates_have_sockets_and_threads(packages: dict[str, dict]) -> None:
    assert {name for name, package in packages.items() if "tokio" in uses(package)} <= MAY_USE_TOKIO


@pytest.mark.parametrize("crate", MAY_USE)
def test_a_dev_dependency_adds_no_feature(packages: dict[str, dict], crate: str) -> None:
    """Else it, and all that uses it, is compiled once for the wheel and once more for the tests."""
    built: dict[str, set[str]] = {}
    for package in packages.values():
        for dependency in package["dependencies"]:
            if dependency["kind"] is None:
                built.setdefault(dependency["name"], set()).update(dependency["features"])
    for dependency in packages[crate]["dependencies"]:
        added = set(dependency["features"]) - built.get(dependency["name"], set(dependency["features"]))
        assert dependency["kind"] != "dev" or not added, dependency["name"]


def test_no_example_in_a_rust_comment_is_taken_for_a_test() -> None:
    """`doctest = false` saves a compiler run a crate; examples that run stand in tests/behaviour."""
    opened = re.compile(r"^\s*//[/!] ```(.*)$", re.MULTILINE)
    for path in NATIVE.glob("*/src/**/*.rs"):
        assert set(opened.findall(path.read_text())) <= {"text", ""}, path


def test_the_python_crate_stays_thin() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in (NATIVE / "python/src").rglob("*.rs"))
    # Each option of XML has a getter, a keyword and a default; a node is told of processes for scripts, and
    # tells of them.
    assert lines <= 1210


def test_unsafe_stands_in_the_marked_modules_and_nowhere_else() -> None:
    pattern = re.compile(r"\bunsafe\s*(\{|fn|impl|trait|extern)|allow\(unsafe_code\)")
    found = {path for path in NATIVE.glob("*/src/**/*.rs") if pattern.search(path.read_text())}
    assert found == {NATIVE / name for name in MAY_BE_UNSAFE}
