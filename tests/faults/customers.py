"""Three customers of one deployment, and what has to become of each of their messages: `Pipeline.process` says it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vrsky_fast import Message, Pipeline

FILES = {
    # Filtered, scripted; one in 25 fails in its script.
    "acme": """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
steps:
  - filter: n % 10 != 0
  - script:
      language: js
      code: |
        export default (msg) => {
          if (msg.n % 25 === 7) throw new Error("no such order");
          msg.seen = true;
          return msg;
        }
out: {http: {url: 'SINK/acme'}}
limits: {backlog: 10000}
""",
    # Converted from XML, filtered, a field set.
    "zeta": """\
customer: zeta
pipeline: orders
in: {http: {path: /orders, content_types: [xml]}}
steps:
  - convert: {from: xml, numbers: [order.n]}
  - filter: order.n % 3 != 0
  - set: {order.by: "'zeta'"}
out: {http: {url: 'SINK/zeta'}}
limits: {backlog: 10000}
""",
    # One message becomes three, which go to two outs.
    "mike": """\
customer: mike
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
steps:
  - script: {language: js, code: "export default (msg) => [1, 2, 3].map((part) => ({n: msg.n, part}))"}
  - route: [{to: [first, second]}]
out:
  first: {http: {url: 'SINK/mike/first'}}
  second: {http: {url: 'SINK/mike/second'}}
limits: {backlog: 10000}
""",
}


@dataclass(frozen=True)
class Wanted:
    """What becomes of one message: what its sinks get, path and body, or the code of its dead letter."""

    delivered: tuple[tuple[str, bytes], ...]
    code: str | None


class Customer:
    """Its pipeline file is `file`, in `folder`; `sink` is the address that it delivers to."""

    def __init__(self, name: str, folder: Path, sink: str) -> None:
        self.name = name
        self.file = folder / f"{name}.yaml"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(FILES[name].replace("SINK", sink), encoding="utf-8")
        self.content_type = "application/xml" if name == "zeta" else "application/json"

    def body(self, number: int) -> bytes:
        if self.name == "zeta":
            return b'<order id="%d"><n>%d</n><text>a &amp; b</text></order>' % (number, number)
        return b'{"n": %d, "of": "%s"}' % (number, self.name.encode())

    @cached_property
    def _pipeline(self) -> Pipeline:
        return Pipeline.load(self.file)

    def wanted(self, number: int) -> Wanted:
        message = Message(self.body(number), {"Content-Type": self.content_type}, f"{self.name}.test")
        (result,) = self._pipeline.process([message])
        paths = {"default": f"/{self.name}"} | {out: f"/{self.name}/{out}" for out in ("first", "second")}
        delivered = tuple((paths[one.out], one.payload) for one in result.outputs)
        return Wanted(delivered, result.code if result.status == "failed" else None)
