"""`make test T=NAME`: what a name stands for, read from the sources, and that nothing is said to be nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import matching

FLOW = {
    "native/flow/Cargo.toml": '[package]\nname = "flow"\n',
    "native/flow/src/lib.rs": "mod engine;\n",
    "native/flow/src/engine/mod.rs": "mod ids;\n",
    "native/flow/src/engine/ids.rs": """\
fn helper() {}
#[cfg(test)]
mod tests {
    #[test]
    fn ids_differ() {}

    mod deeper {
        #[test]
        #[should_panic(expected = "x")]
        fn ids_are_long() {}
    }

    proptest! {
        #[test]
        fn any_id_is_read(id in ".*") {}
    }
}
""",
    "native/flow/tests/behaviour/main.rs": "mod parked;\n",
    "native/flow/tests/behaviour/parked.rs": "fn send() {}\n\n#[test]\nfn parked_messages_come_again() {\n}\n",
    "native/nats/Cargo.toml": '[package]\nname = "nats"\n',
    "native/nats/tests/behaviour/http/mod.rs": "#[test]\nfn a_url_is_read() {}\n",
    "tests/test_parked.py": "def test_parked() -> None: ...\n\nclass TestMore:\n    async def test_more(self): ...\n",
    "tests/end_to_end/test_urls.py": "def helper(): ...\ndef test_urls(): ...\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FLOW.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_rust_tests_have_the_paths_that_their_binary_knows(root: Path) -> None:
    assert [test.name for test in matching.rust_tests(root)] == [
        "flow::engine::ids::tests::ids_differ",
        "flow::engine::ids::tests::deeper::ids_are_long",
        "flow::engine::ids::tests::any_id_is_read",
        "flow::parked::parked_messages_come_again",
        "nats::http::a_url_is_read",
    ]


@pytest.mark.parametrize(
    ("name", "rust", "rust_filter", "pytest_arguments"),
    [
        ("flow::parked", 1, "parked", []),
        ("flow::", 4, "", []),
        ("nats", 1, "", []),
        ("ids_differ", 1, "ids_differ", []),
        ("engine::ids", 3, "engine::ids", []),
        ("parked", 1, "parked", ["-k", "parked"]),
        ("test_more", 0, "test_more", ["-k", "test_more"]),
        ("URLS", 0, "URLS", ["-k", "URLS"]),
        ("parked and not more", 0, "", ["-k", "parked and not more"]),
        ("test_x[1]", 0, "", ["-k", "test_x[1]"]),
        ("tests/test_parked.py", 0, "", ["tests/test_parked.py"]),
        ("test_urls.py::test_urls", 0, "", ["tests/end_to_end/test_urls.py::test_urls"]),
        ("native/flow/src/engine/ids.rs", 3, "", []),
        ("native/flow/tests/behaviour/parked.rs", 1, "parked", []),
        ("nothing_like_it", 0, "nothing_like_it", []),
        ("tests/test_away.py", 0, "", []),
        ("native/flow/src/away.rs", 0, "", []),
    ],
)
def test_a_name_is_looked_for_where_it_may_be(
    root: Path, name: str, rust: int, rust_filter: str, pytest_arguments: list[str]
) -> None:
    plan = matching.plan(name, root)
    assert (len(plan.rust), plan.rust_filter, plan.pytest) == (rust, rust_filter, pytest_arguments)


def test_a_rust_test_takes_only_its_crate_and_its_binary(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(matching, "ROOT", root)
    monkeypatch.setattr(matching, "_run_and_count", lambda command: commands.append(command) or 0)
    for name in ["flow::parked", "ids_differ", "nats"]:
        matching.run_rust(matching.plan(name, root))
    assert commands == [
        ["make", "test-rust", "CRATES=-p flow -p vrsky-native", "TESTS=--test behaviour -- parked"],
        ["make", "test-rust", "CRATES=-p flow -p vrsky-native", "TESTS= -- ids_differ"],
        ["make", "test-rust", "CRATES=-p nats -p vrsky-native", "TESTS=--test behaviour "],
    ]
    assert "1 Rust tests of flow match" in capsys.readouterr().out


@pytest.mark.parametrize(("output", "code"), [("test result: ok. 0 passed; 0 failed", 1), ("3 passed in 0.1s", 0)])
def test_a_run_without_a_test_fails(capsys: pytest.CaptureFixture[str], output: str, code: int) -> None:
    assert matching._run_and_count(["echo", output]) == code
    assert ("No test ran." in capsys.readouterr().err) == bool(code)


def test_a_name_that_matches_nothing_is_refused_before_anything_is_built() -> None:
    environment = os.environ | {"T": "no_test_has_this" + "_name"}
    script = matching.ROOT / ".ci/matching.py"
    answer = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert answer.returncode == 1
    assert re.search("No test matches 'no_test_has_this_name'", answer.stderr)


def test_the_crates_of_the_project_are_found() -> None:
    tests = {test.name for test in matching.rust_tests()}
    assert "harness::alone::tests::the_body_runs_in_another_process" in tests
    assert "flow::passing::jetstream_to_jetstream_acks_after_the_pub_ack" in tests
