"""`vrsky schema`: the JSON Schema of pipeline files, for editors."""

from __future__ import annotations

import json

import click

from ..config.editor import for_editors
from . import exit_codes

_HELP = """Print the JSON Schema of pipeline files (draft 2020-12), for editors that complete and check YAML.

An editor with yaml-language-server, such as VS Code with its YAML extension, takes it from the first line of a
pipeline file:

\b
  # yaml-language-server: $schema=./pipeline.schema.json

A schema cannot say everything: names, expressions, scripts and what one part of a file demands of another are
checked by `vrsky lint`.

\b
Examples:
  vrsky schema > pipelines/pipeline.schema.json
  vrsky schema | jq '."$defs".HttpOut.properties | keys'
"""


@click.command(name="schema", help=_HELP)
def command() -> int:
    click.echo(json.dumps(for_editors(), indent=2, ensure_ascii=False))
    return exit_codes.OK
