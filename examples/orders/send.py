"""Posts the orders of inbox/ to the pipeline, as a shop would."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

INBOX = Path(__file__).resolve().parent / "inbox"
ERASE = "\r\x1b[2K" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else ""


def post(url: str, order: Path) -> str:
    """What the pipeline answered. The file's name as Idempotency-Key: sent again, it counts once."""
    request = urllib.request.Request(
        url,
        data=order.read_bytes(),
        headers={"Content-Type": "application/xml", "Idempotency-Key": order.stem},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return f"{answer.status} {json.load(answer).get('id', '')}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode(errors='replace')}"


def wait_for(url: str, seconds: float) -> None:
    """Until something listens there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return  # it answers, and does not like a GET
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080/in/acme/orders")
    url = parser.parse_args().url
    wait_for(url, 30)
    for order in sorted(INBOX.glob("*.xml")):
        answer = post(url, order)
        sys.stderr.write(f"{ERASE}     shop | POST {order.name}: {answer}\n")


if __name__ == "__main__":
    main()
