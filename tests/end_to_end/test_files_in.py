"""Files as an in: killed nodes, hostile files, and files far larger than the memory they may take."""

from __future__ import annotations

import random
from pathlib import Path

from .conftest import StartNode
from .node import Node, eventually

ROWS = """\
customer: acme
pipeline: rows
in:
  file:
    path: inbox
    pattern: '*.csv'
    format: {csv: {numbers: [n], delimiter: ';'}}
    settle_for: 500ms
    done: {move: done}
out:
  file: {path: rows.ndjson}
"""


def files(node_or_folder: Node | Path) -> Path:
    """Acme's folder for files."""
    data = node_or_folder.data if isinstance(node_or_folder, Node) else node_or_folder
    return data / "files" / "acme"


def put(folder: Path, name: str, text: str) -> None:
    """As a careful writer does it."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{name}.part"
    part.write_text(text)
    part.rename(folder / name)


def test_kill_9_at_any_moment_loses_no_row(start_node: StartNode) -> None:
    moments = random.Random(20_240_301)
    node = start_node({"rows.yaml": ROWS}, "--threads", "2")
    inbox, count = files(node) / "inbox", 5_000
    for number in range(4):
        rows = "".join(f"{n};text {n}\n" for n in range(number * count, (number + 1) * count))
        put(inbox, f"{number}.csv", "n;text\n" + rows)
    for turn in range(4):
        wanted = moments.randint(1, count) + turn * count // 2
        eventually(lambda now=node, least=wanted: len(now.lines("rows.ndjson")) >= least, f"{wanted} rows")
        node.kill()
        node = start_node({"rows.yaml": ROWS}, "--threads", "2")
    node.delivers_all("rows.ndjson", set(range(4 * count)))
    eventually(lambda: not list(inbox.glob("*.csv")), "all files have moved")
    assert sorted(path.name for path in (files(node) / "done").iterdir()) == [f"{number}.csv" for number in range(4)]
    assert node.stop() == 0


def test_a_row_that_does_not_fit_is_a_dead_letter_and_the_others_go_on(start_node: StartNode) -> None:
    node = start_node({"rows.yaml": ROWS})
    put(files(node) / "inbox", "a.csv", 'n;text\n1;a\n2;"torn"x\nx;b\n3;c\0\n4;d;e\n5;f\n')
    node.delivers_all("rows.ndjson", {1, 5})
    letters = eventually(lambda: four if len(four := node.dead_letters()) == 4 else [], "4 letters")
    codes = {"convert/csv-quote", "convert/not-a-number", "convert/csv-encoding", "convert/csv-columns"}
    assert {letter["code"] for letter in letters} == codes
    shown = node.shown(next(letter["sequence"] for letter in letters if letter["code"] == "convert/csv-columns"))
    assert shown["headers"]["File-Name"] == "a.csv"
    assert "byte " in shown["reason"] or "byte " in str(shown)
    eventually((files(node) / "done" / "a.csv").exists, "the file has moved")
    assert node.stop() == 0


def test_a_storm_of_writes_is_waited_for_and_other_pipelines_go_on(start_node: StartNode) -> None:
    other = "customer: acme\npipeline: other\nin: {http: {path: /other}}\nout: {file: {path: other.ndjson}}\n"
    node = start_node({"rows.yaml": ROWS, "other.yaml": other})
    inbox = files(node) / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    for number in range(200):
        (inbox / "a.csv").write_text(f"n;text\n{number};x\n" + "torn" * (number % 3))
        if number % 50 == 0:
            node.still_works("/other", "other.ndjson")
    (inbox / "a.csv").write_text("n;text\n1000;x\n")
    node.delivers_all("rows.ndjson", {1000})
    node.still_works("/other", "other.ndjson")
    assert node.stop() == 0


def test_every_file_that_cannot_be_read_on_is_named_with_its_place_and_reason(start_node: StartNode) -> None:
    node = start_node({"rows.yaml": ROWS})
    inbox = files(node) / "inbox"
    put(inbox, "header.csv", "n;n\n1;2\n")
    put(inbox, "long.csv", "n;text\n1;" + "x" * (9 << 20) + "\n")
    put(inbox, "good.csv", "n;text\n7;x\n")
    put(inbox, "empty.csv", "")
    node.delivers_all("rows.ndjson", {7})
    for name, code in [("header.csv", "convert/csv-header"), ("long.csv", "file/too-long")]:
        event = node.hears("node", code=code)
        assert (event["customer"], event["pipeline"], event["step"]) == ("acme", "rows", "in")
        assert f" ({name}, " in event["why"]
        assert "byte " in event["why"]
    broken = eventually(lambda: node.counters("rows").get("broken"), "the files are counted")
    assert broken["items"] == 2
    assert broken["code"] in {"convert/csv-header", "file/too-long"}
    eventually((files(node) / "done" / "empty.csv").exists, "a file without a row is done")
    assert node.stop() == 0


def resident(pid: int) -> int:
    """The most memory that the process has held, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1000


def test_300_mb_take_less_than_150_mb_of_memory(start_node: StartNode) -> None:
    dropped = ROWS.replace("out:\n", "steps:\n  - filter: n < 0.0\nout:\n")
    node = start_node({"rows.yaml": dropped})
    inbox = files(node) / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    with (inbox / ".large").open("w") as file:
        file.write("n;text\n")
        text = "x" * 2_000
        for number in range(150_000):
            file.write(f"{number};{text}\n")
    assert (inbox / ".large").stat().st_size > 300_000_000
    (inbox / ".large").rename(inbox / "large.csv")
    eventually(lambda: not (inbox / "large.csv").exists(), "the file has moved", seconds=300)
    assert resident(node.process.pid) < 150
    assert node.stop() == 0
