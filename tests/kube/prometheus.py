"""Debian's Prometheus with the files of deploy/prometheus, and a prometheus-adapter in small.

Debian's has no discovery of pods. The test lists them for it, with the labels that discovery would give (`http_sd`), so
that what the file does with these labels is done for real. A fake pod has no address: who is asked for the numbers of
a pod is a real node.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from ..clusters import free_ports
from ..end_to_end.node import eventually
from .manifests import DEPLOY
from .processes import PATIENCE, Processes, get, get_json

_RULES = yaml.safe_load((DEPLOY / "prometheus" / "adapter-rules.yaml").read_text())


class Prometheus:
    """`discovery` is the address where the pods are listed."""

    def __init__(self, folder: Path, discovery: str) -> None:
        program = shutil.which("prometheus")
        assert program is not None, "Prometheus is missing; on Debian: apt install --no-install-recommends prometheus"
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        config = folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump(scraping(discovery)))
        self._processes = Processes(folder)
        options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        self._processes.start("prometheus", program, *options, f"--web.listen-address=127.0.0.1:{port}")
        eventually(self._ready, "Prometheus is ready", PATIENCE)

    def _ready(self) -> bool:
        self._processes.assert_alive()
        return get(f"{self.url}/-/ready")[0] == 200

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series."""
        found = get_json(f"{self.url}/api/v1/query?query={quote(expression)}")
        return [(one["metric"], float(one["value"][1])) for one in found["data"]["result"]]

    def external(self, name: str, matchers: dict[str, str]) -> list[tuple[dict[str, str], float]] | None:
        """What an HPA gets for a metric of type External; None without a rule of this name."""
        rule = _rule("externalRules", name)
        return rule and self.query(_filled(rule, {key: f'="{value}"' for key, value in matchers.items()}))

    def of_pods(self, name: str, namespace: str, pods: list[str]) -> dict[str, float] | None:
        """What an HPA gets for a metric of type Pods, by pod."""
        rule = _rule("rules", name)
        if rule is None:
            return None
        query = _filled(rule, {"namespace": f'="{namespace}"', "pod": f'=~"{"|".join(pods)}"'}).replace(
            "<<.GroupBy>>", "pod"
        )
        return {labels["pod"]: value for labels, value in self.query(query)}

    def close(self) -> None:
        self._processes.end()


def scraping(discovery: str) -> dict[str, Any]:
    """The configuration of scrape.yaml, every second instead of every fifteen."""
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "scrape.yaml").read_text())
    (job,) = config["scrape_configs"]
    (discovered,) = job.pop("kubernetes_sd_configs")
    assert discovered == {"role": "pod", "namespaces": {"names": ["vrsky"]}}
    job["http_sd_configs"] = [{"url": discovery, "refresh_interval": "1s"}]
    job["scrape_interval"] = job["scrape_timeout"] = "1s"
    return config


def _rule(kind: str, name: str) -> dict[str, Any] | None:
    return next((dict(rule) for rule in _RULES[kind] if rule["name"] == {"as": name}), None)


def _filled(rule: dict[str, Any], matchers: dict[str, str]) -> str:
    series = rule["seriesQuery"].partition("{")[0]
    text = ",".join(f"{label}{matcher}" for label, matcher in matchers.items())
    return str(rule["metricsQuery"]).replace("<<.Series>>", series).replace("<<.LabelMatchers>>", text)
