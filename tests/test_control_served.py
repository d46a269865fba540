"""What a run says of itself to the commands beside it."""

from __future__ import annotations

import json
from pathlib import Path

from vrsky_fast.config import load_all
from vrsky_fast.control import served
from vrsky_fast.control.served import Served, Serving

FILE = """\
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps:
  - convert: {from: xml}
  - filter: order.n > 0
  - route: [{to: [erp, audit]}]
out:
  erp: {stdout: {}}
  audit: {stdout: {}}
limits: {backlog: 1001}
"""

SINGLE = """\
customer: acme
pipeline: single
in: {nats: {subject: s}}
out: {stdout: {}}
"""


def serving(folder: Path) -> Serving:
    (folder / "orders.yaml").write_text(FILE)
    (folder / "single.yaml").write_text(SINGLE)
    return Serving.of(Served.of(one.summary) for one in load_all(folder))


def test_it_holds_steps_outs_and_the_tier_of_each_pipeline(tmp_path: Path) -> None:
    found = serving(tmp_path)
    steps = ("0:convert", "1:filter", "2:route")
    assert found.find("acme", "orders") == Served("acme", "orders", "t10000", steps, ("erp", "audit"))
    assert found.find("acme", "single") == Served("acme", "single", "t1000", (), ("default",))
    assert found.find("acme", "gone") is None


def test_it_is_read_as_it_was_written_and_for_its_own_server_only(tmp_path: Path) -> None:
    assert served.read(tmp_path, None) is None
    written = serving(tmp_path)
    served.write(tmp_path, None, written)
    assert served.read(tmp_path, None) == written
    assert served.read(tmp_path, "nats://elsewhere:4222") is None
    served.write(tmp_path, "nats://elsewhere:4222", written)
    assert served.read(tmp_path, "nats://elsewhere:4222") == written
    assert (tmp_path / "served.json").stat().st_mode & 0o777 == 0o600


def test_one_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"nats": null}', json.dumps({"nats": None, "pipelines": [{"customer": "acme"}]})):
        (tmp_path / "served.json").write_text(text)
        assert served.read(tmp_path, None) is None


def test_one_that_cannot_be_written_leaves_no_older_one(tmp_path: Path) -> None:
    served.write(tmp_path, None, serving(tmp_path))
    (tmp_path / "served.json.new").mkdir()
    served.write(tmp_path, None, Serving.of([]))
    assert served.read(tmp_path, None) is None
