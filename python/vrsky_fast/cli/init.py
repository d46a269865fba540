"""`vrsky init`: the files of a new pipeline with a script in TypeScript."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import click

from . import exit_codes

_HELP = """Write the files of a new pipeline with a script in TypeScript into FOLDER.

\b
  NAME.yaml       the pipeline, with a test
  NAME.ts         its script
  vrsky.d.ts      what scripts find, for editors and the TypeScript compiler
  tsconfig.json   the options under which the compiler knows what scripts may be

A `vrsky.d.ts` is replaced by that of this version, a `tsconfig.json` is left as it is. Where another of the files is
there already, nothing is written.

\b
Examples:
  vrsky init --script pipelines/ --customer acme --pipeline orders
  vrsky init --script . && vrsky test .
"""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_PIPELINE = """\
vrsky: 1
customer: {customer}
pipeline: {pipeline}

in:
  http: {{path: /{pipeline}}}

steps:
  - script: {pipeline}.ts

out:
  file: {{path: {pipeline}.ndjson}}

tests:
  - name: the sum of the items is written into the order
    in: {{json: {{items: [{{price: 2, quantity: 3}}, {{price: 1.5, quantity: 2}}]}}}}
    out:
      default:
        json_contains: {{total: 9}}
  - name: an order without items is dropped
    in: {{json: {{items: []}}}}
    dropped: true
"""
_SCRIPT = """\
interface Order {
  items: { price: number; quantity: number }[];
}

// Gives one message, a list of messages, or null to drop this one.
export default ((msg, ctx) => {
  if (msg.items.length === 0) {
    console.info("an order without items", ctx.id);
    return null;
  }
  const total = msg.items.reduce((sum, item) => sum + item.price * item.quantity, 0);
  return { ...msg, total };
}) satisfies Vrsky.Script<Order>;
"""
_TSCONFIG = {
    "compilerOptions": {
        "target": "es2024",
        "lib": ["es2024"],
        "types": [],
        "module": "esnext",
        "moduleDetection": "force",
        "strict": True,
        "erasableSyntaxOnly": True,
        "noEmit": True,
    },
    "include": ["*.ts"],
}


class _Unwritable(click.ClickException):
    exit_code = exit_codes.ENVIRONMENT


def declarations() -> str:
    """The text of `vrsky.d.ts`."""
    return (resources.files("vrsky_fast") / "vrsky.d.ts").read_text(encoding="utf-8")


def _name(_: click.Context, option: click.Parameter, name: str) -> str:
    if not _NAME.fullmatch(name):
        reason = f"{name!r} is no name: 1 to 40 of a-z, 0-9 and inner hyphens"
        raise click.BadParameter(reason, param=option)
    return name


@click.command(name="init", help=_HELP)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--script", "has_script", is_flag=True, required=True, help="A pipeline with a script in TypeScript.")
@click.option("--customer", default="example", show_default=True, callback=_name, help="Whose pipeline it is.")
@click.option(
    "--pipeline", default="orders", show_default=True, callback=_name, help="Its name, and that of its files."
)
def command(folder: Path, has_script: bool, customer: str, pipeline: str) -> int:
    assert has_script
    files = {
        f"{pipeline}.yaml": _PIPELINE.format(customer=customer, pipeline=pipeline),
        f"{pipeline}.ts": _SCRIPT,
    }
    for name in files:
        if (folder / name).exists():
            raise click.UsageError(f"{folder / name} is there already; nothing was written")
    files["vrsky.d.ts"] = declarations()
    if not (folder / "tsconfig.json").exists():
        files["tsconfig.json"] = json.dumps(_TSCONFIG, indent=2) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
            click.echo(str(folder / name))
    except OSError as error:
        raise _Unwritable(f"{error.filename}: {error.strerror}") from error
    return exit_codes.OK
