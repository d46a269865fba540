"""`vrsky dlq export`: a dead letter as a file, or as a test of its pipeline."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import click

from .. import Message, config
from ..config import InvalidConfig, PipelineFile, Problem, reader, test_case
from ..config.test_case import TestCase
from ..control import dead_letters, headers
from ..control.dead_letters import DeadLetter
from . import content, exit_codes, nats, rewrite, server_of, variables
from .choice import SEQUENCE
from .server_of import client_of
from .terminal import Terminal, moment, safe

_HELP = """One dead letter as JSON, or as a test of its pipeline that `vrsky test` runs.

The test expects the error that the message died with: it passes until the pipeline is mended; then write what is to
come out instead of `error`. --into adds it to the pipeline file and leaves the rest of the file as it is. A payload
that is no text, or longer than 16 KiB, goes into a file beside it. Values of headers that may be secrets, such as
`Authorization`, are never exported.

\b
Examples:
  vrsky dlq export 17 > letter-17.json
  vrsky dlq export 17 --as-test
  vrsky dlq export 17 --as-test --into orders.yaml && vrsky test orders.yaml
"""

_MAX_TEXT = 16 * 1024
_MAX_INPUT = 16 * 1024 * 1024
# Written by the node, or by what it stores with; none of them came with the message.
_OURS = ("vrsky-", "nats-", "customer-id")


@dataclass(frozen=True)
class _Export:
    """What becomes a test: the message as it came in, of a letter."""

    letter: DeadLetter
    payload: bytes
    headers: dict[str, str]
    """Those that came with the message, without secrets."""
    left_out: list[str]
    """The names of the others."""


@click.command(name="export", help=_HELP)
@click.argument("sequence", type=SEQUENCE)
@click.option("--as-test", is_flag=True, help="As a test of the pipeline file.")
@click.option("--into", type=click.Path(path_type=Path), metavar="FILE", help="Add the test to this pipeline file.")
@click.option("--name", metavar="TEXT", help="The test's name, instead of one made of number and code.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE; one there is replaced.")
@variables.option
@server_of.options
def command(
    sequence: int,
    as_test: bool,
    into: Path | None,
    name: str | None,
    output: Path | None,
    given: dict[str, str],
    server: nats.Server,
    data: Path,
    as_json: bool,
) -> int:
    if (into is not None or name is not None) and not as_test:
        raise click.UsageError("--into and --name go with --as-test")
    if into is not None and output is not None:
        raise click.UsageError("--into writes into the pipeline file; leave --output out")

    async def fetch() -> tuple[DeadLetter | None, DeadLetter | None]:
        async with client_of(server, data) as client:
            letter = await dead_letters.show(client, sequence)
            return letter, None if letter is None else await dead_letters.original(client, letter)

    # Before there is a connection, which a run waits for.
    file, before = (None, b"") if into is None else _read(into, given)
    letter, original = asyncio.run(fetch())
    if letter is None:
        return content.not_there(f"there is no dead letter {sequence}", "`vrsky dlq ls` lists them", as_json)
    if not as_test:
        return _write(output, json.dumps(_document(letter)) + "\n")
    export = _export(letter, original)
    case = _case(export, name)
    if file is not None:
        return _insert(file, before, export, case, given, as_json)
    if case.text is None:
        _refuse(
            letter,
            "its payload is no text of at most 16 KiB",
            "Name the pipeline file with --into: then it goes into a file.",
        )
    _say_left_out(export)
    return _write(output, "".join(f"{line}\n" for line in ["tests:", *(f"  {line}".rstrip() for line in case.lines())]))


def _document(letter: DeadLetter) -> dict[str, object]:
    return {**letter.as_json(), "headers": headers.shown(letter.headers), **content.as_json(letter.payload)}


def _write(output: Path | None, text: str) -> int:
    if output is None:
        sys.stdout.write(text)
        return exit_codes.OK
    try:
        rewrite.replace(output, None, text.encode())
    except OSError as error:
        _cannot_write(output, error)
    return exit_codes.OK


def _read(path: Path, given: Mapping[str, str]) -> tuple[PipelineFile, bytes]:
    """The pipeline file, and its bytes. Raises InvalidConfig."""
    loaded = config.load(path, given=given)
    try:
        return loaded, path.read_bytes()
    except OSError as error:
        _cannot_write(path, error)


def _export(letter: DeadLetter, original: DeadLetter | None) -> _Export:
    """Raises InvalidConfig for what no test can repeat."""
    if letter.step.startswith("out:"):
        hint = "A test ends before delivery; `vrsky dlq show` has what the out was to get."
        _refuse(letter, f"it died at {letter.step}, behind the steps, and how it came in is not kept", hint)
    if letter.original is not None and original is None:
        _refuse(
            letter, "it is a part of a message, and the whole message is not kept", "`vrsky dlq show` has the part."
        )
    whole = original or letter
    if "Vrsky-Omitted-Bytes" in whole.headers:
        _refuse(letter, "its payload was too large to be kept", "Ask its sender for the message.")
    if len(whole.payload) > _MAX_INPUT:
        _refuse(letter, f"its payload has more than {_MAX_INPUT:,} bytes", "A test takes no larger one.")
    own = {name: value for name, value in whole.headers.items() if not name.lower().startswith(_OURS)}
    secret = [name for name in own if headers.is_secret(name)]
    kept = {name: value for name, value in own.items() if name not in secret}
    return _Export(letter, whole.payload, kept, secret)


def _case(export: _Export, name: str | None) -> TestCase:
    letter = export.letter
    comment = (
        f"Died {moment(letter.died_ms)} at {safe(letter.step)}. Once mended, write what comes out instead of `error`."
    )
    case = TestCase(
        name or f"dead letter {letter.sequence}: {letter.code}", letter.code, comment, headers=export.headers
    )
    try:
        text = export.payload.decode()
    except UnicodeDecodeError:
        return case
    return replace(case, text=text) if len(export.payload) <= _MAX_TEXT else case


def _insert(
    file: PipelineFile, before: bytes, export: _Export, case: TestCase, given: Mapping[str, str], as_json: bool
) -> int:
    letter = export.letter
    if (file.customer, file.pipeline) != (letter.customer, letter.pipeline):
        reason = f"dead letter {letter.sequence} is of {letter.customer}/{letter.pipeline}, not of {file.name}"
        _refuse_in(
            file, "/customer" if file.customer != letter.customer else "/pipeline", reason, "Name its pipeline file."
        )
    tests = file.model.get("tests", [])
    for at, test in enumerate(tests):
        if test["name"] == case.name:
            _refuse_in(
                file, f"/tests/{at}/name", f"there is a test `{case.name}` already", "Give another one with --name."
            )
    beside = None
    if case.text is None:
        beside = file.path.parent / f"{file.path.stem}.dead-letter-{letter.sequence}.payload"
        _put_beside(beside, export.payload)
        case = replace(case, file=beside.name)
    try:
        added, line, export = _added(file, before, export, case, given)
    except BaseException:
        if beside is not None:
            beside.unlink()
        raise
    _say_left_out(export)
    _report(added, line, export, case, as_json)
    return exit_codes.OK


def _added(
    file: PipelineFile, before: bytes, export: _Export, case: TestCase, given: Mapping[str, str]
) -> tuple[PipelineFile, int, _Export]:
    """Writes the file, once it is certain that reading it gives what was there and the test. Raises InvalidConfig."""
    source, root = reader.read(file.source.name, before)
    text, line = test_case.insert(source, root, case)
    after = (b"\xef\xbb\xbf" if before.startswith(b"\xef\xbb\xbf") else b"") + text.encode()
    try:
        added = config.parse(source.name, after, file.path, given)
    except InvalidConfig as invalid:
        # Headers that an HTTP in no longer lets in.
        fewer = _without(case, f"/tests/{len(file.model.get('tests', []))}/in/headers/", invalid)
        if fewer is None:
            raise
        left_out = [*export.left_out, *(name for name in case.headers if name not in fewer.headers)]
        return _added(file, before, replace(export, left_out=left_out), fewer, given)
    if not _is_as_wanted(file, added, case):
        _refuse_in(file, "", "the test cannot be added without a change to the rest of the file", "Leave --into out.")
    try:
        rewrite.replace(file.path, before, after)
    except OSError as error:
        _cannot_write(file.path, error)
    except rewrite.Changed:
        _refuse_in(file, "", "somebody has changed the file meanwhile", "Run the command again.")
    return added, line, export


def _without(case: TestCase, pointer: str, invalid: InvalidConfig) -> TestCase | None:
    """The test without the headers that are not allowed; None when something else is wrong."""
    refused = {(one.pointer or "").removeprefix(pointer) for one in invalid.problems}
    kept = {name: value for name, value in case.headers.items() if name not in refused}
    is_all = all((one.pointer or "").startswith(pointer) for one in invalid.problems)
    return replace(case, headers=kept) if is_all and len(kept) < len(case.headers) else None


def _is_as_wanted(file: PipelineFile, added: PipelineFile, case: TestCase) -> bool:
    model, before = added.model, file.model
    *tests, last = model.pop("tests")
    if tests != before.pop("tests", []) or model != before:
        return False
    wanted = {"file": case.file} if case.text is None else {"text": case.text}
    return {**last["in"], "headers": 0} == {**wanted, "headers": 0} and dict(
        last["in"].get("headers", {})
    ) == case.headers


def _report(added: PipelineFile, line: int, export: _Export, case: TestCase, as_json: bool) -> None:
    """What the message becomes by the file as it is now."""
    result = added.compiled.process([Message(export.payload, dict(case.headers) or None, "test")])[0]
    place = f"{added.path}:{line}"
    if as_json:
        told = {"file": str(added.path), "line": line, "name": case.name, "expects": case.error, "gives": result.code}
        beside = None if case.file is None else str(added.path.parent / case.file)
        Terminal(sys.stdout).line(json.dumps({**told, "left_out": export.left_out, "payload_file": beside}))
        return
    now = (
        "the message still fails like that, so the test passes"
        if result.code == case.error
        else f"the message fails with {result.code} now, so the test fails"
        if result.code is not None
        else "the message passes now, so the test fails until it says what comes out"
    )
    Terminal(sys.stdout).line(f"{safe(place)}: added the test `{safe(case.name)}`; {now}")


def _put_beside(path: Path, payload: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(payload)
    except OSError as error:
        _cannot_write(path, error)


def _say_left_out(export: _Export) -> None:
    beside = Terminal(sys.stderr)
    for name in export.left_out:
        beside.line(f"the header {safe(name)} is left out")
    if "Vrsky-Omitted-Headers" in export.letter.headers:
        beside.line("the message's own headers were too large to be kept")


def _refuse(letter: DeadLetter, reason: str, hint: str) -> NoReturn:
    raise InvalidConfig([Problem(test_case.CODE, reason, f"dead letter {letter.sequence}", hint=hint)])


def _refuse_in(file: PipelineFile, pointer: str, reason: str, hint: str) -> NoReturn:
    raise InvalidConfig([file.problem(test_case.CODE, reason, pointer, hint)])


def _cannot_write(path: Path, error: OSError) -> NoReturn:
    reason = f"cannot be written: {error.strerror}"
    raise InvalidConfig(
        [Problem(test_case.CODE, reason, str(path), hint="Mend its permissions, or name another file.")]
    )
