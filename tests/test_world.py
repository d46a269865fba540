"""The engine takes clocks, randomness, threads and sockets from its world alone, so that a seed can decide them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .rust_paths import tokens

NATIVE = Path(__file__).resolve().parent.parent / "native"
ENGINE = NATIVE / "flow/src/engine"
# Makes threads, and the worlds they get; it is outside the simulation.
HOST = ("node", "world")
INSTEAD = {
    "SystemTime": "`World::now_ms`",
    "getrandom": "`World::secret`",
    "RandomState": "`World::secret`",
    "TcpStream": "`World::network`",
    "TcpListener": "`World::source`",
    "UdpSocket": "`World::network`",
    "spawn_blocking": "`World::elsewhere`",
    "ThreadExecutor": "`World::executor`",
    "HashMap": "`BTreeMap`: its order is the same in every run",
    "HashSet": "`BTreeSet`: its order is the same in every run",
}
SEQUENCES = {
    ("std", "::", "time", "::", "Instant"): "`tokio::time::Instant`, which a paused clock holds",
    ("std", "::", "thread"): "`World::elsewhere`",
    ("fastrand", "::", "u64"): "`Settlement::random_id` or `jitter`",
    ("fastrand", "::", "f64"): "`Settlement::jitter`",
}


def own_code(text: str) -> str:
    """Without the file's tests."""
    return re.split(r"#\[cfg\(test\)\]\s*mod \w+ \{", text)[0]


def is_test(file: Path) -> bool:
    return "tests" in file.parts or file.stem.endswith("tests")


def faults(text: str) -> list[str]:
    """What a file takes from elsewhere than its world, and what to do instead."""
    words = list(tokens(own_code(text)))
    found = []
    for at, word in enumerate(words):
        following = [token.text for token in words[at : at + 5]]
        if word.text in INSTEAD:
            found.append(f"{word.line}: {word.text}: use {INSTEAD[word.text]}")
        for sequence, instead in SEQUENCES.items():
            if tuple(following[: len(sequence)]) == sequence:
                found.append(f"{word.line}: {''.join(sequence)}: use {instead}")
        if following[:3] == ["select", "!", "{"] and following[3] != "biased":
            found.append(f"{word.line}: select!: begin with `biased;`")
        if following[:4] == ["std", "::", "time", "::"] and following[4] == "{" and "Instant" in braces(words, at + 4):
            found.append(f"{word.line}: std::time::Instant: use `tokio::time::Instant`")
    return found


def braces(words: list, at: int) -> list[str]:
    end = next(index for index in range(at, len(words)) if words[index].text == "}")
    return [token.text for token in words[at:end]]


FILES = [
    file for file in sorted(ENGINE.rglob("*.rs")) if file.relative_to(ENGINE).parts[0] not in HOST and not is_test(file)
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ENGINE)))
def test_the_engine_takes_everything_from_its_world(file: Path) -> None:
    assert faults(file.read_text()) == []


@pytest.mark.parametrize("name", ["connection.rs", "link.rs", "outbox.rs", "requests.rs", "backoff.rs"])
def test_a_connection_takes_everything_from_its_network(name: str) -> None:
    assert faults((NATIVE / "nats/src/driver" / name).read_text()) == []


@pytest.mark.parametrize(
    "code",
    [
        "use std::time::{Duration, Instant};",
        "let now = std::time::Instant::now();",
        "use std::collections::HashMap;",
        "let n = fastrand::u64(..);",
        "std::thread::spawn(|| ());",
        "tokio::select! { a = b => a }",
        "let stream = tokio::net::TcpStream::connect(a);",
    ],
)
def test_what_no_seed_could_decide_is_found(code: str) -> None:
    assert len(faults(code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "use std::time::Duration; use tokio::time::Instant;",
        "// std::time::Instant is not for us",
        "tokio::select! { biased; a = b => a }",
        "let random = fastrand::Rng::with_seed(seed);",
        "#[cfg(test)]\nmod tests {\n    use std::collections::HashSet;\n}",
    ],
)
def test_what_a_seed_decides_is_let_through(code: str) -> None:
    assert faults(code) == []
