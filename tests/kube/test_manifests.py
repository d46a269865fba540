"""What a cluster says to the manifests.

Its machines are fake: no image runs, no probe is asked, no policy of the network is enforced here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import yaml

from vrsky_fast.node.serve import DRAIN_SECONDS

from .cluster import Cluster, render
from .manifests import OVERLAYS, node_deployments, objects

# What local-path makes on a machine: here the volumes are there already.
_STORAGE = "\n---\n".join(
    [
        """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local-path, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
"""
    ]
    + [
        f"""
apiVersion: v1
kind: PersistentVolume
metadata: {{name: volume-{number}}}
spec:
  storageClassName: local-path
  capacity: {{storage: 100Gi}}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {{path: /nowhere/{number}}}
"""
        for number in range(3)
    ]
)


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def manifests(overlay: str) -> str:
    return render(OVERLAYS[overlay])


@pytest.fixture(scope="module")
def applied(cluster: Cluster, manifests: str) -> Iterator[Cluster]:
    """A cluster with the overlay in it, installed as docs/kubernetes.md says."""
    cluster.kubectl("apply", "--filename=-", input=_STORAGE)
    cluster.kubectl("create", "namespace", "vrsky")
    cluster.kubectl("create", "secret", "generic", "vrsky-nats", "--namespace=vrsky", "--from-literal=node=n0de")
    try:
        with cluster.applied(manifests):
            yield cluster
    finally:
        cluster.kubectl("delete", "--filename=-", input=_STORAGE)


def test_every_pod_is_let_in_and_becomes_ready(applied: Cluster, manifests: str) -> None:
    applied.kubectl("wait", "deployments", "--all", "--namespace=vrsky", "--for=condition=Available", "--timeout=120s")
    applied.kubectl("rollout", "status", "statefulset/vrsky-nats", "--namespace=vrsky", "--timeout=120s")
    pods = applied.get("pods", "--namespace=vrsky")["items"]
    wanted = {one["metadata"]["name"] for one in objects(manifests, "Deployment")}
    assert {pod["metadata"]["name"].rsplit("-", 2)[0] for pod in pods} - {"vrsky"} == wanted
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}


def test_no_replicas_are_sent_where_an_autoscaler_owns_them(applied: Cluster, manifests: str) -> None:
    """Else each apply would take back what the autoscaler has decided."""
    for scaler in objects(manifests, "HorizontalPodAutoscaler"):
        name = scaler["spec"]["scaleTargetRef"]["name"]
        applied.kubectl("scale", f"deployment/{name}", "--namespace=vrsky", "--replicas=3")
    assert applied.apply(manifests).stderr == ""
    for deployment in objects(manifests, "Deployment"):
        name = deployment["metadata"]["name"]
        assert applied.get(f"deployment/{name}", "--namespace=vrsky")["spec"]["replicas"] == 3


def test_a_second_apply_changes_nothing(applied: Cluster, manifests: str) -> None:
    before = _as_applied(applied, manifests)
    assert applied.apply(manifests).stderr == ""
    assert _as_applied(applied, manifests) == before


def test_an_unknown_field_is_refused(applied: Cluster, manifests: str) -> None:
    """So that this test of the manifests sees a field that is spelt wrong."""
    deployment = objects(manifests, "Deployment")[0]
    deployment["spec"]["template"]["spec"]["terminationGraceSeconds"] = 45
    done = applied.apply(json.dumps(deployment))
    assert done.returncode != 0
    assert "terminationGraceSeconds" in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"privileged": True, "allowPrivilegeEscalation": True},
        {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}},
        {"runAsUser": 0, "runAsNonRoot": False},
    ],
    ids=["privileged", "a capability", "root"],
)
def test_a_pod_that_asks_for_more_is_refused(applied: Cluster, manifests: str, change: dict[str, Any]) -> None:
    for kind in ("Deployment", "StatefulSet"):
        pod = _pod(objects(manifests, kind)[0])
        ours = applied.run("create", "--dry-run=server", "--filename=-", input=json.dumps(pod))
        assert ours.returncode == 0, ours.stderr
        pod["spec"]["containers"][0]["securityContext"] |= change
        theirs = applied.run("create", "--dry-run=server", "--filename=-", input=json.dumps(pod))
        assert theirs.returncode != 0
        assert 'violates PodSecurity "restricted:latest"' in theirs.stderr


def test_a_drained_machine_takes_one_pod_of_a_type_at_a_time(applied: Cluster, manifests: str) -> None:
    budgets = objects(manifests, "PodDisruptionBudget")
    workloads = [*objects(manifests, "Deployment"), *objects(manifests, "StatefulSet")]
    assert len(budgets) == len(workloads)
    for budget in budgets:
        name = f"poddisruptionbudget/{budget['metadata']['name']}"
        applied.kubectl("wait", name, "--namespace=vrsky", "--for=jsonpath={.status.disruptionsAllowed}=1")


def test_every_autoscaler_finds_its_deployment(applied: Cluster, manifests: str) -> None:
    scalers = objects(manifests, "HorizontalPodAutoscaler")
    assert {scaler["spec"]["scaleTargetRef"]["name"] for scaler in scalers} == {
        one["metadata"]["name"] for one in objects(manifests, "Deployment")
    }
    applied.kubectl("wait", "hpa", "--all", "--namespace=vrsky", "--for=condition=AbleToScale", "--timeout=60s")


def test_the_grace_period_is_longer_than_preStop_and_drain(overlay: str) -> None:  # noqa: N802
    # What a stop may wait for somebody to read what it prints.
    unread_output = 5
    for deployment in node_deployments(overlay):
        pod = deployment["spec"]["template"]["spec"]
        hook = pod["containers"][0].get("lifecycle", {}).get("preStop", {"sleep": {"seconds": 0}})
        needed = hook["sleep"]["seconds"] + DRAIN_SECONDS + unread_output
        assert pod["terminationGracePeriodSeconds"] > needed


def test_what_runs_can_be_deleted_and_its_volumes_stay(applied: Cluster, manifests: str) -> None:
    def volumes() -> set[str]:
        return {one["metadata"]["uid"] for one in applied.get("persistentvolumeclaims", "--namespace=vrsky")["items"]}

    before = volumes()
    assert before
    applied.kubectl(
        "delete", "deployments,statefulsets", "--namespace=vrsky", "--selector=app.kubernetes.io/part-of=vrsky"
    )
    assert applied.apply(manifests).stderr == ""
    applied.kubectl("rollout", "status", "statefulset/vrsky-nats", "--namespace=vrsky", "--timeout=120s")
    assert volumes() == before


def test_a_deleted_overlay_leaves_nothing_behind(applied: Cluster, manifests: str) -> None:
    """The last of those that look at what was applied."""
    assert _ours(applied) != []
    applied.delete(manifests)
    assert _ours(applied) == []
    assert applied.run("get", "namespace/vrsky").returncode != 0


def _as_applied(cluster: Cluster, manifests: str) -> list[Any]:
    """The objects as the API server has them, without what controllers write."""
    found = yaml.safe_load(cluster.kubectl("get", "--filename=-", "--output=yaml", input=manifests))["items"]
    for one in found:
        one.pop("status", None)
        for of_server in ("resourceVersion", "managedFields"):
            one["metadata"].pop(of_server, None)
        one["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
    return list(found)


def _ours(cluster: Cluster) -> list[str]:
    """Everything with our label, of every kind."""
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--output=name").split()
    # They are lists of measured values, and there is no server of metrics here.
    kinds = [kind for kind in kinds if not kind.endswith("metrics.k8s.io")]
    found = cluster.kubectl(
        "get", ",".join(kinds), "--all-namespaces", "--selector=app.kubernetes.io/part-of=vrsky", "--output=name"
    )
    return found.split()


def _pod(workload: dict[str, Any]) -> dict[str, Any]:
    """One of its pods, as a manifest of its own."""
    template = deepcopy(workload["spec"]["template"])
    for claim in workload["spec"].get("volumeClaimTemplates", []):
        template["spec"]["volumes"].append({"name": claim["metadata"]["name"], "emptyDir": {}})
    metadata = {"name": "one", "namespace": workload["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
