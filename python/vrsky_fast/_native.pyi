"""The native core, as Python sees it.

Payloads are `bytes`, which are read without a copy, or any other buffer, which is copied before the
interpreter is released; a `str` is a `TypeError`. Objects are immutable and may be used by several
threads at once. `Filter`, `Script`, `Pipeline` and `Node` raise `InternalError` (`internal/forked`)
in the child of a fork. A defect of the core raises `InternalError` (`internal/panic`).
"""

import os
from collections.abc import Sequence
from typing import Literal, Self, final

from .errors import Place, VrskyError

__all__ = [
    "Filter",
    "Limits",
    "Message",
    "Node",
    "Output",
    "Pipeline",
    "Result",
    "Script",
    "XmlOptions",
    "__version__",
    "compile_pipelines",
    "connectors",
    "error_table",
    "facts",
    "is_name",
    "is_secret_name",
    "json_schema",
    "json_to_xml",
    "lane_of",
    "patterns_meet",
    "sandbox_probe",
    "sandbox_zygote",
    "sign_nonce",
    "subject_token",
    "xml_to_json",
]

__version__: str

def xml_to_json(data: bytes | bytearray | memoryview, options: XmlOptions | None = None) -> bytes:
    """XML 1.0 as JSON, by the conventions of xmltodict. Attributes are keys with `@`, text beside them is `#text`,
    repeated elements are lists, everything else is an object, a string or null. Comments and processing instructions
    are left out. UTF-8, US-ASCII, ISO-8859-1, windows-1252 and UTF-16 are read, as the byte order mark or the XML
    declaration says.

    Raises XmlError with the byte offset (`place.offset`) for what is not well-formed, has a DOCTYPE
    or goes over a cap of `Limits()`; ConvertError for a declared number or boolean that is none."""

def json_to_xml(data: bytes | bytearray | memoryview, options: XmlOptions | None = None) -> bytes:
    """JSON (RFC 8259) as XML: the way back from `xml_to_json`. Only the conventions of `options` matter here. Raises
    JsonError with the byte offset; ConvertError unless the value is an object with one member, and for keys and texts
    that XML cannot carry."""

def compile_pipelines(files: Sequence[tuple[str, dict[str, str]]]) -> list[Pipeline | VrskyError]:
    """What `Pipeline.from_json` gives for each file, or the error that it would raise. Uses all processors; blocks
    until the last one is compiled."""

def facts() -> str:
    """What the engine and its hosts both have to know, as a JSON object: node types, backlog tiers, streams, kinds
    of connectors, defaults and caps of settings, counters. `vrsky_fast.facts` reads it."""

def is_name(text: str) -> bool:
    """Whether a customer, pipeline or out may have this name."""

def patterns_meet(one: str, other: str) -> bool:
    """Whether a file's name may fit both patterns of file ins."""

def is_secret_name(text: str) -> bool:
    """Whether a secret may have this name: one without two hyphens in a row."""

def lane_of(customer: str, lanes: int) -> int:
    """The lane that a customer's messages take in a deployment with so many lanes."""

def subject_token(text: str) -> str:
    """The text as one token of a subject: what has a meaning there becomes a hyphen."""

def sign_nonce(file: str | os.PathLike[str], is_creds: bool, nonce: str) -> tuple[str | None, str | None, str]:
    """Signs a NATS server's nonce with what is in the file now, of creds or of an NKey: the JWT, the public key where
    there is no JWT, and the signature. Raises ConfigError, which names the file and nothing that is in it."""

def json_schema() -> str:
    """The JSON Schema (2020-12) of a pipeline file, as JSON. Besides the standard keywords, `format` names what only
    the core checks: `name`, `path`, `expression`, `rate`, `time`, `file`, `subject`, `url` and others."""

def connectors() -> str:
    """The kinds of connectors, as a JSON list of `{kind, direction, summary, schema}`: `direction` is `in` or `out`,
    `schema` the JSON Schema of the options, in which secrets are `writeOnly`."""

def sandbox_probe(command: Sequence[str]) -> str:
    """Starts a zygote by this command and has it try each layer of the sandbox: a JSON list of `{layer, stops,
    required, ok, reason}`. Raises OSError when it does not start. Blocks for less than a second. Linux only."""

def sandbox_zygote(control: int) -> None:
    """Is a zygote, from which script workers are forked, until the other end of the socket `control` closes. For a
    program that was started for this: it leaves the network, the file system and the other processes of the machine.
    Raises OSError when the process has other threads, or the descriptor is no such socket. Linux only."""

def error_table() -> str:
    """All error codes, as a JSON list of `{code, stage, retryable, http_status, summary, advice}`."""

@final
class XmlOptions:
    """How XML and JSON become each other. Paths are written like `order.items.item` or `order["@id"]`."""

    def __new__(
        cls,
        *,
        attribute_prefix: str = "@",
        text_key: str = "#text",
        arrays: Sequence[str] = ...,
        numbers: Sequence[str] = ...,
        booleans: Sequence[str] = ...,
        namespaces: Literal["keep", "strip"] = "keep",
        doctype: Literal["refuse", "ignore"] = "refuse",
        number_format: Literal["json", "xml_schema"] = "json",
        trim: bool = True,
        nil: Literal["keep", "null"] = "keep",
    ) -> Self:
        """Raises ConfigError for a path that does not parse, or a prefix that could be an element."""

    @property
    def attribute_prefix(self) -> str:
        """Stands before an attribute's name."""

    @property
    def text_key(self) -> str:
        """The key of text beside attributes or elements."""

    @property
    def arrays(self) -> tuple[str, ...]:
        """Paths that are lists even with a single element."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Paths that are numbers; the digits stay as they are written."""

    @property
    def booleans(self) -> tuple[str, ...]:
        """Paths that are booleans: `true`, `false`, `1`, `0`."""

    @property
    def namespaces(self) -> Literal["keep", "strip"]:
        """Whether prefixes and declarations stay."""

    @property
    def doctype(self) -> Literal["refuse", "ignore"]:
        """Whether a DOCTYPE fails, or is passed over. One with an internal subset always fails."""

    @property
    def number_format(self) -> Literal["json", "xml_schema"]:
        """How the texts of `numbers` may be written: as in JSON, or also as in XML Schema (`+5`, `.5`, `005`)."""

    @property
    def trim(self) -> bool:
        """Whether an element's text loses the white space around it."""

    @property
    def nil(self) -> Literal["keep", "null"]:
        """Whether `xsi:nil` stays an attribute, or makes an element without content null."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Limits:
    """Caps on what one message may cost."""

    def __new__(
        cls,
        *,
        cpu_ms: int = 5,
        memory_mb: int = 32,
        stack_kb: int = 512,
        bytes: int = 8388608,  # noqa: A002 - the cap's name in a pipeline file
        depth: int = 256,
        nodes: int = 1000000,
        attributes: int = 256,
        name_bytes: int = 1024,
        fuel: int = 100000,
        outputs: int = 1000,
        output_bytes: int = 16777216,
    ) -> Self:
        """Raises ConfigError (`config/invalid-value`) for a value out of its bounds; OverflowError for one below 0."""

    @property
    def cpu_ms(self) -> int:
        """CPU time of a script for one message, milliseconds."""

    @property
    def memory_mb(self) -> int:
        """Memory of a script, MiB."""

    @property
    def stack_kb(self) -> int:
        """Stack of a script, KiB."""

    @property
    def bytes(self) -> int:
        """Payload, bytes."""

    @property
    def depth(self) -> int:
        """Nested elements, objects or lists."""

    @property
    def nodes(self) -> int:
        """Values of one document."""

    @property
    def attributes(self) -> int:
        """Attributes of one XML element."""

    @property
    def name_bytes(self) -> int:
        """An XML name, bytes."""

    @property
    def fuel(self) -> int:
        """Steps one expression may take."""

    @property
    def outputs(self) -> int:
        """Messages that one message may become."""

    @property
    def output_bytes(self) -> int:
        """Bytes of all of them together."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Filter:
    """A CEL expression, compiled once. Variables are the root's fields, and `msg`, the root itself."""

    def __new__(
        cls,
        expression: str,
        *,
        format: Literal["auto", "xml", "json"] = "auto",  # noqa: A002
        xml: XmlOptions | None = None,
    ) -> Self:
        """`format="auto"` looks at the payload's first byte. Raises ConfigError with `column`."""

    @property
    def expression(self) -> str:
        """As it was given."""

    def matches(self, data: bytes | bytearray | memoryview) -> bool:
        """Whether the expression is true of the payload. Raises FilterError for a missing field, a value of the wrong
        type, or when its fuel is used up; XmlError, JsonError or ConvertError for a payload that cannot be read."""

@final
class Script:
    """A script, `export default (msg, ctx) => msg | [msg, ...] | null`, with a runtime and a thread of
    its own: calls from several threads take turns."""

    def __new__(cls, source: str, *, language: Literal["ts", "js"] = "ts", limits: Limits | None = None) -> Self:
        """Raises ScriptError with line and column for what does not compile."""

    def run(self, message: Message) -> list[Message]:
        """What the script makes of a message with a JSON payload: none, one or several messages. They keep the
        headers; one alone keeps the id, several have `<id>[0]`, `<id>[1]`, ... Blocks for as long as the script runs.
        Raises ScriptError when it throws, goes over a limit or returns something that is no message; JsonError or
        ConvertError for a payload that is no JSON."""

@final
class Message:
    """A payload with headers and an id."""

    def __new__(
        cls,
        payload: bytes | bytearray | memoryview,
        headers: dict[str, str] | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Self:
        """A header `Content-Type` says what the payload is. Raises NatsError (`nats/header`) for a header that could
        not be sent on."""

    @property
    def payload(self) -> bytes:
        """The same object, when it was given as `bytes`."""

    @property
    def headers(self) -> dict[str, str]:
        """A copy."""

    @property
    def id(self) -> str | None:
        """Seeds `Math.random` of scripts; a part of the ids of outputs."""

@final
class Output:
    """What one out gets."""

    @property
    def out(self) -> str:
        """The out's name; `default` when the pipeline file names none."""

    @property
    def payload(self) -> bytes:
        """What would be sent."""

    @property
    def content_type(self) -> str:
        """`application/json`, `application/xml` or `text/csv`; that of the message when it is unchanged."""

    @property
    def url(self) -> str | None:
        """With its placeholders filled in, for an HTTP out."""

@final
class Result:
    """What became of one message."""

    @property
    def status(self) -> Literal["ok", "dropped", "failed"]:
        """`failed` also when only a part of a split failed; `outputs` then has the other parts."""

    @property
    def outputs(self) -> tuple[Output, ...]:
        """In order of the parts; for each part in order of the outs."""

    @property
    def code(self) -> str | None:
        """The error's code, such as `filter/missing-field`."""

    @property
    def reason(self) -> str | None:
        """The error in words."""

    @property
    def place(self) -> Place | None:
        """Where it failed, or the step that dropped it."""

@final
class Pipeline:
    """A pipeline file, compiled; runs messages here and now, without NATS and connectors."""

    @classmethod
    def load(cls, path: str | os.PathLike[str], variables: dict[str, str] | None = None) -> Pipeline:
        """Reads a YAML file and the files beside it. `variables` are the values of `{var: NAME}` by name; one that is
        missing there is looked for in the environment, as VRSKY_VAR_NAME. Raises ConfigError with file, line and
        column."""

    @staticmethod
    def from_json(json: str, files: dict[str, str] | None = None) -> Pipeline:
        """Validates and compiles a pipeline file given as JSON. `files` are the scripts and tables it names, by their
        name in the file. Raises ConfigError or ScriptError for the first fault, with `code`, `reason`, `pointer`,
        `column`; `faults` holds all that were found."""

    @property
    def customer(self) -> str:
        """Whose it is."""

    @property
    def name(self) -> str:
        """The pipeline's name."""

    @property
    def revision(self) -> str:
        """A hash of the file and its scripts, 16 hex digits."""

    def check_canary(self, canary: Pipeline) -> None:
        """Whether the other may run a share of the messages of this one. Raises ConfigError `config/canary` with the
        pointer of what it changes and may not: in, outs, and limits of all messages."""

    def check_ceilings(self, ceilings_json: str) -> None:
        """Whether its limits are below what an operator allows: an object with `cpu_ms`, `memory_mb` and `fuel`; what
        is not named has its default. Raises ConfigError `config/above-ceiling` with the pointer of the first limit
        above; `faults` holds all."""

    @property
    def json(self) -> str:
        """The file's canonical JSON."""

    @property
    def summary(self) -> str:
        """What a host has to know of it, as JSON: `customer`, `pipeline`, `revision`, `tier`, `steps`, the names of
        its `secrets`, `in` and `outs`. `vrsky_fast.config.summary` reads it."""

    def process(self, messages: Sequence[Message], split: bool = False) -> list[Result]:
        """Runs every message; one result for each, in order. Never raises for a message. `split`: as nodes of the split
        topology do it, each with one run of the steps and what the one before has handed over; the results are the
        same."""

    def dry_run(self, message: Message) -> list[tuple[str, bytes, str]]:
        """The message after every step: the step (`1:filter`; `4:route[2]` for the third part of a
        split), the payload, and the verdict: `pass`, `drop`, `to erp, audit` or `failed: ...`.
        Empty when the payload cannot be read."""

@final
class Node:
    """The engine: shards, connectors and their NATS connections, in threads of its own."""

    def __new__(
        cls,
        config_json: str,
        script_workers: list[str] | None = None,
        most_workers: int = 1024,
        workers_bytes: int = 1 << 30,
    ) -> Self:
        """Settings as JSON: `nats` (`url`, `user`, `password`, `token`), `listen` (`HOST:PORT` or null),
        `types`, `threads`, `lanes`, `tiers`, `files`, `allow_loopback`, `allow`, `absolute_files`, `max_payload`,
        `ceilings` (see `Pipeline.check_ceilings`).
        `script_workers` is the command of the program from which processes for customers' scripts are forked; without
        it they run in this process. There are at most `most_workers` of them, and together they use at most
        `workers_bytes`. The program is started for the first pipeline with scripts; where it cannot be, or cannot
        isolate them, such pipelines are refused with ScriptError `script/unavailable`. Raises ConfigError. Connects
        to nothing yet."""

    def install(
        self, pipeline: Pipeline | str, files: dict[str, str] | None = None, secrets: dict[str, str] | None = None
    ) -> str:
        """Puts a pipeline, or one that is compiled from the JSON of its file and `files`, in place of its earlier
        revision; returns the revision when every shard has done so. Raises like `Pipeline.from_json`, SecretError
        for a secret that is not in `secrets`, and ConfigError for what this node or its server cannot do; the
        earlier revision goes on then."""

    def change(
        self,
        installs: Sequence[tuple[Pipeline, dict[str, str]]],
        removes: Sequence[tuple[str, str]],
        dry: bool = False,
        canaries: dict[int, tuple[Pipeline, int]] | None = None,
    ) -> tuple[int, VrskyError] | None:
        """Installs pipelines with their secrets, and removes others by customer and name, in one step: addresses and
        durables pass from one to another without a gap. Nothing is done when one cannot be installed: returns its
        place in `installs`, and what `install` would raise. With `dry` nothing is done in any case. `canaries`, by
        places in `installs`, run a share of such a pipeline's messages beside it, in millionths; ConfigError
        `config/canary` for one that may not, as `Pipeline.check_canary` says."""

    def remove(self, customer: str, pipeline: str) -> bool:
        """Takes a pipeline out; returns when no shard takes anything more in for it. What is in hand is finished.
        False when it is not installed."""

    def check(
        self, pipeline: Pipeline | str, files: dict[str, str] | None = None, secrets: dict[str, str] | None = None
    ) -> str:
        """Whether the connectors of a pipeline would work with these settings, as JSON: `{direction, name, kind, ok,
        code, reason}`, one for the in and one for each out. Sends nothing, makes nothing, and asks no NATS server;
        blocks for some seconds at most. Raises like `Pipeline.from_json`; a missing secret is a finding."""

    def serve_as(self, part_json: str) -> None:
        """Serves its pipelines by another topology: `topology` and the node's `types` as JSON. The streams of its lanes
        have to be there. Returns when every shard does so; what is in hand ends as it began. Raises ConfigError, also
        for types that would serve other ins or outs than before."""

    def start(self) -> None:
        """Binds and connects; returns when every shard runs. Raises NatsError or HttpError."""

    def addresses(self) -> list[str]:
        """Where HTTP pipelines are served, as `HOST:PORT`."""

    def listeners(self) -> list[int]:
        """Copies of the sockets that HTTP pipelines are served on, for a process that takes them over; the caller
        closes these descriptors. Empty while it does not run. Raises ConfigError `config/cannot-listen`."""

    def stats(self) -> str:
        """Counters of every pipeline, and how its `in` and `outs` are, as a JSON list."""

    def canaries(self) -> str:
        """The pipelines that have a canary, as a JSON list of `{customer, pipeline, revision, millionths, runs}`: the
        canary's revision and share, and by role, `active` and `canary`, what it has run: `{messages, failed}`."""

    def stats_changed(self) -> str:
        """What is new since the last call: `{"changed": [rows of `stats`], "removed": [[customer, pipeline], ...]}`."""

    def metrics(self, most: int | None) -> str:
        """What a scrape is told, as JSON; see `native/flow/src/engine/node/metrics.rs`. `most`: how many customers are
        named; without it, only the shards are asked."""

    def script_workers(self) -> str | None:
        """Processes for customers' scripts, as JSON: how many `workers` there are, the `bytes` that they may use of
        their `budget`, and since the start of the process `starts`, `ends` by reason, and turns that have waited for
        a place, `waits`. None when scripts run in this process."""

    def check_shards(self) -> None:
        """Raises InternalError when a part of the node has ended by itself, as `events` does."""

    def lease(self, grant: list[tuple[str, str]], revoke: list[tuple[str, str]]) -> None:
        """Has the sources of pipelines, by customer and name, read from now on, or no more. For a node with `leases`,
        and sources that one node alone may read. Returns when nothing comes of what is revoked: its messages in flight
        are stored, or 12 s are over."""

    def begin_lease(self, until_ms: int) -> None:
        """Until then, by `boot_ms`, what was granted may be read. Only when all that was granted before is revoked."""

    def renew_lease(self, until_ms: int) -> bool:
        """Goes on until then. False when it was over, and the node has given its sources up: revoke all of them."""

    @staticmethod
    def boot_ms() -> int:
        """Milliseconds since the machine started, those that it slept included."""

    def events(self) -> str:
        """What happened since the last call, one JSON object a line; under load only the first of it. Raises
        InternalError when a part of the node has ended by itself: end the process, and start it again."""

    def drain(self, seconds: float) -> bool:
        """Stops intake and finishes what is in hand; blocks until every shard has ended, at most about
        `seconds`. Whether everything was finished; what was not goes back to its stream."""
