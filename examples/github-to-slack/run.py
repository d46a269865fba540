"""The whole example in one command: Slack, the pipeline, and GitHub's deliveries. Ctrl-C drains and ends all of it.

By hand, in three terminals that know both secrets (README.md):
    python examples/github-to-slack/slack.py
    vrsky run examples/github-to-slack --allow 127.0.0.0/8
    python examples/github-to-slack/github.py
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent


def slack(port: int) -> tuple[subprocess.Popen[str], str]:
    """In a session of its own: Ctrl-C is for the pipeline, which drains into it."""
    process = subprocess.Popen(
        [sys.executable, HERE / "slack.py", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    address = process.stdout.readline().strip() if process.stdout else ""
    if not address:
        sys.exit(3)
    return process, address


def serve(listen: str, data: Path, environment: dict[str, str]) -> int:
    """Until a signal; GitHub delivers as soon as the pipeline listens."""
    command = [sys.executable, "-m", "vrsky_fast.cli", "run", HERE, "--listen", listen, "--data", data, "--json"]
    node = subprocess.Popen(command, process_group=0, stdout=subprocess.PIPE, text=True, env=environment)

    def pass_on(_: int, __: FrameType | None) -> None:
        node.send_signal(signal.SIGTERM)

    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, pass_on)
    github = None
    for line in node.stdout or ():
        said = json.loads(line)
        if said["kind"] == "ready":
            url = f"{said['address']}/in/acme/github"
            sys.stderr.write(f"    vrsky | ready: POST {url}\n")
            github = subprocess.Popen([sys.executable, HERE / "github.py", url], process_group=0, env=environment)
        elif said["kind"] in ("delivered", "filtered", "dead", "stopped"):
            sys.stderr.write(f"    vrsky | {said['kind']} {said.get('id', '')}\n")
            sys.stderr.flush()
    if github is not None:
        github.wait()
    return node.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.1:8080")
    parser.add_argument("--slack-port", type=int, default=8098)
    parser.add_argument("--data", type=Path, default=Path(".vrsky"))
    options = parser.parse_args()
    process, address = slack(options.slack_port)
    try:
        known = {"VRSKY_SECRET_ACME__SLACK_URL": address, "VRSKY_SECRET_ACME__GITHUB_WEBHOOK": secrets.token_hex(32)}
        return serve(options.listen, options.data, os.environ | known)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
