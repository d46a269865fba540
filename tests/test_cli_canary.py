"""The options of `vrsky apply --canary`, against a bucket without nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from vrsky_fast.cli.canary import Decided, duration, rate_above, share, write_decision
from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.nodes import Figures
from vrsky_fast.control.revisions import current

from .certificates import Listening
from .conftest import MINIMAL, Vrsky, Write


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with Listening(tmp_path / "server", "") as server:
        yield f"nats://127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("text", "millionths"), [("5%", 50_000), ("0.0001%", 1), ("100%", 1_000_000), ("12.5 %", 125_000)]
)
def test_a_share_is_a_percentage(text: str, millionths: int) -> None:
    assert share(text) == rate_above(text) == millionths


@pytest.mark.parametrize("text", ["", "5", "0%", "101%", "0.00001%", "-1%", "five%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no share"):
        share(text)


def test_a_rate_may_be_zero_and_a_duration_has_a_unit() -> None:
    assert rate_above("0%") == 0
    assert [duration(one) for one in ("90s", "10m", "2h", "1d")] == [90, 600, 7_200, 86_400]
    for text in ("10", "m", "1.5h", "1w"):
        with pytest.raises(click.BadParameter, match="is no duration"):
            duration(text)


@pytest.mark.parametrize(
    "arguments", [("--abort-above", "1%"), ("--promote-after", "1m"), ("--canary", "5%", "--prune"), ("--canary", "5")]
)
def test_options_that_make_no_sense_together_are_refused(
    vrsky: Vrsky, write: Write, arguments: tuple[str, ...]
) -> None:
    write("p/a.yaml", MINIMAL)
    done = vrsky("apply", "p", "--yes", *arguments, VRSKY_NATS="nats://127.0.0.1:1")
    assert done.returncode == 2, done.stderr


def test_a_dry_run_shows_the_canary_and_writes_nothing(vrsky: Vrsky, write: Write, url: str) -> None:
    write("p/a.yaml", MINIMAL)
    assert vrsky("apply", "p", "--yes", VRSKY_NATS=url).returncode == 0
    write("p/a.yaml", MINIMAL.replace("  - filter", "  - filter: size(ctx.id) > 0\n  - filter"))
    done = vrsky("apply", "p", "--canary", "5%", "--dry-run", VRSKY_NATS=url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("canary ")
    assert "+  - filter: size(ctx.id) > 0" in done.stdout
    assert "canary" not in vrsky("status", VRSKY_NATS=url).stdout


def test_of_two_decisions_about_one_canary_the_second_is_told_of_the_first(
    vrsky: Vrsky, write: Write, url: str
) -> None:
    write("p/a.yaml", MINIMAL)
    assert vrsky("apply", "p", "--yes", VRSKY_NATS=url).returncode == 0
    write("p/a.yaml", MINIMAL.replace("  - filter", "  - filter: size(ctx.id) > 0\n  - filter"))
    assert vrsky("apply", "p", "--canary", "5%", "--yes", "--wait", "0", VRSKY_NATS=url).returncode == 0

    async def decide_twice() -> list[Decided]:
        async with connect(endpoint_of(url)) as client:
            (seen,) = (await current(client)).values()
            assert seen.canary is not None
            decided = Decided(seen.key, "abort", "too many fail", Figures(seen.canary.stored.revision, 9, 9, 9, 0))
            found = []
            for decision in ("abort", "promote"):
                one = replace(decided, decision=decision)  # type: ignore[arg-type]
                found.append(await write_decision(client, seen, seen.canary, one, ("ops", "ops@here")))
            return found

    first, second = asyncio.run(decide_twice())
    assert (first.decision, second.decision, second.sequence) == ("abort", "wait", None)
    assert "changed to revision" in second.why
    assert (
        "aborted: too many fail; ops@here" in vrsky("history", f"{first.key.replace('.', '/')}", VRSKY_NATS=url).stdout
    )
