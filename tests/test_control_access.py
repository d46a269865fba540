"""Credentials in files, several servers, and JetStream's API elsewhere, of the control plane against real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrsky_fast.control import streams
from vrsky_fast.control.access import Access
from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.provision import provision
from vrsky_fast.control.subjects import counts, streams_of
from vrsky_fast.errors import ConfigError, NatsError

from .certificates import Listening
from .clusters import Nkey, Operator, free_ports
from .conftest import Background

SECRETS = ("SU", "eyJ")


def echo(background: Background, url: str, access: Access) -> None:
    async def scenario() -> None:
        async with connect(endpoint_of(url, access=access)) as client:
            received = await client.subscribe("a")
            await client.publish("a", b"x")
            assert (await received.next_msg(10)).data == b"x"

    background(scenario())


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path / "operator")


def test_a_creds_file_opens_the_door_of_its_account(tmp_path: Path, background: Background, operator: Operator) -> None:
    with Listening(tmp_path / "server", operator.server()) as server:
        url = f"nats://127.0.0.1:{server.port}"
        echo(background, url, Access(creds=operator.creds()))
        strangers = Operator(tmp_path / "stranger").creds()
        for access in (Access(), Access(creds=strangers)):
            with pytest.raises(NatsError) as caught:
                echo(background, url, access)
            assert caught.value.code == "nats/authorization"


def test_a_seed_opens_the_door_for_its_user_alone(tmp_path: Path, background: Background) -> None:
    user, stranger = (Nkey(tmp_path, name, "user") for name in ("user", "stranger"))
    seed, strangers = tmp_path / "user.nk", tmp_path / "stranger.nk"
    seed.write_text(user.seed)
    strangers.write_text(f"{stranger.seed}\n")
    with Listening(tmp_path / "server", f"authorization {{ users: [{{ nkey: {user.public} }}] }}") as server:
        url = f"nats://127.0.0.1:{server.port}"
        echo(background, url, Access(nkey=seed))
        with pytest.raises(NatsError) as caught:
            echo(background, url, Access(nkey=strangers))
        assert caught.value.code == "nats/authorization"
        for text in ("", user.seed[:30], user.public):
            seed.write_text(text)
            with pytest.raises(ConfigError) as damaged:
                echo(background, url, Access(nkey=seed))
            assert str(seed) in str(damaged.value)
            assert not any(secret in str(damaged.value).replace("with SU", "") for secret in SECRETS)


def test_the_second_of_two_servers_is_taken_when_the_first_is_down(tmp_path: Path, background: Background) -> None:
    (nobody,) = free_ports(1)
    with Listening(tmp_path / "server", "authorization { user: me, password: secret }") as server:
        url = f"nats://me:secret@127.0.0.1:{nobody}, nats://127.0.0.1:{server.port}"
        echo(background, url, Access())
    with pytest.raises(NatsError) as caught:
        echo(background, url, Access())
    assert caught.value.code == "nats/connect"
    assert f"127.0.0.1:{server.port}" in str(caught.value)


@pytest.mark.parametrize("access", [Access(domain="hub"), Access(api_prefix="from.hub")], ids=["domain", "prefix"])
def test_every_request_goes_to_the_api_that_was_named(tmp_path: Path, background: Background, access: Access) -> None:
    hub = 'HUB: { jetstream: enabled, users: [{ user: hub, password: s }], exports: [{ service: "$JS.API.>" }] }'
    service = f'{{ service: {{ account: HUB, subject: "$JS.API.>" }}, to: "{access.api}.>" }}'
    # Its own account has no JetStream.
    accounts = f"accounts {{ {hub}, APP: {{ users: [{{ user: me, password: s }}], imports: [{service}] }} }}"

    async def scenario(user: str, access: Access) -> list[str]:
        async with connect(endpoint_of(f"nats://{user}:s@127.0.0.1:{server.port}", access=access)) as client:
            made = await provision(client, [streams.dead()])
            assert await counts(client, streams.DEAD, "vrsky.dead.>") == {}
            assert await streams_of(client, "vrsky.dead.a.b.c") == [streams.DEAD]
            return made

    with Listening(tmp_path / "server", accounts) as server:
        assert background(scenario("me", access)) == ["stream VRSKY_DEAD"]
        assert background(scenario("hub", Access())) == []
        with pytest.raises(NatsError) as caught:
            background(scenario("me", Access()))
        assert caught.value.code == "nats/refused"


@pytest.mark.parametrize(
    "access",
    [
        Access(creds=Path("a"), nkey=Path("b")),
        Access(domain="a", api_prefix="b"),
        Access(domain="a.b"),
        Access(domain=""),
        Access(domain="*"),
        Access(api_prefix="a..b"),
        Access(api_prefix="a.>"),
        Access(api_prefix="a b"),
    ],
)
def test_what_excludes_each_other_or_is_no_subject_is_refused(access: Access) -> None:
    with pytest.raises(ConfigError) as caught:
        access.check()
    assert caught.value.code == "config/invalid-value"


def test_credentials_in_the_address_and_in_a_file_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        endpoint_of("nats://me:s@h", access=Access(creds=Path("user.creds")))
