"""Slack's side of this example: takes what is posted to an incoming webhook, prints it, and answers `ok`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = "/services/T000/B000/XXXX"


class Slack(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_right = self.path == PATH
        if is_right:
            sys.stderr.write(f"    slack | {json.loads(body)['text']}\n")
            sys.stderr.flush()
        payload = b"ok" if is_right else b"no_service"
        self.send_response(200 if is_right else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
        """Said above, with the text."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8098, help="0 takes a free one (default: 8098)")
    try:
        server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Slack)
    except OSError as error:
        sys.exit(f"slack: {error.strerror}; another program uses the port")
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"http://127.0.0.1:{server.server_address[1]}{PATH}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
