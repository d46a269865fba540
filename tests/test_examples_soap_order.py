"""The SOAP example runs as its page says: a certificate of an own authority, the service, the pipeline, the orders."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from .certificates import Certificates
from .conftest import ROOT, Vrsky, clean_environment, command

EXAMPLE = ROOT / "examples" / "soap-order"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


@pytest.fixture
def erp(certificates: Certificates) -> Iterator[subprocess.Popen[str]]:
    files = ["--certificate", certificates.file("server"), "--key", certificates.file("server-key")]
    arguments = [sys.executable, EXAMPLE / "receiver.py", "--port", "0", "--password", "booking", *files]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        yield process
        process.terminate()


def status_of(url: str, order: str, password: str) -> int:
    credentials = base64.b64encode(f"shop:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "text/xml; charset=ISO-8859-1"}
    request = urllib.request.Request(url, (EXAMPLE / "inbox" / order).read_bytes(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_pipeline_passes_its_tests(vrsky: Vrsky) -> None:
    done = vrsky("test", EXAMPLE, "--var", "ERP=https://erp.example")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_order_is_booked_over_tls(tmp_path: Path, certificates: Certificates, erp: subprocess.Popen[str]) -> None:
    secrets = tmp_path / "secrets" / "acme"
    secrets.mkdir(parents=True)
    for name, value in {
        "shop-password": "open-sesame",
        "erp-password": "booking",
        "erp-ca": certificates.file("ca").read_text(),
    }.items():
        (secrets / name).write_text(value)
    assert erp.stdout is not None
    address = erp.stdout.readline().strip()
    options = ["--secrets", secrets.parent, "--var", f"ERP={address}", "--data", tmp_path / "data"]
    node = subprocess.Popen(
        command("run", EXAMPLE, "--json", "--listen", "127.0.0.1:0", *options),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    with node:
        assert node.stdout is not None
        said = map(json.loads, node.stdout)
        url = next(one["address"] for one in said if one["kind"] == "ready") + "/in/acme/soap/orders"
        assert status_of(url, "7001.xml", "wrong") == 401
        assert status_of(url, "7002.xml", "open-sesame") == 202
        assert status_of(url, "7001.xml", "open-sesame") == 202
        assert erp.stderr is not None
        assert erp.stderr.readline() == "      erp | booked 7001, Bäckerei Müller, Zürich, 149.90: 2 x K-7, 1 x T-3\n"
        node.terminate()
        node.communicate()
    assert node.returncode == 0
