"""The control of the buildings: takes alarms as JSON by HTTP, and prints each once, however often it is delivered.

python receiver.py
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Control(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: set[str] = set()  # noqa: RUF012 - one server per process
    lock = threading.Lock()

    def do_PUT(self) -> None:
        alarm = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        key = self.headers.get("Idempotency-Key", "")
        with self.lock:
            is_new = key not in self.seen
            self.seen.add(key)
        self.send_response(204)
        self.end_headers()
        if is_new:
            sys.stderr.write(f"  control | PUT {self.path} {alarm['celsius']:.1f}\n")
            sys.stderr.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
        """Said above, with the alarm."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8099, help="0 takes a free one (default: 8099)")
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Control)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
