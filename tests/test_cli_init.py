"""`vrsky init` as a user runs it, and what it writes under the TypeScript compiler."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vrsky_fast.cli.init import declarations

from .conftest import ROOT, Vrsky

Compile = Callable[[Path], list[str]]


@pytest.fixture(scope="session")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Runs the pinned TypeScript compiler in a folder; gives its errors, such as `a.ts(1,2): error TS1: no`."""
    folder = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests" / "typescript" / name, folder)
    npm = shutil.which("npm")
    assert npm, "Node.js with npm is missing: the TypeScript compiler runs on it"
    arguments = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"the TypeScript compiler cannot be installed from the registry: {done.stderr}"

    def run(project: Path) -> list[str]:
        tsc = folder / "node_modules" / ".bin" / "tsc"
        arguments = [str(tsc), "--project", str(project), "--pretty", "false"]
        done = subprocess.run(arguments, cwd=project, capture_output=True, text=True, timeout=300)
        return [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]

    return run


@pytest.fixture
def project(vrsky: Vrsky, tmp_path: Path) -> Path:
    done = vrsky("init", "--script", "pipelines", "--customer", "acme")
    assert done.returncode == 0, done.stderr
    return tmp_path / "pipelines"


def test_what_is_written_is_right_and_its_tests_pass(vrsky: Vrsky, project: Path, compiler: Compile) -> None:
    assert sorted(path.name for path in project.iterdir()) == [
        "orders.ts",
        "orders.yaml",
        "tsconfig.json",
        "vrsky.d.ts",
    ]
    tested = vrsky("test", "pipelines")
    assert (tested.returncode, tested.stderr) == (0, ""), tested.stdout
    assert vrsky("lint", "pipelines").returncode == 0
    assert compiler(project) == []


def test_files_that_are_there_are_kept(vrsky: Vrsky, project: Path) -> None:
    for name in ("orders.ts", "tsconfig.json", "vrsky.d.ts"):
        (project / name).write_text("own")
    again = vrsky("init", "--script", "pipelines")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert (project / "vrsky.d.ts").read_text() == "own"
    other = vrsky("init", "--script", "pipelines", "--pipeline", "returns")
    assert other.returncode == 0, other.stderr
    assert (project / "orders.ts").read_text() == (project / "tsconfig.json").read_text() == "own"
    assert (project / "vrsky.d.ts").read_text() == declarations()
    assert vrsky("init", "--script", "x", "--pipeline", "../up").returncode == 2


GOOD = """\
interface Order { id: string; total: number; at?: string; items: { sku: string }[] }

export const all = [
  (msg) => msg,
  (msg) => null,
  (msg) => [msg, { total: msg.total }, "text", 1],
  (msg) => msg.items.map((item) => ({ order: msg.id, ...item })),
  async (msg, ctx) => ({ ...msg, row: await Promise.resolve(ctx.lookup<{ rate: number }>("rates", msg.id)?.rate) }),
  (msg, ctx) => {
    const table = ctx.table<string>("names");
    console.warn("a message", ctx.id, msg);
    const url = new URL("/a", "https://example.org");
    url.searchParams.set("q", table.get(msg.id) ?? "none");
    const bytes: Uint8Array = new TextEncoder().encode(btoa(atob("YQ==")));
    const signature: string = crypto.hmac("SHA-256", "key", bytes, "base64url");
    const digest: Uint8Array = crypto.digest("SHA-1", new TextDecoder("latin1", { fatal: true }).decode(bytes));
    crypto.getRandomValues(new Uint32Array(4));
    return {
      copy: structuredClone(msg), url, signature, digest: digest.length, known: table.has(7),
      id: [ctx.uuid(), crypto.randomUUID()], where: `${ctx.customer}/${ctx.pipeline}@${ctx.revision}`,
      at: ctx.now + ctx.random(), header: ctx.headers["x-id"]?.trim(),
      query: [...new URLSearchParams({ a: "1" })].map(([name, value]) => name + value),
    };
  },
] satisfies Vrsky.Script<Order>[];
export default all[0] as Vrsky.Script;
"""
BAD = {
    "(msg) => { msg.total }": "no return",
    "(msg) => undefined": "undefined",
    "(msg) => msg.nothing": "a field that is not there",
    "(msg) => 5n": "a bigint",
    "async (msg) => undefined": "a promise of nothing",
    "(msg) => fetch('https://example.org')": "fetch",
    "(msg) => { setTimeout(() => 1, 1); return msg }": "a timer",
    "(msg) => process.env": "Node.js",
    "(msg) => require('fs')": "a module",
    "(msg) => document.title": "a page",
    "(msg) => Buffer.from('a')": "a buffer of Node.js",
    "(msg, ctx) => { ctx.id = 'a'; return msg }": "ctx is written to",
    "(msg, ctx) => { ctx.headers.a = 'a'; return msg }": "a header is written to",
    "(msg, ctx) => ctx.nothing": "not in ctx",
    "(msg, ctx) => ctx.headers['a'].trim()": "a header that may be missing",
    "(msg, ctx) => ctx.lookup('a', {})": "an object as a key",
    "(msg) => crypto.digest('MD5', 'a')": "no such digest",
    "(msg) => crypto.digest('SHA-1', 'a', 'utf8')": "no such encoding",
    "(msg) => crypto.getRandomValues(new Float64Array(1))": "random values of fractions",
    "(msg) => new TextDecoder().decode(new Uint8Array(), { stream: true })": "a stream",
    "(msg) => { new URL('a:').origin = 'b'; return msg }": "the origin is written to",
    "(msg) => { enum A { B } return A.B }": "an enum",
    "(msg) => { console.table(msg); return msg }": "not in console",
}


def test_the_compiler_takes_what_scripts_may_do_and_names_what_they_may_not(project: Path, compiler: Compile) -> None:
    (project / "good.ts").write_text(GOOD)
    lines = [f"export const a{index} = ({script}) satisfies Script;" for index, script in enumerate(BAD)]
    head = "type Script = Vrsky.Script<{ id: string; total: number }>;"
    (project / "bad.ts").write_text("\n".join([head, *lines]))
    errors = compiler(project)
    assert [error for error in errors if not error.startswith("bad.ts")] == []
    named = {int(found[1]) for error in errors if (found := re.match(r"bad\.ts\((\d+),", error))}
    missed = [why for line, why in enumerate(BAD.values(), start=2) if line not in named]
    assert missed == []
    assert 1 not in named


def test_the_declarations_name_what_a_script_finds_and_nothing_else(vrsky: Vrsky, project: Path) -> None:
    """The script looks; what it says is compared with the text."""
    look = """\
export default (msg, ctx) => {
  const left = ["length", "name", "prototype", "constructor"];
  const own = (value) => [value, value.prototype].filter(Boolean).flatMap((one) => Reflect.ownKeys(one));
  const members = (value) =>
    [...new Set(own(value))].filter((key) => typeof key === "string" && !left.includes(key)).sort();
  const found = { ctx: Object.keys(ctx).sort() };
  for (const name of msg.names) found[name] = name in globalThis ? members(globalThis[name]) : "missing";
  return found;
};
"""
    text = declarations()
    names = re.findall(r"^declare (?:const|function|class) (\w+)", text, re.MULTILINE)
    assert len(names) == 9
    (project / "orders.ts").write_text(look)
    done = vrsky("dry-run", "pipelines", "--json", input=json.dumps({"names": names}))
    assert done.returncode == 0, done.stdout
    found = json.loads(json.loads(done.stdout)["outputs"][0]["payload"])
    assert found["ctx"] == declared(text, r"interface Context \{(.*?)\n  \}")
    assert found["console"] == declared(text, r"interface Console \{(.*?)\n  \}")
    assert found["crypto"] == declared(text, r"interface Crypto \{(.*?)\n  \}")
    for name in ("URL", "URLSearchParams", "TextEncoder", "TextDecoder"):
        assert found[name] == declared(text, rf"declare class {name} \{{(.*?)\n\}}"), name
    assert "missing" not in found.values()


def declared(text: str, pattern: str) -> list[str]:
    found = re.search(pattern, text, re.DOTALL)
    assert found, pattern
    indent = min(len(line) - len(line.lstrip()) for line in found[1].splitlines() if line.strip())
    names = re.findall(rf"^ {{{indent}}}(?:static )?(?:readonly )?(\w+)", found[1], re.MULTILINE)
    return sorted({name for name in names if name != "constructor"})
