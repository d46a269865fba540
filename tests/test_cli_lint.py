"""`vrsky lint` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import MINIMAL, Vrsky, Write


def test_lint_says_what_is_right_and_what_is_wrong(vrsky: Vrsky, minimal: Path, write: Write) -> None:
    done = vrsky("lint", minimal)
    assert (done.returncode, done.stderr) == (0, "")
    assert "acme/orders" in done.stdout
    write("bad.yaml", MINIMAL.replace("filter", "fliter"))
    done = vrsky("lint", "bad.yaml", minimal)
    assert done.returncode == 1
    assert "bad.yaml:7:5: config/unknown-key" in done.stdout
    assert "did you mean `filter`" in done.stdout
    assert "1 problem" in done.stdout
    assert "\x1b" not in done.stdout


def test_lint_calls_no_file_right_of_which_it_reports_a_conflict(vrsky: Vrsky, write: Write) -> None:
    for name, text in [
        ("a", MINIMAL),
        ("b", MINIMAL),
        ("c", MINIMAL.replace("pipeline: orders", "pipeline: other")),
        ("d", MINIMAL.replace("pipeline: orders", "pipeline: fine").replace("/orders", "/fine")),
    ]:
        write(f"all/{name}.yaml", text)
    done = vrsky("lint", "all")
    assert done.returncode == 1
    right = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ok")]
    assert [Path(one).name for one in right] == ["a.yaml", "d.yaml"]
    assert done.stdout.count("config/conflict") == 3
    report = json.loads(vrsky("lint", "all", "--json").stdout)
    assert [one["pipeline"] for one in report["pipelines"]] == ["orders", "fine"]


def test_lint_gives_json_for_programs(vrsky: Vrsky, minimal: Path, write: Write) -> None:
    write("bad.yaml", "a: 1\na: 2\n")
    done = vrsky("lint", "bad.yaml", minimal, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert not report["ok"]
    assert [one["pipeline"] for one in report["pipelines"]] == ["orders"]
    (problem,) = report["problems"]
    assert (problem["code"], problem["line"], problem["column"]) == ("config/duplicate-key", 2, 1)


def test_every_verb_that_reads_pipeline_files_takes_variables(vrsky: Vrsky, write: Write) -> None:
    text = "customer: acme\npipeline: orders\nin: {http: {path: {var: PATH}}}\n"
    text += "steps: [{set: {a: {var: A}}}]\nout: {stdout: {}}\n"
    write("orders.yaml", text + "tests: [{name: a, in: {json: {}}, out: {default: {json: {a: a=b}}}}]\n")
    given = ("--var", "PATH=/orders", "--var", "A=a=b")
    for verb in (["lint"], ["test"], ["check"], ["dry-run"]):
        left = vrsky(*verb, "orders.yaml", input="{}")
        assert (left.returncode, "config/missing-variable" in left.stdout + left.stderr) == (1, True), verb
        assert vrsky(*verb, "orders.yaml", *given, input="{}").returncode == 0, verb
        by_environment = vrsky(*verb, "orders.yaml", input="{}", VRSKY_VAR_PATH="/orders", VRSKY_VAR_A="a=b")
        assert by_environment.returncode == 0, verb
    assert vrsky("lint", "orders.yaml", "--var", "path=/orders").returncode == 2
    assert vrsky("lint", "orders.yaml", *given, "--var", "A=c").returncode == 2


def test_lint_names_limits_above_the_ceilings_of_a_node(vrsky: Vrsky, write: Write) -> None:
    limits = "limits:\n  fuel: 2000000\n  script: {cpu_ms: 101, memory_mb: 300}\n"
    write("orders.yaml", MINIMAL + limits)
    done = vrsky("lint", "orders.yaml", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    first = MINIMAL.count("\n") + 1
    found = {(one["code"], one["pointer"], one["line"] - first) for one in report["problems"]}
    assert found == {
        ("config/above-ceiling", "/limits/fuel", 1),
        ("config/above-ceiling", "/limits/script/cpu_ms", 2),
        ("config/above-ceiling", "/limits/script/memory_mb", 2),
    }
    assert all("operator" in one["hint"] for one in report["problems"])
    assert report["pipelines"] == []
    higher = ("--max-cpu-ms", "101", "--max-memory-mb", "300", "--max-fuel", "2000000")
    assert vrsky("lint", "orders.yaml", *higher).returncode == 0
    assert vrsky("check", "orders.yaml", *higher).returncode == 0
    assert "--max-cpu-ms" in vrsky("check", "orders.yaml", *higher[2:]).stdout
    assert vrsky("lint", "orders.yaml", "--max-cpu-ms", "4").returncode == 2, "below what everybody gets"
