"""GitHub's side of this example: posts the events of inbox/, signed, then one that somebody else has changed, and one
that it delivers again."""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

INBOX = Path(__file__).resolve().parent / "inbox"


def deliver(url: str, event: str, delivery: str, body: bytes, signed: bytes) -> None:
    secret = os.environ["VRSKY_SECRET_ACME__GITHUB_WEBHOOK"].encode()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret, signed, hashlib.sha256).hexdigest(),
    }
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            said = f"{answer.status} {json.load(answer)['id']}"
    except urllib.error.HTTPError as error:
        said = f"{error.code} {json.load(error)['code']}"
    sys.stderr.write(f"   github | {event} {delivery}: {said}\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080/in/acme/github")
    url = parser.parse_args().url
    ping, push = ((INBOX / f"{name}.json").read_bytes() for name in ("ping", "push"))
    deliver(url, "ping", "d-1", ping, ping)
    deliver(url, "push", "d-2", push.replace(b"ada", b"eve"), push)
    deliver(url, "push", "d-3", push, push)
    deliver(url, "push", "d-3", push, push)


if __name__ == "__main__":
    main()
