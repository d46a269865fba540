"""Pipeline files that are hostile or too much: refused with file, line and column, and the others run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ..conftest import clean_environment, command
from .conftest import StartNode, write_pipelines
from .node import a_number

GOOD = """\
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps:
  - filter: n > 0
out: {file: {path: orders.ndjson}}
"""

TERMS = " + ".join(["n"] * 20_000)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b]\n"

# Name to files, code, the file to blame, and the line in it.
BAD = {
    "20,000 terms": ({"bad.yaml": GOOD.replace("n > 0", f"{TERMS} > 0")}, "config/expression-too-large", "bad.yaml", 5),
    "20,000 brackets": (
        {"bad.yaml": GOOD.replace("n > 0", "(" * 20_000 + "n" + ")" * 20_000 + " > 0")},
        "config/expression-too-large",
        "bad.yaml",
        5,
    ),
    "an alias": (
        {"bad.yaml": GOOD.replace("steps:", "limits: &l {backlog: 5}\nsteps:")},
        "config/alias",
        "bad.yaml",
        4,
    ),
    "a bomb of aliases": ({"bad.yaml": GOOD + BOMB}, "config/alias", "bad.yaml", 7),
    "a merge key": ({"bad.yaml": GOOD + "<<: {a: 1}\n"}, "config/unknown-key", "bad.yaml", 7),
    "a tag": ({"bad.yaml": GOOD.replace("acme", "!!python/object/apply:os.system [id]")}, "config/tag", "bad.yaml", 1),
    "10,000 levels": ({"bad.yaml": GOOD + "x: " + "[" * 10_000 + "]" * 10_000}, "config/too-deep", "bad.yaml", 7),
    "two megabytes": ({"bad.yaml": GOOD + "#" * 2_000_000}, "config/too-large", "bad.yaml", 1),
    "a script of 30,000 brackets": (
        {
            "bad.yaml": GOOD.replace("filter: n > 0", "script: bad.ts"),
            "bad.ts": "export default (msg) => " + "(" * 30_000 + "msg" + ")" * 30_000 + ";\n",
        },
        "script/too-large",
        "bad.ts",
        1,
    ),
    "a script of 30,000 types": (
        {
            "bad.yaml": GOOD.replace("filter: n > 0", "script: bad.ts"),
            "bad.ts": "export default (msg: " + "Array<" * 30_000 + "string" + ">" * 30_000 + ") => msg;\n",
        },
        "script/too-large",
        "bad.ts",
        1,
    ),
    "a script outside": (
        {"bad.yaml": GOOD.replace("filter: n > 0", "script: ../../etc/passwd.ts")},
        "config/file-outside",
        "bad.yaml",
        5,
    ),
}


def vrsky(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=60, env=clean_environment()
    )


@pytest.mark.parametrize("name", BAD)
def test_lint_names_the_fault_and_its_place(tmp_path: Path, name: str) -> None:
    files, code, blamed, line = BAD[name]
    write_pipelines(tmp_path, files)
    done = vrsky(tmp_path, "lint", "pipelines/bad.yaml", "--json")
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    found = [one for one in report["problems"] if one["code"] == code]
    assert found, report["problems"][:3]
    assert Path(found[0]["file"]).name == blamed
    assert found[0].get("line") == line
    assert found[0]["reason"]
    assert len(done.stdout) < 20_000, "a report for people, not the file once more"


WORST = ("20,000 terms", "an alias", "a script of 30,000 brackets")


def test_a_strict_run_with_a_bad_file_starts_nothing_and_what_was_accepted_waits(
    start_node: StartNode, tmp_path: Path
) -> None:
    # Nothing listens where they go, so that they wait.
    waiting = GOOD.replace("file: {path: orders.ndjson}", "http: {url: 'http://127.0.0.1:1/'}")
    node = start_node({"good.yaml": waiting})
    sent = {a_number() for _ in range(10)}
    for number in sent:
        node.accepts("/orders", b'{"n": %d}' % number)
    # A stop would wait for the server that is not there.
    node.kill()
    for name in WORST:
        files, code, blamed, _ = BAD[name]
        write_pipelines(tmp_path, files)
        refused = vrsky(tmp_path, "run", "pipelines", "--strict", "--listen", "127.0.0.1:0", "--json")
        assert refused.returncode == 1, refused.stderr
        problems = json.loads(refused.stdout)["problems"]
        assert (problems[0]["code"], Path(problems[0]["file"]).name) == (code, blamed)
        for file in files:
            (tmp_path / "pipelines" / file).unlink()
    node = start_node({"good.yaml": GOOD})
    node.delivers_all("orders.ndjson", sent)
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0


def test_a_run_leaves_a_bad_file_out_says_why_and_serves_the_others(start_node: StartNode) -> None:
    files, wanted = {"good.yaml": GOOD}, set()
    for number, name in enumerate(WORST):
        own, code, blamed, line = BAD[name]
        own = {f"{number}-{file}": text.replace("bad.ts", f"{number}-bad.ts") for file, text in own.items()}
        files |= own
        wanted.add((f"{number}-bad.yaml", code, f"{number}-{blamed}", line))
    node = start_node(files)
    node.still_works("/orders", "orders.ndjson")
    said = [one for one in list(node.said) if one["kind"] == "not-served"]
    found = {
        (Path(one["file"]).name, problem["code"], Path(problem["file"]).name, problem.get("line"))
        for one in said
        for problem in one["problems"]
    }
    assert found == wanted
    assert all(one["goes_on"] is None for one in said)
    assert node.stop() == 0
    assert node.hears("stopped")["left_out"] == len(WORST)


def test_a_run_of_bad_files_alone_does_not_start(tmp_path: Path) -> None:
    files, code, _, _ = BAD["an alias"]
    write_pipelines(tmp_path, files)
    refused = vrsky(tmp_path, "run", "pipelines", "--listen", "127.0.0.1:0", "--json")
    assert refused.returncode == 1, refused.stderr
    assert json.loads(refused.stdout)["problems"][0]["code"] == code
