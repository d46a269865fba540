"""A control plane on loopback: etcd, API server, controllers and scheduler, as a cluster has them.

Machines and kubelets are kwok's: a pod that was given a machine is Ready at once, whatever its image and probes say.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..certificates import Certificates
from ..clusters import free_ports
from ..end_to_end.node import eventually
from .processes import PATIENCE, Processes, get

# Who may do what is the controllers' own affair; the test may do everything.
_TOKENS = """\
admin-token,admin,admin,system:masters
controllers-token,system:kube-controller-manager,controllers,
scheduler-token,system:kube-scheduler,scheduler,
kwok-token,kwok,kwok,system:masters
"""
_MACHINES = 3


class Cluster:
    """`programs` is the folder that tests/kube/control_plane/build prints."""

    token = "admin-token"

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self._programs = folder, programs
        self.certificates = Certificates(folder / "pki")
        self.certificates.issue("front-proxy", "DNS:front-proxy")
        self.certificates.issue("service-accounts", "DNS:service-accounts")
        self.authority = self.certificates.file("ca")
        (folder / "tokens.csv").write_text(_TOKENS)
        self._processes = Processes(folder)
        self._api, *self._ports = free_ports(6)
        self.url = f"https://127.0.0.1:{self._api}"
        self._admin = self._kubeconfig("admin")

    def start(self) -> None:
        self._start_api()
        self._wait("the API server is ready", lambda: get(f"{self.url}/readyz", self.token, self.authority)[1] == "ok")
        self._start_controllers()
        self._start_machines()

    def stop(self) -> None:
        self._processes.end()

    def _start_api(self) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in self._ports[:2])
        etcd = [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
        etcd += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        etcd += [f"--initial-cluster=default={peer}", "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn"]
        self._processes.start("etcd", self._programs / "etcd", *etcd)
        pem = self.certificates.file
        self._processes.start(
            "kube-apiserver",
            self._programs / "kube-apiserver",
            f"--etcd-servers={client}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._api}",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={pem('server')}",
            f"--tls-private-key-file={pem('server-key')}",
            "--token-auth-file=tokens.csv",
            "--authorization-mode=RBAC",
            # Else a privileged pod is refused before Pod Security is asked.
            "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pem('service-accounts')}",
            f"--service-account-signing-key-file={pem('service-accounts-key')}",
            "--service-cluster-ip-range=10.0.0.0/24",
            # How it shows itself to an API that it passes on to, such as that of metrics.
            f"--requestheader-client-ca-file={pem('ca')}",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pem('front-proxy')}",
            f"--proxy-client-key-file={pem('front-proxy-key')}",
        )

    def _start_controllers(self) -> None:
        pem = self.certificates.file
        self._start(
            "kube-controller-manager",
            "controllers",
            self._ports[2],
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pem('service-accounts-key')}",
            f"--root-ca-file={pem('ca')}",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            # Every 15 s, and from the second minute of a pod on, in a cluster.
            "--horizontal-pod-autoscaler-sync-period=1s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
        )
        self._start("kube-scheduler", "scheduler", self._ports[3])

    def _start(self, program: str, user: str, port: int, *arguments: str) -> None:
        file = self._kubeconfig(user)
        credentials = [f"--{what}={file}" for what in ("kubeconfig", "authentication-kubeconfig")]
        credentials.append(f"--authorization-kubeconfig={file}")
        listen = ["--bind-address=127.0.0.1", f"--secure-port={port}", "--leader-elect=false"]
        self._processes.start(program, self._programs / program, *credentials, *listen, *arguments)

    def _start_machines(self) -> None:
        stages = [argument for file in sorted((self._programs / "stages").iterdir()) for argument in ("-c", file)]
        self._processes.start(
            "kwok",
            self._programs / "kwok",
            f"--kubeconfig={self._kubeconfig('kwok')}",
            "--manage-all-nodes=true",
            # A machine without a lease is given up after a minute.
            "--node-lease-duration-seconds=40",
            "--node-ip=127.0.0.1",
            "--cidr=10.244.0.0/16",
            f"--server-address=127.0.0.1:{self._ports[4]}",
            *stages,
        )
        self.kubectl("apply", "-f", "-", input="\n---\n".join(json.dumps(_machine(n)) for n in range(_MACHINES)))
        self.kubectl("wait", "nodes", "--all", "--for=condition=Ready", f"--timeout={PATIENCE:.0f}s")
        self._wait(
            "there is a service account",
            lambda: self.run("get", "serviceaccount", "default", "--namespace=default").returncode == 0,
        )

    def _wait(self, what: str, check: Any) -> None:
        def there() -> bool:
            self._processes.assert_alive()
            return bool(check())

        eventually(there, what, PATIENCE)

    def _kubeconfig(self, user: str) -> Path:
        """As JSON, which is YAML."""
        file = self.folder / f"{user}.kubeconfig"
        cluster = {"server": self.url, "certificate-authority": str(self.authority)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": f"{user}-token"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }
        file.write_text(json.dumps(config))
        return file

    # -- kubectl --------------------------------------------------------------------------------

    def run(self, *arguments: str | Path, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """kubectl, as the pinned package brings it, until it ends."""
        environment = os.environ | {"KUBECONFIG": str(self._admin), "HOME": str(self.folder)}
        command = [str(kubectl()), *map(str, arguments)]
        return subprocess.run(command, input=input, capture_output=True, text=True, timeout=300, env=environment)

    def kubectl(self, *arguments: str | Path, input: str | None = None) -> str:
        """The same; what it prints. Fails with what it says."""
        done = self.run(*arguments, input=input)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def apply(self, manifests: str) -> subprocess.CompletedProcess[str]:
        """As an operator does, and stricter: an unknown field is an error."""
        return self.run("apply", "--server-side", "--validate=strict", "--filename=-", input=manifests)

    @contextmanager
    def applied(self, manifests: str) -> Iterator[None]:
        """Gone with the block, as `kubectl delete -k` takes it away."""
        done = self.apply(manifests)
        assert done.returncode == 0, done.stderr
        # Pod Security warns of a Deployment whose pods it would refuse.
        assert done.stderr == ""
        try:
            yield
        finally:
            self.delete(manifests)

    def delete(self, manifests: str) -> None:
        """Returns once everything is gone."""
        self.kubectl("delete", "--filename=-", "--ignore-not-found", "--wait", "--timeout=240s", input=manifests)


def kubectl() -> Path:
    return Path(sys.executable).with_name("kubectl")


def render(folder: Path) -> str:
    """The manifests of a kustomization."""
    done = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _machine(number: int) -> dict[str, Any]:
    name, room = f"machine-{number}", {"cpu": "32", "memory": "256Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "status": {"allocatable": room, "capacity": room},
    }
