"""The ERP of this example: takes orders as JSON by HTTP, and prints them.

It keeps the keys it has seen, so that an order that is delivered twice is booked once, and refuses
articles it does not know, which a real ERP would do too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ARTICLES = {"K-7", "T-3", "C-1", "S-9"}
# On a terminal: away with a line of rates that another program may have left unfinished.
ERASE = "\r\x1b[2K" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else ""


class Erp(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    booked: dict[str, str] = {}  # noqa: RUF012 - one server per process
    lock = threading.Lock()

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get("Idempotency-Key", "")
        order = json.loads(body)["order"]
        unknown = [item["@sku"] for item in order["items"]["item"] if item["@sku"] not in ARTICLES]
        with self.lock:
            again = key in self.booked
            if not unknown:
                self.booked[key] = self.path
        if unknown:
            self.answer(422, {"error": f"unknown article {', '.join(unknown)}"})
        else:
            self.answer(200, {"booked": order["@id"]})
        verdict = "refused" if unknown else "booked before" if again else "booked"
        total, net, pieces = order["total"], order["net"], order["pieces"]
        say(f"PUT {self.path} {verdict}: {total:.2f} CHF, net {net:.2f}, {pieces} pieces")

    def answer(self, status: int, body: dict[str, object]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
        """Said above, with the order."""


def say(text: str) -> None:
    sys.stderr.write(f"{ERASE}      erp | {text}\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8099, help="0 takes a free one (default: 8099)")
    try:
        server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Erp)
    except OSError as error:
        sys.exit(f"receiver: {error.strerror}; another program uses the port")
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
