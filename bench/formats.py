"""How fast XML becomes JSON, without a message's way around it: prints MB/s of XML next to the first
target and writes ``bench/results/formats.json``. The measuring is done by native/formats/examples/throughput.rs."""

from __future__ import annotations

import os
import re
import subprocess

from programs import write_results

WHAT = "XML scan, JSON emit"
# First target, MB/s of payload.
TARGET = 300
LINE = re.compile(rf"{WHAT}, (?P<orders>.+?) +(?P<bytes>\d+) +(?P<us>[\d.]+) +(?P<rate>\d+)")


def main() -> None:
    command = [os.environ["BENCH_THROUGHPUT"], "1.0", WHAT]
    answer = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    rows = [
        {"orders": row["orders"], "bytes": int(row["bytes"]), "us": float(row["us"]), "mb_s": int(row["rate"])}
        for row in LINE.finditer(answer)
    ]
    if not rows:
        raise SystemExit(f"no figures in {answer!r}")
    print(f"\nXML to JSON alone: best of many rounds; the first target is {TARGET} MB/s")
    print(f"  {'':<12}{'bytes':>8}{'us':>10}{'MB/s':>8}")
    for row in rows:
        print(f"  {row['orders']:<12}{row['bytes']:>8}{row['us']:>10.3f}{row['mb_s']:>8}")
    write_results("formats", {"target_mb_s": TARGET, "rows": rows})


if __name__ == "__main__":
    main()
