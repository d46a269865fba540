"""Private parts of libraries that this package overrides or reads. A library may change them in any release, so
each one is named here, is pinned by an exact version, and has a test of what is expected of it."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import logging
import pkgutil
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.transport import TcpTransport

import vrsky_fast
from vrsky_fast.control import connection
from vrsky_fast.control.connection import connect, endpoint_of

from .certificates import Certificates, Listening
from .conftest import ROOT, Background

PACKAGE = Path(vrsky_fast.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# What a file uses of a library beside its public names.
ALLOWED = {
    # nats-py itself goes on in plain text when a server offers no TLS, and hangs after TLS that failed.
    "control/tls.py": {
        "_process_connect_init",
        "_process_info",
        "_connect_command",
        "_server_info",
        "_transport",
        "_io_writer",
    },
}
# Documented, in spite of its name.
PUBLIC = {"_exit"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def own_names(tree: ast.Module) -> set[str]:
    """Private names that a module gives itself: functions, classes, variables, fields."""
    names = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    stored = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    names |= {node.attr for node in stored if ast.unparse(node.value) == "self"}
    slots = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {name for name in names | {node.value for node in slots} if is_private(name)}


def read_names(tree: ast.Module) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_private(node.attr)}


def names_of_a_base(module: str, tree: ast.Module) -> set[str]:
    """Private names of a base class from elsewhere that a class of the module overrides or reads."""
    found: set[str] = set()
    for definition in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        one = getattr(importlib.import_module(module), definition.name)
        foreign = [base for base in one.__mro__[1:] if not base.__module__.startswith(("vrsky_fast", "typing", "abc"))]
        theirs = {name for base in foreign for name in vars(base)} | (
            set(vars(Client())) if Client in foreign else set()
        )
        inside = list(ast.walk(definition))
        ours = {node.name for node in inside if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        ours |= {node.attr for node in inside if isinstance(node, ast.Attribute)}
        found |= {name for name in theirs & ours if is_private(name)}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_uses_private_parts_of_a_library_only_where_it_is_named_here(path: Path) -> None:
    tree = ast.parse(path.read_text())
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    found = read_names(tree) - own_names(tree)
    if module != "vrsky_fast.cli.__main__":
        found |= names_of_a_base(module, tree)
    assert found == ALLOWED.get(str(path.relative_to(PACKAGE)), set())


def test_every_file_that_is_named_here_is_there() -> None:
    names = {one.name for one in pkgutil.walk_packages(vrsky_fast.__path__, "vrsky_fast.")}
    assert {f"vrsky_fast.{name.removesuffix('.py').replace('/', '.')}" for name in ALLOWED} <= names


def test_the_library_whose_private_parts_are_used_is_pinned_exactly() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (pin,) = [one for one in pyproject["project"]["dependencies"] if one.startswith("nats-py")]
    assert pin == f"nats-py=={metadata.version('nats-py')}", "read the tests below before another version is taken"
    for requirements in ("run.in", "run.txt"):
        assert pin in (ROOT / "requirements" / requirements).read_text()


def test_nats_py_still_has_the_parts_that_are_overridden() -> None:
    for name, arguments in (
        ("_process_connect_init", ["self"]),
        ("_process_info", ["self", "info", "initial_connection"]),
        ("_connect_command", ["self"]),
    ):
        method = getattr(Client, name)
        assert list(inspect.signature(method).parameters) == arguments, name
    assert inspect.iscoroutinefunction(Client._process_connect_init)
    assert inspect.iscoroutinefunction(Client._process_info)
    assert not inspect.iscoroutinefunction(Client._connect_command)
    assert {"_server_info", "_transport"} <= set(vars(Client()))
    assert "_io_writer" in vars(TcpTransport())


def test_nats_py_still_shows_the_info_before_it_sends_anything() -> None:
    """`StrictClient` decides on TLS in `_process_info`, and on certificates in `_connect_command`."""
    source = inspect.getsource(Client._process_connect_init)
    steps = (
        "self._server_info = srv_info",
        "self._process_info(srv_info, initial_connection=True)",
        'self._server_info["tls_required"]',
        "self._transport.connect_tls(",
        "self._connect_command()",
        "self._transport.write(connect_cmd)",
    )
    # `handshake_first` makes TLS before the INFO.
    after_info = source.index("await self._process_info")
    places = [source.index(step, 0 if at == 0 else source.index(steps[0])) for at, step in enumerate(steps)]
    assert places == sorted(places), "the order of the handshake has changed"
    assert "self._transport.write(" not in source[:after_info]


def test_nats_py_still_says_what_is_looked_for_in_its_errors() -> None:
    assert "expecting INFO" in inspect.getsource(Client._process_connect_init)


def test_what_asyncio_says_of_every_tls_connection_is_left_out_and_nothing_else_is(
    tmp_path: Path, background: Background
) -> None:
    """The filter knows the text. When it meets none any more, it has nothing to do and can go."""
    met: list[str] = []

    class Count(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            met.append(record.getMessage())
            return True

    async def scenario() -> None:
        certificates = Certificates(tmp_path / "certificates")
        with Listening(tmp_path / "server", certificates.server()) as server:
            async with connect(endpoint_of(f"tls://127.0.0.1:{server.port}", certificates.client())) as client:
                await client.flush()
            await asyncio.sleep(0)

    count = Count()
    logger = logging.getLogger("asyncio")
    logger.filters.insert(0, count)
    try:
        background(scenario())
    finally:
        logger.removeFilter(count)
    assert met, "asyncio is silent now: remove the filter in control/connection.py"
    assert not [text for text in met if connection._is_worth_saying(logging.makeLogRecord({"msg": text}))]
