"""The command group, and the one place where errors become text and an exit code."""

from __future__ import annotations

import importlib
import json
import signal
import sys
import traceback

import click

from . import exit_codes, output

_VERBS = {
    "run": ("run", "Serve pipelines until Ctrl-C."),
    "node": ("node", "Serve what the bucket vrsky_pipelines says."),
    "init": ("init", "Write the files of a new pipeline with a script."),
    "lint": ("lint", "Check pipeline files."),
    "check": ("check", "Look whether the connectors of pipelines would work."),
    "doctor": ("doctor", "Look whether this machine can isolate scripts."),
    "connectors": ("connectors", "List the kinds of connectors and their options."),
    "schema": ("schema", "Print the JSON Schema of pipeline files, for editors."),
    "test": ("test", "Run the tests of pipeline files."),
    "dry-run": ("dry_run", "Show a message after every step."),
    "apply": ("apply", "Write pipeline files to the bucket, and wait until the nodes run them."),
    "diff": ("diff", "Compare pipeline files with the bucket."),
    "status": ("status", "Show what each node runs of the bucket."),
    "history": ("history", "List the revisions of a pipeline in the bucket."),
    "rollback": ("rollback", "Put an earlier revision back, or take a canary away."),
    "promote": ("promote", "Make the canary of a pipeline its active revision."),
    "delete": ("delete", "Take a pipeline out of the bucket."),
    "settings": ("settings", "Show and change the settings that all nodes follow."),
    "tap": ("tap", "Watch the messages of a pipeline that runs."),
    "messages": ("messages", "List and show messages that wait."),
    "dlq": ("dlq", "List, show, delete and send again dead letters."),
    "parked": ("parked", "List and discard messages that are set aside."),
}

_EXAMPLES = """\b
Examples:
  vrsky run orders.yaml
  vrsky run pipelines/ --listen 127.0.0.1:9000 --data /var/lib/vrsky
  vrsky lint pipelines/ --json
  vrsky check pipelines/ --nats nats://127.0.0.1:4222
  vrsky connectors http
  vrsky schema > pipeline.schema.json
  vrsky test orders.yaml
  vrsky dry-run orders.yaml order.xml
  vrsky settings set topology=split
  vrsky tap acme/orders --failed
  vrsky messages ls acme/orders
  vrsky dlq ls --customer acme
"""


class _Verbs(click.Group):
    """Imports a verb only when it is used, so that `vrsky --version` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(f"{__package__}.{_VERBS[name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in _VERBS.items()])


@click.group(
    cls=_Verbs,
    help=f"Message pipelines per customer over NATS JetStream.\n\n{_EXAMPLES}\n{exit_codes.TABLE}",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="vrsky-fast", prog_name="vrsky")
def group() -> None:
    pass


def main() -> None:
    """The entry point of the script `vrsky`."""
    output.guard()
    if sys.argv[1:2] in (["run"], ["node"]):
        # They would end what has not come so far as to hear them: `stop_signals` lets them in.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does; there is nobody left to tell.
        sys.stderr.close()
        output.give_up()
        code = exit_codes.OK
    except output.Unwritable as error:
        output.give_up()
        click.echo(f"vrsky: standard output cannot be written: {error}", err=True)
        code = exit_codes.ENVIRONMENT
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    from ..errors import VrskyError

    as_json = "--json" in arguments
    try:
        code = group.main(arguments, prog_name="vrsky", standalone_mode=False)
        return code if isinstance(code, int) else exit_codes.OK
    except click.exceptions.Abort:
        return exit_codes.FORCED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except VrskyError as error:
        _report(error, as_json)
        return exit_codes.of(error)
    except (BrokenPipeError, output.Unwritable):
        raise
    except Exception:
        traceback.print_exc()
        click.echo("vrsky: this is a defect of vrsky; please report it with the lines above", err=True)
        return exit_codes.DEFECT


def _report(error: Exception, as_json: bool) -> None:
    from ..config import InvalidConfig, Problem
    from .terminal import Terminal

    problems = error.problems if isinstance(error, InvalidConfig) else ()
    if as_json:
        found = [problem.as_json() for problem in problems] or [_as_json(error)]
        click.echo(json.dumps({"ok": False, "problems": found}))
        return
    terminal = Terminal(sys.stderr)
    if problems:
        terminal.problems(problems)
        return
    from ..config.pipeline import advice

    code, reason = _code(error), str(getattr(error, "reason", error))
    terminal.line(Problem(code, reason, "vrsky", hint=advice(code)).text(terminal.bad))


def _as_json(error: Exception) -> dict[str, object]:
    from ..config.pipeline import advice

    code = _code(error)
    return {"code": code, "reason": str(getattr(error, "reason", error)), "hint": advice(code) or None}


def _code(error: Exception) -> str:
    return str(getattr(error, "code", "internal/panic"))
