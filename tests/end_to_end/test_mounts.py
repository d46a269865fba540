"""Files and secrets as Kubernetes mounts them: symlinks through `..data`, which is renamed to a folder of the next
version, all files at once."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..conftest import post
from .conftest import StartNode
from .load import under_load
from .node import Node, a_number, eventually

# The pipeline file says one version, its script the other: a mixture shows two.
ORDERS = """\
customer: acme
pipeline: orders
in: {{http: {{path: /orders, content_types: [json]}}}}
steps:
  - set: {{v: '{version}'}}
  - script: mark.js
out: {{file: {{path: orders.ndjson}}}}
limits: {{backlog: 10000}}
"""
MARK = "export default (msg) => ({{...msg, w: {version}}})\n"

GUARDED = """\
customer: acme
pipeline: guarded
in: {http: {path: /guarded, content_types: [json], auth: {bearer: {secret: token}}}}
out: {file: {path: guarded.ndjson}}
"""

VERSIONS = 10


def mount(folder: Path, version: int, files: dict[str, str]) -> None:
    """What the kubelet does: a new folder, `..data` renamed over the old one, which is deleted."""
    made = folder / f"..2026_{version}"
    made.mkdir(parents=True)
    for name, text in files.items():
        (made / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    before = (folder / "..data").resolve()
    (folder / "..data_tmp").symlink_to(made.name)
    (folder / "..data_tmp").replace(folder / "..data")
    if before != folder / "..data":
        shutil.rmtree(before)


def mount_orders(tmp_path: Path, version: int) -> None:
    files = {"orders.yaml": ORDERS, "mark.js": MARK}
    texts = {name: text.format(version=version) for name, text in files.items()}
    mount(tmp_path / "pipelines", version, texts | {"guarded.yaml": GUARDED})


def mount_secret(tmp_path: Path, version: int) -> None:
    mount(tmp_path / "secrets" / "acme", version, {"token": f"token-{version}"})


def posted_with(node: Node, version: int, number: int) -> int:
    """The status of a message with this version of the secret."""
    body = b'{"n": %d}' % number
    return post(node.url("/guarded"), body, "application/json", Authorization=f"Bearer token-{version}")[0]


def version_of(node: Node) -> int:
    """Of the revision that takes a message now."""
    number = a_number()
    node.accepts("/orders", b'{"n": %d}' % number)
    node.delivers_all("orders.ndjson", {number})
    return int(next(line["w"] for line in node.lines("orders.ndjson") if line["n"] == number))


def test_a_mount_that_is_swapped_under_load_refuses_loses_and_mixes_nothing(
    start_node: StartNode, tmp_path: Path
) -> None:
    mount_orders(tmp_path, 0)
    mount_secret(tmp_path, 0)
    node = start_node({}, "--secrets", tmp_path / "secrets")
    with under_load(node.url("/orders"), clients=2) as load:
        load.wait_for(10)
        for version in range(1, VERSIONS + 1):
            mount_orders(tmp_path, version)
            # Some are seen, others replaced before they are.
            if version % 2:
                eventually(lambda version=version: version_of(node) == version, f"version {version}")
            load.wait_for(10)
        eventually(lambda: version_of(node) == VERSIONS, "the last version")
        accepted = load.stop()
    assert load.refused == []
    node.delivers_all("orders.ndjson", accepted)
    lines = node.lines("orders.ndjson")
    assert [line for line in lines if int(line["v"]) != line["w"]] == []
    assert {line["w"] for line in lines} >= {0, 1, VERSIONS}
    assert [one for one in node.said if one["kind"] == "not-served"] == []


def test_a_secret_whose_mount_is_swapped_under_load_is_the_new_one(start_node: StartNode, tmp_path: Path) -> None:
    mount_orders(tmp_path, 0)
    mount_secret(tmp_path, 0)
    node = start_node({}, "--secrets", tmp_path / "secrets")
    with under_load(node.url("/orders"), clients=2) as load:
        load.wait_for(10)
        first, last = a_number(), a_number()
        assert (posted_with(node, 1, 0), posted_with(node, 0, first)) == (401, 202)
        mount_secret(tmp_path, 1)
        eventually(lambda: posted_with(node, 1, last) == 202, "the new secret is accepted")
        assert posted_with(node, 0, 0) == 401
        load.wait_for(10)
        accepted = load.stop()
    assert load.refused == []
    node.delivers_all("guarded.ndjson", {first, last})
    node.delivers_all("orders.ndjson", accepted)
    assert node.numbers("guarded.ndjson") == {first, last}
