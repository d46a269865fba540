"""The ERP of this example: a SOAP 1.1 service over TLS that wants Basic auth and `text/xml`, and prints what it books.

python receiver.py --certificate erp.pem --key erp-key.pem --password PASSWORD
"""

from __future__ import annotations

import argparse
import base64
import signal
import ssl
import sys
import threading
import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_BOOK = "{http://schemas.xmlsoap.org/soap/envelope/}Body/{urn:erp.example}Book/{urn:erp.example}"
_ANSWER = (
    '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
    '<b:Booked xmlns:b="urn:erp.example"/></soap:Body></soap:Envelope>'
)


class Erp(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    password = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        wanted = {
            "Authorization": "Basic " + base64.b64encode(f"vrsky:{self.password}".encode()).decode(),
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": '"urn:erp.example:Book"',
        }
        wrong = [name for name, value in wanted.items() if self.headers.get(name) != value]
        if wrong:
            say(f"refused: {', '.join(wrong)}")
            self.answer(401 if "Authorization" in wrong else 415)
            return
        found = ET.fromstring(body)
        values = [found.findtext(_BOOK + name) for name in ("reference", "name", "city", "total")]
        lines = [f"{line.get('pieces')} x {line.get('sku')}" for line in found.iterfind(_BOOK + "line")]
        say(f"booked {', '.join(map(str, values))}: {', '.join(lines)}")
        self.answer(200)

    def answer(self, status: int) -> None:
        payload = _ANSWER.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
        """Said above, with the booking."""


def say(text: str) -> None:
    sys.stderr.write(f"      erp | {text}\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8443, help="0 takes a free one (default: 8443)")
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--password", required=True)
    options = parser.parse_args()
    Erp.password = options.password
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Erp)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"https://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
