"""Secrets are looked up under their own customer, whatever its name."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from vrsky_fast.config.secrets import resolve, variable
from vrsky_fast.errors import SecretError

# Every text of up to four hyphens and letters; those that are no names are refused.
TEXTS = ["".join(text) for length in range(1, 5) for text in product("a-", repeat=length)]


def found(customer: str, name: str, environment: dict[str, str]) -> bool:
    try:
        return resolve(customer, {name}, None, environment) == {name: "value"}
    except SecretError:
        return False


def test_no_variable_is_that_of_two_customers_or_of_two_secrets() -> None:
    owners: dict[str, tuple[str, str]] = {}
    for customer, name in product(TEXTS, TEXTS):
        looked = variable(customer, name)
        if found(customer, name, {looked: "value"}):
            assert looked not in owners, (owners[looked], (customer, name))
            owners[looked] = customer, name
    # a, aa, a-a, aaa, aaaa, aa-a, a-aa; and a--a, which no secret may be called.
    assert (len({customer for customer, _ in owners.values()}), len({name for _, name in owners.values()})) == (8, 7)
    assert owners["VRSKY_SECRET_A__A__A"] == ("a--a", "a")


@pytest.mark.parametrize(("customer", "name"), [("acme", "eu-token"), ("acme-eu", "token")])
def test_a_file_is_that_of_one_customer(tmp_path: Path, customer: str, name: str) -> None:
    for one, secret in (("acme", "eu-token"), ("acme-eu", "token")):
        (tmp_path / one).mkdir()
        (tmp_path / one / secret).write_text(f"of {one}\n")
    assert resolve(customer, {name}, tmp_path, {}) == {name: f"of {customer}"}
    for nobody in ("..", f"../{customer}", "", "."):
        with pytest.raises(SecretError):
            resolve(nobody, {name}, tmp_path, {})
        with pytest.raises(SecretError):
            resolve(customer, {f"../{customer}/{name}"}, tmp_path, {})


@pytest.mark.parametrize("text", ["", "\n", "\r\n", "  \n"])
def test_an_empty_secret_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "token").write_bytes(text.encode())
    with pytest.raises(
        SecretError, match=r"the secret `token` of acme is empty; write it to VRSKY_SECRET_ACME__TOKEN or .*token"
    ) as refused:
        resolve("acme", {"token"}, tmp_path, {})
    assert refused.value.code == "secret/empty"
    with pytest.raises(SecretError):
        resolve("acme", {"token"}, None, {variable("acme", "token"): ""})
