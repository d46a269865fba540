"""What holds of all objects: threads, forks, and who holds the interpreter meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest

from vrsky_fast import Filter, Limits, Message, Pipeline, Script, XmlOptions, xml_to_json

FILE = {
    "customer": "acme",
    "pipeline": "orders",
    "in": {"nats": {"subject": "s"}},
    "steps": [
        {"convert": {"from": "xml", "numbers": ["order.n"]}},
        {"filter": "order.n >= 0"},
        {"script": {"code": "export default (m: any) => ({n: m.order.n * 2})"}},
    ],
    "out": {"stdout": {}},
}


def test_objects_are_shared_by_threads() -> None:
    pipeline = Pipeline.from_json(json.dumps(FILE))
    odd = Filter("int(order.n) % 2 == 1")
    script = Script("export default (m: any) => ({n: m.n + 1})")
    options = XmlOptions(numbers=["order.n"])

    def work(n: int) -> None:
        xml = f"<order><n>{n}</n></order>".encode()
        assert json.loads(xml_to_json(xml, options)) == {"order": {"n": n}}
        assert odd.matches(xml) == (n % 2 == 1)
        assert json.loads(script.run(Message(b'{"n": %d}' % n))[0].payload) == {"n": n + 1}
        assert [json.loads(r.outputs[0].payload)["n"] for r in pipeline.process([Message(xml)] * 3)] == [n * 2] * 3

    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(work, range(400)))) == 400


def test_the_interpreter_runs_on_while_rust_works() -> None:
    """Nobody is asked to give the interpreter up for an hour; only a call that releases it lets the
    main thread go on before it ends."""
    script = Script("export default (m: any) => { while (true); }", limits=Limits(cpu_ms=3000))
    about_to, done = Event(), Event()

    def work() -> None:
        about_to.set()
        with pytest.raises(Exception, match="script/timeout"):
            script.run(Message(b"{}"))
        done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(3600)
    try:
        thread = Thread(target=work)
        thread.start()
        assert about_to.wait(60)
        assert not done.is_set()
    finally:
        sys.setswitchinterval(interval)
    thread.join()
    assert done.is_set()


FORK = """
import json, os, sys
from vrsky_fast import Filter, Message, Pipeline, Script, VrskyError, xml_to_json
from vrsky_fast._native import Node

script = Script("export default (m: any) => m")
pipeline = Pipeline.from_json(json.dumps(FILE))
node = Node(json.dumps({"nats": {"url": "nats://127.0.0.1:1"}, "files": "."}))
condition = Filter("true")
message = Message(b"{}")
script.run(message)
pipeline.process([Message(b"<order><n>1</n></order>")])
child = os.fork()
if child == 0:
    calls = [
        lambda: script.run(message),
        lambda: pipeline.process([]),
        lambda: pipeline.dry_run(message),
        lambda: condition.matches(b"{}"),
        lambda: node.stats(),
    ]
    codes = []
    for call in calls:
        try:
            call()
        except VrskyError as error:
            codes.append(error.code)
    assert codes == ["internal/forked"] * len(calls), codes
    assert xml_to_json(b"<a/>") == b'{"a":null}'
    assert Script("export default (m: any) => m").run(message)[0].payload == b"{}"
    # The end of the interpreter takes all of them down, in the child too.
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
script.run(message)
"""


def test_use_after_a_fork_raises_and_the_child_can_make_its_own() -> None:
    source = f"FILE = {FILE!r}\n{FORK}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", source], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
