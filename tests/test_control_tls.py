"""TLS of the control plane against a real server: who is believed, who is let in, what is said else."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from threading import Thread

import pytest

from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.tls import Tls, explain
from vrsky_fast.errors import VrskyError

from .certificates import Certificates, Listening
from .conftest import Background


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


@pytest.fixture
def others(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "others")


def echo(background: Background, url: str, tls: Tls) -> None:
    async def scenario() -> None:
        async with connect(endpoint_of(url, tls)) as client:
            received = await client.subscribe("a")
            payload = b"x" * 500_000
            await client.publish("a", payload)
            assert (await received.next_msg(10)).data == payload

    background(scenario())


def refused(background: Background, url: str, tls: Tls) -> VrskyError:
    with pytest.raises(VrskyError) as caught:
        echo(background, url, tls)
    return caught.value


@pytest.mark.parametrize("scheme", ["nats", "tls"])
def test_large_messages_pass_both_ways(
    tmp_path: Path, background: Background, certificates: Certificates, scheme: str
) -> None:
    with Listening(tmp_path / "server", certificates.server()) as server:
        echo(background, f"{scheme}://127.0.0.1:{server.port}", certificates.client())


def test_only_a_known_authority_is_believed_and_only_for_the_name(
    tmp_path: Path, background: Background, certificates: Certificates, others: Certificates
) -> None:
    with Listening(tmp_path / "server", certificates.server()) as server:
        url = f"tls://127.0.0.1:{server.port}"
        for tls in (Tls(), others.client()):
            error = refused(background, url, tls)
            assert error.code == "nats/tls-unknown-ca", error
            assert url in str(error)
        # The server decides for nats://, and there is no way round its certificate.
        assert refused(background, f"nats://127.0.0.1:{server.port}", Tls()).code == "nats/tls-unknown-ca"
    certificates.issue("server", "DNS:other.example")
    with Listening(tmp_path / "other", certificates.server()) as server:
        for host in ("127.0.0.1", "localhost"):
            error = refused(background, f"tls://{host}:{server.port}", certificates.client())
            assert error.code == "nats/tls-wrong-name", error


def test_a_server_that_wants_a_certificate_lets_in_who_has_one(
    tmp_path: Path, background: Background, certificates: Certificates, others: Certificates
) -> None:
    certificates.issue("client", "DNS:client")
    others.issue("client", "DNS:client")
    strangers = Tls(certificates.file("ca"), others.file("client"), others.file("client-key"))
    with Listening(tmp_path / "server", certificates.server("verify: true")) as server:
        url = f"tls://127.0.0.1:{server.port}"
        echo(background, url, certificates.client("client"))
        for tls in (certificates.client(), strangers):
            error = refused(background, url, tls)
            assert error.code == "nats/tls-client-certificate", error


def test_a_server_that_wants_tls_before_anything_else_gets_it_when_it_is_said(
    tmp_path: Path, background: Background, certificates: Certificates
) -> None:
    with Listening(tmp_path / "server", certificates.server("handshake_first: true, timeout: 0.1")) as server:
        url = f"tls://127.0.0.1:{server.port}"
        echo(background, url, Tls(certificates.file("ca"), first=True))
        error = refused(background, url, certificates.client())
        assert error.code == "nats/connect", error
        assert "handshake_first" in str(error)


def test_a_server_without_tls_is_no_answer_to_who_wants_it(
    tmp_path: Path, background: Background, certificates: Certificates
) -> None:
    with Listening(tmp_path / "server", "") as server:
        for scheme, tls in (
            ("tls", Tls()),
            ("nats", certificates.client()),
            ("tls", Tls(certificates.file("ca"), first=True)),
        ):
            error = refused(background, f"{scheme}://127.0.0.1:{server.port}", tls)
            assert error.code == "nats/tls-missing", error
        echo(background, f"nats://127.0.0.1:{server.port}", Tls())


def test_tls_that_a_server_only_offers_is_used_by_who_wants_it(
    tmp_path: Path, background: Background, certificates: Certificates, others: Certificates
) -> None:
    with Listening(tmp_path / "server", "allow_non_tls: true\n" + certificates.server()) as server:
        echo(background, f"nats://127.0.0.1:{server.port}", Tls())
        echo(background, f"tls://127.0.0.1:{server.port}", certificates.client())
        assert refused(background, f"tls://127.0.0.1:{server.port}", others.client()).code == "nats/tls-unknown-ca"


def test_credentials_are_not_said_in_plain_text_when_tls_was_asked_for(background: Background) -> None:
    info = {"server_id": "x", "version": "2.15.0", "proto": 1, "headers": True, "max_payload": 1000}
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            stream, _ = listener.accept()
            with stream:
                stream.sendall(f"INFO {json.dumps(info)}\r\n".encode())
                while part := stream.recv(4096):
                    heard.append(part)

        thread = Thread(target=listen, daemon=True)
        thread.start()
        error = refused(background, f"tls://user:secret@127.0.0.1:{listener.getsockname()[1]}", Tls())
        thread.join(30)
    assert error.code == "nats/tls-missing"
    assert heard == []
    assert "secret" not in str(error)


def test_files_that_cannot_be_used_are_named_and_never_quoted(tmp_path: Path, certificates: Certificates) -> None:
    certificates.issue("client", "DNS:client")
    good = certificates.client("client")
    good.context()
    key = certificates.file("client-key").read_text().splitlines()
    broken = tmp_path / "broken.pem"
    broken.write_text("\n".join([key[0], "*" + key[1], key[-1]]))
    empty = tmp_path / "empty.pem"
    empty.touch()
    for word, tls in (
        ("missing.pem", Tls(ca=tmp_path / "missing.pem")),
        ("broken.pem", Tls(ca=broken)),
        ("empty.pem", Tls(ca=empty)),
        ("broken.pem", Tls(good.ca, good.cert, broken)),
        ("encrypted.pem", Tls(good.ca, good.cert, certificates.encrypted("client"))),
        ("server-key.pem", Tls(good.ca, good.cert, certificates.file("server-key"))),
        ("together", Tls(good.ca, good.cert)),
    ):
        with pytest.raises(VrskyError) as caught:
            tls.context()
        assert caught.value.code == "config/invalid-value"
        assert word in str(caught.value)
        assert key[1] not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "code"),
    [(9, "expired"), (10, "expired"), (62, "wrong-name"), (20, "unknown-ca"), (23, "handshake")],
)
def test_a_certificate_that_is_not_believed_has_a_code_by_its_reason(number: int, code: str) -> None:
    error = ssl.SSLCertVerificationError("in OpenSSL's words")
    error.verify_code, error.verify_message = number, "the reason"
    assert explain(error) == (f"nats/tls-{code}", "the reason")
