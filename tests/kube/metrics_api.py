"""The API of metrics that autoscalers ask: a metrics server and a prometheus-adapter in small, as an APIService.

Sources: https://github.com/kubernetes/metrics, `pkg/apis` of which has the types.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .cluster import Cluster
from .prometheus import Prometheus

_GROUPS = {
    "external.metrics.k8s.io": ("v1beta1", {"name": "*", "kind": "ExternalMetricValueList"}),
    "custom.metrics.k8s.io": ("v1beta2", {"name": "pods/*", "kind": "MetricValueList"}),
    "metrics.k8s.io": ("v1beta1", {"name": "pods", "kind": "PodMetrics"}),
}
_CPU = 'rate(process_cpu_seconds_total{namespace="vrsky"}[10s])'


class MetricsApi:
    """`address` gives the IP:port of the real node that answers for a pod of this component."""

    def __init__(self, cluster: Cluster, address: Callable[[str], str]) -> None:
        self._cluster, self._address = cluster, address
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem = cluster.certificates.file
        context.load_cert_chain(pem("server"), pem("server-key"))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._plain = _Server(("127.0.0.1", 0), _Handler)
        self._plain.api = self
        for server in (self._server, self._plain):
            Thread(target=server.serve_forever, daemon=True).start()
        self.discovery = f"http://127.0.0.1:{self._plain.server_address[1]}/discovery"
        self.prometheus: Prometheus | None = None

    def register(self, prometheus: Prometheus) -> None:
        """Returns once the API server passes requests on to it."""
        self.prometheus = prometheus
        self._cluster.kubectl("apply", "--filename=-", input=self._manifests())
        names = [f"apiservice/{version}.{group}" for group, (version, _) in _GROUPS.items()]
        self._cluster.kubectl("wait", *names, "--for=condition=Available", "--timeout=60s")

    def close(self) -> None:
        self._cluster.kubectl("delete", "--filename=-", "--ignore-not-found", input=self._manifests())
        for server in (self._server, self._plain):
            server.shutdown()
            server.server_close()

    def _manifests(self) -> str:
        port = self._server.server_address[1]
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "metrics", "namespace": "monitoring"},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
        }
        behind = {"name": "metrics", "namespace": "monitoring", "port": port}
        apis = [_api_service(group, version, behind) for group, (version, _) in _GROUPS.items()]
        return "\n---\n".join(map(json.dumps, [namespace, service, *apis]))

    # -- what it answers ------------------------------------------------------------------------

    def pods(self, selector: str = "app.kubernetes.io/name=vrsky") -> list[dict[str, Any]]:
        found = self._cluster.get("pods", "--namespace=vrsky", f"--selector={selector}")["items"]
        return [pod for pod in found if pod["status"].get("phase") == "Running"]

    def discovered(self) -> list[dict[str, Any]]:
        """Every port of every pod, with the labels of Prometheus' own discovery."""
        return [
            {
                "targets": [self._address(pod["metadata"]["labels"]["app.kubernetes.io/component"])],
                "labels": {
                    "__meta_kubernetes_namespace": pod["metadata"]["namespace"],
                    "__meta_kubernetes_pod_name": pod["metadata"]["name"],
                    "__meta_kubernetes_pod_container_port_name": port["name"],
                    **{
                        f"__meta_kubernetes_pod_label_{name.translate(_UNDERSCORES)}": value
                        for name, value in pod["metadata"]["labels"].items()
                    },
                },
            }
            for pod in self.pods()
            for port in pod["spec"]["containers"][0]["ports"]
        ]

    def answer(self, path: str) -> Any:
        """None for what is not there."""
        url = urlsplit(path)
        selector = parse_qs(url.query).get("labelSelector", [""])[0]
        match unquote(url.path).strip("/").split("/"):
            case ["discovery"]:
                return self.discovered()
            case ["apis", group, version] if group in _GROUPS:
                resource = {"singularName": "", "namespaced": True, "verbs": ["get", "list"], **_GROUPS[group][1]}
                found = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}"}
                return {**found, "resources": [resource]}
            case ["apis", "external.metrics.k8s.io", _, "namespaces", namespace, metric]:
                return self._external(namespace, metric, selector)
            case ["apis", "custom.metrics.k8s.io", _, "namespaces", namespace, "pods", "*", metric]:
                return self._custom(namespace, metric, selector)
            case ["apis", "metrics.k8s.io", _, "namespaces", _, "pods"]:
                return self._cpu(selector)
        return None

    def _external(self, namespace: str, metric: str, selector: str) -> Any:
        assert self.prometheus is not None
        matchers = {"namespace": namespace} | dict(one.split("=") for one in selector.split(",") if one)
        found = self.prometheus.external(metric, matchers)
        if found is None:
            return None
        return _list(
            "external.metrics.k8s.io",
            [
                {"metricName": metric, "metricLabels": labels, "timestamp": _now(), "value": _quantity(value)}
                for labels, value in found
            ],
        )

    def _custom(self, namespace: str, metric: str, selector: str) -> Any:
        assert self.prometheus is not None
        found = self.prometheus.of_pods(metric, namespace, [pod["metadata"]["name"] for pod in self.pods(selector)])
        if found is None:
            return None
        return _list(
            "custom.metrics.k8s.io",
            [
                {
                    "describedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "apiVersion": "/v1"},
                    "metric": {"name": metric},
                    "timestamp": _now(),
                    "value": _quantity(value),
                }
                for pod, value in found.items()
            ],
        )

    def _cpu(self, selector: str) -> Any:
        assert self.prometheus is not None
        used = {labels["pod"]: value for labels, value in self.prometheus.query(_CPU)}
        return _list(
            "metrics.k8s.io",
            [
                {
                    "metadata": {key: pod["metadata"][key] for key in ("name", "namespace", "labels")},
                    "timestamp": _now(),
                    "window": "10s",
                    "containers": [
                        {
                            "name": pod["spec"]["containers"][0]["name"],
                            "usage": {"cpu": _quantity(used[pod["metadata"]["name"]]), "memory": "64Mi"},
                        }
                    ],
                }
                for pod in self.pods(selector)
                if pod["metadata"]["name"] in used
            ],
        )


_UNDERSCORES = str.maketrans("./-", "___")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _quantity(value: float) -> str:
    return f"{round(value * 1000)}m"


def _list(group: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    version, resource = _GROUPS[group]
    kind = resource["kind"] if resource["kind"].endswith("List") else f"{resource['kind']}List"
    return {"kind": kind, "apiVersion": f"{group}/{version}", "metadata": {}, "items": items}


def _api_service(group: str, version: str, service: dict[str, Any]) -> dict[str, Any]:
    spec = {"group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100}
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.{group}"},
        "spec": {**spec, "insecureSkipTLSVerify": True, "service": service},
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    api: MetricsApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that hangs up asks again."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            found = self.server.api.answer(self.path)
        except AssertionError as error:
            self._send(500, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(error)})
            return
        if found is None:
            self._send(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"})
        else:
            self._send(200, found)

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""
