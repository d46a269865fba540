"""The `vrsky` command: one file a verb.

    run.py      serve pipelines until Ctrl-C          display.py  what run shows, by log.py
    lint.py     check pipeline files
    schema.py   the files' schema, for editors
    test.py     run the tests of pipeline files       compare.py  expected against actual
    dry_run.py  show a message after every step
    dlq.py      list, show and delete dead letters

`terminal.py` and `output.py` write, `exit_codes.py` says how a command ends. Standard output has what a verb was
asked for: findings, messages, `--json`. Standard error has what `run` does, and why a verb could not do its work.
"""

from .main import main

__all__ = ["main"]
