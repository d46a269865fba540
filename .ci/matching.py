"""Runs the tests that a name matches, of either language, and builds only what these need.

`make test T=NAME` calls it; NAME is one of

    flow::parked::a_test   a Rust crate, module or test; any part of such a path will do
    native/.../parked.rs   a Rust file
    tests/test_json.py     a pytest file or node id; the folder may be left out
    test_reads_json        a part of a test's or file's name, looked for in both languages
    "a and not b"          an expression for pytest's -k

Which tests there are is read from the sources, so that a name that matches nothing fails before a build.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

RUST_LINE = re.compile(
    r"^( *)(?:mod (?P<module>\w+) \{|(?P<mark>#\[test\])|fn (?P<function>\w+)|(?P<end>\}$))", re.MULTILINE
)
PYTHON_TEST = re.compile(r"^ *(?:async )?def (test_\w+)|^class (Test\w+)", re.MULTILINE)
# Of the last lines of cargo test and of pytest.
RAN = re.compile(r"\b(\d+) (?:passed|failed|xfailed|skipped)\b")
OF_MAKE = {"T", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}
EXPRESSION = re.compile(r"[\s\[\]()]")


@dataclass(frozen=True)
class RustTest:
    """`crate` and the path that the test binary knows: `parked::a_test`."""

    crate: str
    path: str
    file: Path

    @property
    def name(self) -> str:
        return f"{self.crate}::{self.path}"


@dataclass
class Plan:
    """What to run: Rust tests by crate and filter, and pytest's arguments."""

    rust: list[RustTest] = field(default_factory=list)
    rust_filter: str = ""
    pytest: list[str] = field(default_factory=list)


def rust_tests(root: Path = ROOT) -> list[RustTest]:
    """Every `#[test]` of the workspace, as its sources say."""
    found = []
    for manifest in sorted([*root.glob("native/*/Cargo.toml"), *root.glob("bench/native/Cargo.toml")]):
        name = re.search(r'^name = "(.*)"', manifest.read_text(), re.MULTILINE)
        assert name is not None, manifest
        for file in sorted([*manifest.parent.glob("src/**/*.rs"), *manifest.parent.glob("tests/**/*.rs")]):
            modules = module_path(file.relative_to(manifest.parent))
            found += [RustTest(name[1], "::".join([*modules, test]), file) for test in _tests_of(file.read_text())]
    return found


def module_path(file: Path) -> list[str]:
    """Of `src/a/b.rs`: a, b. Of `tests/behaviour/a.rs`: a. `mod`, `lib` and `main` name no module."""
    parts = [*file.parts[1 if file.parts[0] == "src" else 2 : -1], file.stem]
    return [part for part in parts if part not in {"mod", "lib", "main"}]


def _tests_of(text: str) -> list[str]:
    """Paths of the tests within one file, whose indentation is that of rustfmt; a `mod tests {` counts."""
    tests: list[str] = []
    modules: list[tuple[int, str]] = []
    marked = False
    for line in RUST_LINE.finditer(text):
        indent = len(line[1])
        if line["module"]:
            modules.append((indent, line["module"]))
        elif line["end"]:
            modules = [(depth, name) for depth, name in modules if depth < indent]
        elif line["mark"]:
            marked = True
        elif marked:
            tests.append("::".join([*(name for _, name in modules), line["function"]]))
            marked = False
    return tests


def python_tests(root: Path = ROOT) -> list[str]:
    """Node ids without classes: `tests/test_json.py::test_reads`."""
    return [
        f"{file.relative_to(root)}::{test or group}"
        for file in sorted(root.glob("tests/**/test_*.py"))
        if "kube" not in file.parts
        for test, group in PYTHON_TEST.findall(file.read_text())
    ]


def plan(name: str, root: Path = ROOT) -> Plan:
    """What `name` means; an empty plan where nothing matches."""
    if ".py" in name:
        return _plan_of_python_file(name, root)
    if name.endswith(".rs"):
        return _plan_of_rust_file(name, root)
    if EXPRESSION.search(name):
        return Plan(pytest=["-k", name])
    tests = rust_tests(root)
    of_crate = [test for test in tests if name in {test.crate, f"{test.crate}::"}]
    if of_crate:
        return Plan(rust=of_crate)
    rust = [test for test in tests if name in test.name]
    crate, _, rest = name.partition("::")
    filter_ = rest if crate in {test.crate for test in rust} else name
    matches = any(name.lower() in test.lower() for test in python_tests(root))
    return Plan(rust=rust, rust_filter=filter_, pytest=["-k", name] if matches else [])


def _plan_of_python_file(name: str, root: Path) -> Plan:
    file, separator, rest = name.partition("::")
    given = root / file
    files = [given] if given.is_file() else sorted(root.glob(f"tests/**/{Path(file).name}"))
    return Plan(pytest=[f"{path.relative_to(root)}{separator}{rest}" for path in files])


def _plan_of_rust_file(name: str, root: Path) -> Plan:
    rust = [test for test in rust_tests(root) if test.file == root / name]
    modules = {test.path.rpartition("::")[0] for test in rust}
    return Plan(rust=rust, rust_filter=modules.pop() if len(modules) == 1 else "")


def run_rust(chosen: Plan) -> int:
    """Runs cargo through `make test-rust`, with the features of all crates."""
    crates = sorted({test.crate for test in chosen.rust})
    # vrsky-native has no Rust tests; beside it, the crates' dependencies have the features that they have in all
    # other builds, so that none is compiled again.
    packages = " ".join(f"-p {crate}" for crate in [*crates, "vrsky-native"])
    below = {test.file.relative_to(ROOT).parts[2] for test in chosen.rust}
    target = "--test behaviour" if below == {"tests"} else ""
    print(f"{len(chosen.rust)} Rust tests of {', '.join(crates)} match", flush=True)
    filters = f"-- {shlex.quote(chosen.rust_filter)}" if chosen.rust_filter else ""
    return _run_and_count(["make", "test-rust", f"CRATES={packages}", f"TESTS={target} {filters}"])


def run_python(chosen: Plan) -> int:
    """Runs pytest through `make test-python`."""
    arguments = " ".join(shlex.quote(argument) for argument in chosen.pytest)
    return _run_and_count(["make", "test-python", f"TESTS={arguments.replace('$', '$$')}"])


def _run_and_count(command: list[str]) -> int:
    """Shows the output as it comes; its exit code is not 0 where no test has run, either."""
    # Not make's own: they would carry T into the call.
    environment = {key: value for key, value in os.environ.items() if key not in OF_MAKE}
    ran = 0
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            ran += sum(int(count) for count in RAN.findall(line))
    if process.returncode == 0 and ran == 0:
        print("No test ran.", file=sys.stderr)
        return 1
    return process.returncode


def main() -> int:
    name = os.environ.get("T") or " ".join(sys.argv[1:])
    chosen = plan(name)
    if not chosen.rust and not chosen.pytest:
        print(f"No test matches {name!r}; see .ci/matching.py for what T may be.", file=sys.stderr)
        return 1
    codes = [run_rust(chosen)] if chosen.rust else []
    codes += [run_python(chosen)] if chosen.pytest else []
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
