"""Where the manifests are, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..conftest import ROOT
from .cluster import render

DEPLOY = ROOT / "deploy"
OVERLAYS = {name: DEPLOY / "kustomize" / "overlays" / name for name in ("k3s", "example")}
# The overlay `k3s` with autoscalers in a hurry.
QUICK = Path(__file__).parent / "quick"


def objects(manifests: str, kind: str | None = None) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(manifests) if kind in {None, one["kind"]}]


def node_deployments(overlay: str) -> Iterator[dict[str, Any]]:
    """Those of our nodes."""
    for one in objects(render(OVERLAYS[overlay]), "Deployment"):
        if one["metadata"]["labels"].get("app.kubernetes.io/name") == "vrsky":
            yield one


def container_of(workload: dict[str, Any]) -> dict[str, Any]:
    """The only one."""
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(container)


def type_of(deployment: dict[str, Any]) -> str:
    """The node type that it has a label of."""
    return str(deployment["metadata"]["labels"]["app.kubernetes.io/component"])
