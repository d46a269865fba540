"""The `vrsky` command: one file a verb.

    run.py      serve pipelines until Ctrl-C          display.py  what run shows
    lint.py     check pipeline files
    test.py     run the tests of pipeline files       compare.py  expected against actual
    dry_run.py  show a message after every step
    dlq.py      list, show and delete dead letters

`terminal.py` writes, `exit_codes.py` says how a command ends. People read standard error, programs read
standard output: `--json` and messages go there, everything else does not.
"""

from .main import main

__all__ = ["main"]
