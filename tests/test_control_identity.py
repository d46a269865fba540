"""Who writes: as the server knows it, and never a reason to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.identity import UNKNOWN, login, user_of
from vrsky_fast.control.server_config import Endpoint

from .certificates import Listening
from .conftest import Background

Ask = Callable[[str, str], str]


@pytest.fixture
def ask(tmp_path: Path, background: Background) -> Iterator[Ask]:
    """The user of a connection with these credentials to a server with this configuration."""
    with ExitStack() as stack:

        def asked(config: str, credentials: str) -> str:
            server = stack.enter_context(Listening(tmp_path / "server", config))

            async def scenario(endpoint: Endpoint) -> str:
                async with connect(endpoint) as client:
                    return await user_of(client)

            return background(scenario(endpoint_of(f"nats://{credentials}127.0.0.1:{server.port}")))

        yield asked


def test_a_user_of_the_server(ask: Ask) -> None:
    config = 'authorization { users = [{user: ann, password: "a"}] }'
    assert ask(config, "ann:a@") == "ann"


def test_a_user_of_an_account(ask: Ask) -> None:
    config = 'accounts { PROD { users = [{user: ann, password: "a"}] } }'
    assert ask(config, "ann:a@") == "ann of the account PROD"


def test_a_server_without_users_knows_nobody(ask: Ask) -> None:
    assert ask("", "") == UNKNOWN


def test_a_question_that_is_not_permitted_gives_nobody(ask: Ask) -> None:
    config = 'authorization { users = [{user: ann, password: "a", permissions: {publish: "vrsky.>"}}] }'
    assert ask(config, "ann:a@") == UNKNOWN


def test_a_login_names_the_machine() -> None:
    assert login()
