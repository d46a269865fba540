"""The whole example in one command: the ERP, the pipeline, and the orders of inbox/. Ctrl-C drains and
ends all of it with exit code 0.

By hand, in three terminals:
    python examples/orders/receiver.py
    vrsky run examples/orders
    python examples/orders/send.py
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
ERP = "http://127.0.0.1:8099"


@contextmanager
def receiver(port: int) -> Iterator[str]:
    """The ERP's address. In a session of its own: Ctrl-C is for the pipeline, which drains into it."""
    process = subprocess.Popen(
        [sys.executable, HERE / "receiver.py", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        address = process.stdout.readline().strip() if process.stdout else ""
        if not address:
            sys.stderr.write("  hint: name another port, 0 for a free one: make run ARGS='--receiver-port 0'\n")
            sys.exit(3)
        yield address
    finally:
        process.terminate()
        process.wait()


@contextmanager
def pipelines(erp: str) -> Iterator[Path]:
    """The example's folder, or a copy that names another ERP."""
    if erp == ERP:
        yield HERE
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(HERE, Path(folder) / "orders"))
        text = (copy / "orders.yaml").read_text()
        (copy / "orders.yaml").write_text(text.replace(ERP, erp))
        yield copy


@contextmanager
def foreground() -> Iterator[None]:
    """Takes the terminal, so that Ctrl-C reaches us and not `make`, which would call it a failure."""
    if not sys.stdin.isatty():
        yield
        return
    terminal, before = sys.stdin.fileno(), os.tcgetpgrp(sys.stdin.fileno())
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, before)


def check(folder: Path, listen: str) -> None:
    """Ends here when the address is taken: the shop would send its orders to whoever listens there."""
    command = [sys.executable, "-m", "vrsky_fast.cli", "check", folder, "--listen", listen]
    found = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if found.returncode != 0:
        sys.stderr.write(found.stdout)
        if "config/cannot-listen" in found.stdout:
            sys.stderr.write("  hint: an address for --listen: make run ARGS='--listen 127.0.0.1:9080'\n")
        sys.exit(found.returncode)


def serve(folder: Path, listen: str, data: Path) -> int:
    command = [sys.executable, "-m", "vrsky_fast.cli", "run", folder, "--listen", listen, "--data", data]
    # A process group of its own: it gets every signal once, from us.
    node = subprocess.Popen(command, process_group=0)

    def pass_on(_: int, __: FrameType | None) -> None:
        node.send_signal(signal.SIGTERM)

    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, pass_on)
    shop = subprocess.Popen([sys.executable, HERE / "send.py", f"http://{listen}/in/acme/orders"], process_group=0)
    code = node.wait()
    shop.terminate()
    shop.wait()
    return code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.1:8080")
    parser.add_argument("--receiver-port", type=int, default=8099)
    parser.add_argument("--data", type=Path, default=Path(".vrsky"))
    options = parser.parse_args()
    with foreground(), receiver(options.receiver_port) as erp, pipelines(erp) as folder:
        check(folder, options.listen)
        return serve(folder, options.listen, options.data)


if __name__ == "__main__":
    sys.exit(main())
