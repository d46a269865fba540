"""The options of a NATS server: `vrsky run` and `vrsky dlq` over TLS, with certificates on both sides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .certificates import Certificates, Listening
from .conftest import Running, Vrsky, Write, post

PASSWORD = "not-for-the-command-line"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    certificates = Certificates(tmp_path / "certificates")
    certificates.issue("client", "DNS:client")
    return certificates


@pytest.fixture
def secured(tmp_path: Path, certificates: Certificates) -> Iterator[Listening]:
    who = f'max_payload: 8MB\nauthorization {{ user: "vrsky", password: "{PASSWORD}" }}\n'
    with Listening(tmp_path / "server", who + certificates.server("verify: true")) as server:
        yield server


def files(certificates: Certificates) -> list[str | Path]:
    names = {"--nats-ca": "ca", "--nats-cert": "client", "--nats-key": "client-key"}
    return [part for option, name in names.items() for part in (option, certificates.file(name))]


def test_orders_pass_over_tls_and_what_failed_is_found(
    start: Callable[..., Running],
    minimal: Path,
    tmp_path: Path,
    vrsky: Vrsky,
    certificates: Certificates,
    secured: Listening,
) -> None:
    url = f"tls://vrsky:{PASSWORD}@127.0.0.1:{secured.port}"
    run = start(minimal, "--nats", url, *files(certificates))
    address = run.ready() + "/in/acme/orders"
    large = b"<order><total>150</total><note>" + b"x" * 3_000_000 + b"</note></order>"
    assert post(address, large)[0] == 202
    run.kind("delivered")
    assert post(address, b"<order><id>1</id></order>")[0] == 202
    assert run.kind("dead")["code"] == "filter/missing-field"
    letters = vrsky("dlq", "ls", "--json", *files(certificates), VRSKY_NATS=url)
    assert json.loads(letters.stdout)["code"] == "filter/missing-field", letters.stderr
    assert run.stop() == 0
    written = json.loads((tmp_path / ".vrsky" / "files" / "acme" / "orders.ndjson").read_text())
    assert written["order"]["note"] == "x" * 3_000_000
    assert PASSWORD not in json.dumps(run.said) + letters.stderr


def test_what_is_wrong_with_tls_is_said_with_the_server_and_a_hint(
    minimal: Path, vrsky: Vrsky, certificates: Certificates, secured: Listening
) -> None:
    url = f"tls://vrsky:{PASSWORD}@127.0.0.1:{secured.port}"
    unknown = vrsky("run", minimal, VRSKY_NATS=url)
    believed = vrsky("run", minimal, "--nats-ca", certificates.file("ca"), VRSKY_NATS=url)
    for refused, code, hint in (
        (unknown, "nats/tls-unknown-ca", "--nats-ca"),
        (believed, "nats/tls-client-certificate", "--nats-cert"),
    ):
        assert refused.returncode != 0
        assert code in refused.stderr
        assert hint in refused.stderr
        assert f"127.0.0.1:{secured.port}" in refused.stderr
        assert PASSWORD not in refused.stderr + refused.stdout


def test_check_asks_a_server_with_tls_as_run_would(
    write: Write, vrsky: Vrsky, certificates: Certificates, secured: Listening
) -> None:
    text = "{customer: acme, pipeline: orders, in: {nats: {subject: orders}}, out: {stdout: {}}}"
    url = f"tls://vrsky:{PASSWORD}@127.0.0.1:{secured.port}"
    path = write("orders.yaml", text)
    believed = vrsky("check", path, *files(certificates), VRSKY_NATS=url)
    assert believed.returncode == 0, believed.stderr
    assert "ok    acme/orders  in  nats" in believed.stdout
    unknown = vrsky("check", path, VRSKY_NATS=url)
    assert unknown.returncode == 3
    assert "FAIL  acme/orders  in  nats  nats/tls-unknown-ca" in unknown.stdout
    assert PASSWORD not in believed.stdout + believed.stderr + unknown.stdout + unknown.stderr


@pytest.mark.parametrize("verb", [["run", "orders.yaml", "--json"], ["dlq", "ls"]], ids=["uvloop", "asyncio"])
def test_a_server_that_ends_a_tls_connection_is_no_news(
    vrsky: Vrsky, minimal: Path, certificates: Certificates, secured: Listening, verb: list[str]
) -> None:
    url = f"tls://vrsky:wrong@127.0.0.1:{secured.port}"
    refused = vrsky(*verb, *files(certificates), VRSKY_NATS=url)
    assert refused.returncode == 3
    assert "eof_received" not in refused.stderr
    assert "nats/authorization" in refused.stderr + refused.stdout


@pytest.mark.parametrize(
    "verb", [["run", "orders.yaml"], ["check", "orders.yaml"], ["dlq", "ls"]], ids=["run", "check", "dlq"]
)
def test_certificates_need_a_server_they_are_for(vrsky: Vrsky, minimal: Path, verb: list[str]) -> None:
    refused = vrsky(*verb, "--nats-ca", "ca.pem")
    assert refused.returncode == 2
    assert "config/invalid-value" in refused.stderr
    assert "need --nats" in refused.stderr


@pytest.mark.parametrize(
    "options",
    [["--nats-creds", "a"], ["--nats-nkey", "a"], ["--nats-no-discovery"], ["--nats-domain", "a"], ["--replicas", "3"]],
    ids=lambda options: options[0],
)
def test_what_is_for_a_server_that_is_named_needs_one(vrsky: Vrsky, minimal: Path, options: list[str]) -> None:
    refused = vrsky("run", minimal, *options)
    assert refused.returncode == 2
    assert "config/invalid-value" in refused.stderr
    assert "need" in refused.stderr


def test_credentials_of_two_kinds_are_refused(vrsky: Vrsky, minimal: Path) -> None:
    refused = vrsky("run", minimal, "--nats", "nats://h", "--nats-nkey", "a", VRSKY_NATS_CREDS="b")
    assert refused.returncode == 2
    assert "exclude each other" in refused.stderr
