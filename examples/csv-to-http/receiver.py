"""The warehouse of this example: takes stock movements as JSON arrays by HTTP, and prints them."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Warehouse(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: set[str] = set()  # noqa: RUF012 - one server per process

    def do_POST(self) -> None:
        movements = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        key = self.headers.get("Idempotency-Key", "")
        if key not in self.seen:
            self.seen.add(key)
            for one in movements:
                way = "back" if one["returned"] else "out"
                say(f"{one['quantity']} x {one['article']} {way}, {one['value']:.2f} {one['note']}".rstrip())
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
        """Said above, with the movements."""


def say(text: str) -> None:
    sys.stderr.write(f"warehouse | {text}\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one (default: 8090)")
    try:
        server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Warehouse)
    except OSError as error:
        sys.exit(f"receiver: {error.strerror}; another program uses the port")
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
