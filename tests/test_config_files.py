"""Files beside a pipeline file: never outside its folder. Secrets: never another customer's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vrsky_fast.config import files
from vrsky_fast.config.secrets import resolve, variable
from vrsky_fast.errors import SecretError
from vrsky_fast.facts import MAX_SCRIPT_BYTES

from .conftest import Write


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../net.ts", "config/file-outside"),
        ("scripts/../../net.ts", "config/file-outside"),
        ("/etc/passwd", "config/file-outside"),
        ("a\\b.ts", "config/file-outside"),
        ("a\0b", "config/file-outside"),
        (".", "config/file-outside"),
        ("missing.ts", "config/file-not-found"),
        ("scripts", "config/file-not-found"),
        ("link.ts", "config/file-outside"),
        ("folder/net.ts", "config/file-outside"),
        ("loop.ts", "config/file-not-found"),
        ("n" * 5000, "config/file-not-found"),
        ("\ud800.ts", "config/file-not-found"),
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(write: Write, tmp_path: Path, name: str, code: str) -> None:
    home = write("pipelines/scripts/net.ts", "").parent.parent
    write("net.ts", "outside")
    (home / "link.ts").symlink_to(tmp_path / "net.ts")
    (home / "folder").symlink_to(tmp_path)
    (home / "loop.ts").symlink_to("loop.ts")
    with pytest.raises(files.Refused) as caught:
        files.read_bytes(home, name, 100)
    assert caught.value.code == code


def test_a_file_below_the_folder_is_read_and_a_link_within_is_followed(write: Write) -> None:
    home = write("pipelines/scripts/net.ts", "export default (msg) => msg").parent.parent
    (home / "same.ts").symlink_to("scripts/net.ts")
    assert files.read_script(home, "scripts/net.ts") == files.read_script(home, "same.ts")


def test_a_script_is_capped_and_must_be_utf8(write: Write, tmp_path: Path) -> None:
    write("long.ts", "x" * (MAX_SCRIPT_BYTES + 1))
    (tmp_path / "latin.ts").write_bytes(b"// \xe9")
    for name, code in (("long.ts", "config/too-large"), ("latin.ts", "script/syntax")):
        with pytest.raises(files.Refused) as caught:
            files.read_script(tmp_path, name)
        assert caught.value.code == code


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ts")
    with pytest.raises(files.Refused):
        files.read_script(tmp_path, "pipe.ts")


def test_a_file_that_has_become_a_pipe_holds_nothing_up(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("s.ts", "export default (msg) => msg")
    os.mkfifo(tmp_path / "pipe.ts")
    monkeypatch.setattr(files, "beside", lambda folder, name: folder / "pipe.ts")
    with pytest.raises(files.Refused) as caught:
        files.read_script(tmp_path, "s.ts")
    assert caught.value.code == "config/file-not-found"


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "n" * 5000])
def test_no_name_makes_a_look_raise(name: str) -> None:
    assert files.stat_of(name) is None


def test_a_secret_comes_from_the_environment_or_the_customers_folder(write: Write, tmp_path: Path) -> None:
    write("secrets/acme/erp-token", "from file\n")
    environment = {"VRSKY_SECRET_ACME__ORDERS_TOKEN": "from env"}
    found = resolve("acme", {"orders-token", "erp-token"}, tmp_path / "secrets", environment)
    assert found == {"orders-token": "from env", "erp-token": "from file"}


def test_a_secret_of_another_customer_is_not_found(write: Write, tmp_path: Path) -> None:
    write("secrets/other/token", "theirs")
    environment = {"VRSKY_SECRET_OTHER__TOKEN": "theirs", "VRSKY_SECRET_A_B__C": "theirs"}
    for customer, name in (("acme", "token"), ("acme", "../other/token"), ("a", "b-c"), ("acme", "OTHER__TOKEN")):
        with pytest.raises(SecretError) as caught:
            resolve(customer, {name}, tmp_path / "secrets", environment)
        assert caught.value.code == "secret/not-found"
        assert "theirs" not in str(caught.value)
    assert variable("a", "b-c") != variable("a-b", "c")


def test_a_secret_whose_variable_another_customer_has_is_no_secret() -> None:
    environment = {"VRSKY_SECRET_A__B__C": "theirs"}
    assert resolve("a--b", {"c"}, None, environment) == {"c": "theirs"}
    with pytest.raises(SecretError) as caught:
        resolve("a", {"b--c"}, None, environment)
    assert caught.value.code == "secret/not-found"
    assert caught.value.reason == "`b--c` is no name of a secret"
