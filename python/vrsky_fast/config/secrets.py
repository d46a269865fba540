"""Secrets of a pipeline: `{secret: NAME}` is looked up under the pipeline's own customer, in the
environment as VRSKY_SECRET_<CUSTOMER>__<NAME>, then in the file <folder>/<customer>/<name>.

Values are handed to the node and nowhere else: no message, log line or repr holds one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from .._native import is_name, is_secret_name
from ..errors import VrskyError, error_for
from . import files

_MAX_BYTES = 64 * 1024


def variable(customer: str, name: str) -> str:
    """The environment variable: upper case, hyphens as underscores. Its last double underscore is the border,
    since no secret's name has two hyphens in a row: customer `a--b` with secret `c` has one that no secret of
    customer `a` can have."""
    return f"VRSKY_SECRET_{_upper(customer)}__{_upper(name)}"


def resolve(
    customer: str, names: Iterable[str], folder: Path | None = None, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The values by name. Raises SecretError for the first that is not defined, or empty: a file may be about to be
    written, and no credential is."""
    values = {name: _one(customer, name, folder, environment) for name in sorted(names)}
    for name, value in values.items():
        if not value.strip():
            where = f" or {folder / customer / name}" if folder is not None else ""
            reason = f"the secret `{name}` of {customer} is empty; write it to {variable(customer, name)}{where}"
            raise error_for("secret/empty", reason)
    return values


def _one(customer: str, name: str, folder: Path | None, environment: Mapping[str, str]) -> str:
    looked = variable(customer, name)
    if not is_name(customer):
        raise _not_found(f"`{customer}` is no name of a customer")
    if not is_secret_name(name):
        raise _not_found(f"`{name}` is no name of a secret")
    if looked in environment:
        return environment[looked]
    if folder is None:
        raise _not_found(f"the secret `{name}` of {customer} is not defined; set {looked}")
    try:
        data = files.read_bytes(folder, f"{customer}/{name}", _MAX_BYTES)
        # An editor ends the file with a line break; it is no part of the secret.
        return data.decode().removesuffix("\n").removesuffix("\r")
    except files.Refused:
        where = folder / customer / name
        raise _not_found(f"the secret `{name}` of {customer} is not defined; set {looked} or write {where}") from None
    except UnicodeDecodeError:
        raise _not_found(f"the secret `{name}` of {customer} is not UTF-8") from None


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")


def _not_found(reason: str) -> VrskyError:
    return error_for("secret/not-found", reason)
