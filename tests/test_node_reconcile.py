"""What a node does when files have changed: what it installs and removes, in which order, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vrsky_fast import config
from vrsky_fast.config import Problem
from vrsky_fast.node.reconcile import Key, Plan, Running, claims_of, key_of, plan
from vrsky_fast.node.states import Broken, Canary, Ready, State

HTTP = """\
customer: {customer}
pipeline: {pipeline}
in: {{http: {{path: /{path}}}}}
out: {{file: {{path: {out}.ndjson}}}}
"""
NATS = """\
customer: acme
pipeline: {pipeline}
in: {{nats: {{subject: orders, mode: jetstream, stream: ORDERS, durable: {durable}}}}}
out: {{file: {{path: out.ndjson}}}}
"""

Running_ = dict[Key, Running]


def ready(folder: Path, text: str) -> Ready:
    file = folder / "one.yaml"
    file.write_text(text)
    (one,) = config.load_all(file)
    return Ready(one, {})


def http(folder: Path, pipeline: str, path: str = "", out: str = "out", customer: str = "acme") -> Ready:
    return ready(folder, HTTP.format(customer=customer, pipeline=pipeline, path=path or pipeline, out=out))


def broken(code: str = "config/unknown-key") -> Broken:
    return Broken((Problem(code, "something is wrong", "broken.yaml"),))


def carried_out(made: Plan, running: Mapping[Key, Running]) -> Running_:
    """What runs after the plan. The engine refuses what another pipeline has, and so does this."""
    now = dict(running)
    for change in made.changes:
        for key in change.removes:
            del now[key]
        for one in change.installs:
            now.pop(key_of(one.ready), None)
        for one in change.installs:
            taken = {claim for other in now.values() for claim in claims_of(other.ready)}
            assert key_of(one.ready) not in now
            assert not taken & set(claims_of(one.ready)), f"{one.path} claims what another has"
            now[key_of(one.ready)] = Running(one.path, one.ready)
    for key, path in made.owners.items():
        now[key] = Running(path, now[key].ready)
    return now


def shape(made: Plan) -> list[tuple[list[str], list[str]]]:
    """Of each change, the files that are installed and the names that are removed."""
    return [([one.path for one in change.installs], [name for _, name in change.removes]) for change in made.changes]


def run(states: Mapping[str, State], running: Mapping[Key, Running] | None = None) -> tuple[Plan, Running_]:
    made = plan(states, running or {})
    return made, carried_out(made, running or {})


def said(made: Plan) -> dict[str, tuple[str, Key | None]]:
    return {one.path: (one.problems[0].code, one.goes_on) for one in made.findings}


def test_the_first_plan_installs_what_is_ready_and_names_what_is_not(tmp_path: Path) -> None:
    made, now = run({"a": http(tmp_path, "orders"), "b": broken()})
    assert sorted(now) == [("acme", "orders")]
    assert said(made) == {"b": ("config/unknown-key", None)}


def test_what_is_the_same_is_left_alone_though_it_was_read_again(tmp_path: Path) -> None:
    _, now = run({"a": http(tmp_path, "orders")})
    made, _ = run({"a": http(tmp_path, "orders")}, now)
    assert made.changes == ()


def test_another_secret_alone_is_a_change(tmp_path: Path) -> None:
    one = http(tmp_path, "orders")
    _, now = run({"a": one})
    made, _ = run({"a": Ready(one.file, {"token": "new"})}, now)
    assert shape(made) == [(["a"], [])]


def test_a_canary_that_comes_changes_its_share_or_goes_is_a_change(tmp_path: Path) -> None:
    one = http(tmp_path, "orders")
    other = http(tmp_path, "orders", out="others").file
    canaries = [None, Canary(other, 10), Canary(other, 20), Canary(one.file, 20), None]
    now: Running_ = {}
    for canary in canaries:
        with_it = replace(one, canary=canary)
        made, now = run({"a": with_it}, now)
        assert shape(made) == [(["a"], [])]
        made, now = run({"a": replace(with_it)}, now)
        assert made.changes == ()


def test_without_its_canary_a_file_is_served_and_it_is_said(tmp_path: Path) -> None:
    one = replace(http(tmp_path, "orders"), canary_problems=broken("config/canary").problems)
    made, now = run({"a": one}, {})
    assert list(now) == [("acme", "orders")]
    assert said(made) == {"a": ("config/canary", ("acme", "orders"))}


def test_a_broken_file_leaves_what_it_defined_running_and_says_so(tmp_path: Path) -> None:
    _, now = run({"a": http(tmp_path, "orders")})
    made, then = run({"a": broken()}, now)
    assert then == now
    assert said(made) == {"a": ("config/unknown-key", ("acme", "orders"))}


def test_a_pipeline_goes_when_no_file_defines_it(tmp_path: Path) -> None:
    _, now = run({"a": http(tmp_path, "orders"), "b": http(tmp_path, "returns")})
    _, then = run({"b": http(tmp_path, "returns")}, now)
    assert sorted(then) == [("acme", "returns")]


def test_a_file_that_was_moved_changes_nothing_but_the_owner(tmp_path: Path) -> None:
    _, now = run({"a": http(tmp_path, "orders")})
    made, then = run({"b": http(tmp_path, "orders")}, now)
    assert (made.changes, made.owners) == ((), {("acme", "orders"): "b"})
    assert then["acme", "orders"].path == "b"


def test_of_two_new_files_with_one_name_the_first_has_it(tmp_path: Path) -> None:
    made, now = run({"b": http(tmp_path, "orders", "x"), "a": http(tmp_path, "orders", "y")})
    assert now["acme", "orders"].path == "a"
    assert said(made) == {"b": ("config/conflict", None)}
    assert "a already" in made.findings[0].problems[0].reason


def test_what_runs_keeps_its_address_against_a_file_that_sorts_before_it(tmp_path: Path) -> None:
    _, now = run({"b": http(tmp_path, "orders")})
    made, then = run({"a": http(tmp_path, "other", "orders"), "b": http(tmp_path, "orders")}, now)
    assert then == now
    assert said(made) == {"a": ("config/conflict", None)}


def test_the_same_path_of_another_customer_is_no_conflict(tmp_path: Path) -> None:
    made, now = run({"a": http(tmp_path, "orders"), "b": http(tmp_path, "orders", customer="zeta")})
    assert len(now) == 2
    assert made.findings == ()


def test_a_stream_is_read_by_one_durable_of_one_pipeline(tmp_path: Path) -> None:
    one = ready(tmp_path, NATS.format(pipeline="one", durable="reader"))
    two = ready(tmp_path, NATS.format(pipeline="two", durable="reader"))
    made, now = run({"a": one, "b": two})
    assert sorted(now) == [("acme", "one")]
    assert "the durable reader of the stream ORDERS" in made.findings[0].problems[0].reason


def test_two_pipelines_exchange_their_addresses(tmp_path: Path) -> None:
    _, now = run({"a": http(tmp_path, "one", "x"), "b": http(tmp_path, "two", "y")})
    made, then = run({"a": http(tmp_path, "one", "y"), "b": http(tmp_path, "two", "x")}, now)
    assert made.findings == ()
    assert {key: claims_of(one.ready) for key, one in then.items()} == {
        ("acme", "one"): ("the address /in/acme/y",),
        ("acme", "two"): ("the address /in/acme/x",),
    }
    assert shape(made) == [(["a", "b"], [])]


def test_a_chain_of_addresses_is_one_change(tmp_path: Path) -> None:
    _, now = run({"a": http(tmp_path, "one", "x"), "b": http(tmp_path, "two", "y")})
    made, then = run({"a": http(tmp_path, "one", "y"), "b": http(tmp_path, "two", "z")}, now)
    assert [sorted(installs) for installs, _ in shape(made)] == [["a", "b"]]
    assert len(then) == 2


def test_a_renamed_pipeline_with_the_same_address_takes_it_from_its_old_name(tmp_path: Path) -> None:
    _, now = run({"a": http(tmp_path, "old", "orders")})
    made, then = run({"a": http(tmp_path, "new", "orders")}, now)
    assert shape(made) == [(["a"], ["old"])]
    assert sorted(then) == [("acme", "new")]


def test_a_renamed_pipeline_with_another_address_is_served_before_the_old_one_goes(tmp_path: Path) -> None:
    _, now = run({"a": http(tmp_path, "old", "x")})
    made, _ = run({"a": http(tmp_path, "new", "y")}, now)
    assert shape(made) == [(["a"], []), ([], ["old"])]


def test_who_holds_on_to_an_address_refuses_it_to_the_next(tmp_path: Path) -> None:
    """`b` wants what `a` gives up, but `a` cannot have what it wants, so that it stays where it is."""
    states: dict[str, State] = {"a": http(tmp_path, "one", "x"), "b": http(tmp_path, "two", "y")}
    states["c"] = http(tmp_path, "three", "z")
    _, now = run(states)
    states |= {"a": http(tmp_path, "one", "z"), "b": http(tmp_path, "two", "x")}
    made, then = run(states, now)
    assert then == now
    assert said(made) == {
        "a": ("config/conflict", ("acme", "one")),
        "b": ("config/conflict", ("acme", "two")),
    }


def test_what_has_nothing_to_do_with_each_other_is_a_change_each(tmp_path: Path) -> None:
    made, _ = run({"a": http(tmp_path, "one"), "b": http(tmp_path, "two")})
    assert shape(made) == [(["a"], []), (["b"], [])]


def test_a_chain_whose_end_is_refused_holds_on_to_all_of_it(tmp_path: Path) -> None:
    files = [f"{number:03}" for number in range(300)]
    _, now = run({file: http(tmp_path, f"p{file}", f"at-{file}") for file in files} | {"x": http(tmp_path, "x", "end")})
    moved: dict[str, State] = {
        file: http(tmp_path, f"p{file}", f"at-{then}") for file, then in pairwise([*files, "end"])
    }
    moved["299"] = http(tmp_path, "p299", "end")
    made, then = run(moved | {"x": http(tmp_path, "x", "end")}, now)
    assert then == now
    assert len(said(made)) == 300


NAMES = st.sampled_from(["one", "two", "three"])
FILES = st.dictionaries(
    st.sampled_from("abcd"),
    st.one_of(st.none(), st.tuples(NAMES, st.sampled_from("xyz"), st.sampled_from(["v1", "v2"]))),
)


@given(st.lists(FILES, min_size=1, max_size=5))
def test_any_history_of_files_ends_as_their_last_state_says(tmp_path_factory, history) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("files")
    now: Running_ = {}
    for files in history:
        states: dict[str, State] = {
            path: broken() if wanted is None else http(folder, *wanted) for path, wanted in files.items()
        }
        before = now
        made, now = run(states, before)
        blamed = {one.path: one for one in made.findings}
        for path, state in states.items():
            serves = [one for one in now.values() if one.path == path]
            if path in blamed:
                # What it defined before goes on as it was, or nothing.
                assert all(one is before[key_of(one.ready)] for one in serves)
                assert len(serves) == (blamed[path].goes_on is not None)
            else:
                assert isinstance(state, Ready)
                assert [one.ready.file.summary.revision for one in serves] == [state.file.summary.revision]
        assert {one.path for one in now.values()} <= states.keys()
        # Nothing is left to do.
        again, _ = run(states, now)
        assert again.changes == ()
        assert said(again) == said(made)
