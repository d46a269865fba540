"""`vrsky connectors` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from vrsky_fast import config

from .conftest import Vrsky


def test_connectors_lists_kinds_and_the_options_of_one(vrsky: Vrsky) -> None:
    listed = vrsky("connectors")
    assert listed.returncode == 0, listed.stderr
    kinds = [line.split()[:2] for line in listed.stdout.splitlines()]
    assert [kind for kind in kinds if kind[1] in {"http", "nats"}] == [
        ["in", "http"],
        ["in", "nats"],
        ["out", "http"],
        ["out", "nats"],
    ]
    shown = vrsky("connectors", "file").stdout
    assert "path  required" in shown
    assert "Below the customer's folder" in shown
    specs = json.loads(vrsky("connectors", "http", "--json").stdout)
    assert [spec["direction"] for spec in specs] == ["in", "out"]
    assert specs[1]["schema"]["$defs"]["Secret"]["writeOnly"] is True
    assert "vrsky check looks at it" in shown
    assert "pipeline: orders-to-file" in shown
    unknown = vrsky("connectors", "ftp")
    assert unknown.returncode == 2
    assert "http" in unknown.stderr


def test_the_example_of_each_kind_is_a_pipeline_that_uses_it(vrsky: Vrsky, tmp_path: Path) -> None:
    for spec in json.loads(vrsky("connectors", "--json").stdout):
        file = tmp_path / f"{spec['kind']}-{spec['direction']}.yaml"
        file.write_text(spec["example"])
        loaded = config.load(file)
        used = [loaded.summary.source] if spec["direction"] == "in" else loaded.summary.outs
        assert [one.kind for one in used] == [spec["kind"]]
        assert spec["checked"].endswith(".")
