"""Checks the pinned dependencies against the advisory databases of both ecosystems.

A known vulnerability fails. A database that cannot be reached does not: a build behind a mirror has
no way to ask, and an old pin does not become wrong because of that. It is said in the last lines, and
with VRSKY_REQUIRE_ADVISORIES=1 it fails as well; set that wherever the databases can be reached.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ("requirements/run.txt", "requirements/dev.txt")


def python_packages() -> tuple[bool, str]:
    """(vulnerable, what was found); raises ConnectionError when nothing could be looked up."""
    files = [argument for name in REQUIREMENTS for argument in ("--requirement", name)]
    audit = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    try:
        packages = json.loads(audit.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (audit.stderr.strip().splitlines() or ["no output"])[-1]
        raise ConnectionError(last) from None
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        raise ConnectionError("the service knows none of the pinned packages")
    found = [f"{p['name']} {p['version']}: {v['id']}" for p in asked for v in p["vulns"]]
    return bool(found), "; ".join(found) or f"{len(asked)} of {len(packages)} packages, none vulnerable"


def crates() -> tuple[bool, str]:
    """The same for Cargo.lock."""
    deny = subprocess.run(
        ["cargo", "deny", "--color", "never", "check", "--hide-inclusion-graph", "advisories"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    report = deny.stderr.strip()
    if "advisories ok" in deny.stdout + report:
        return False, "no advisory applies"
    if "failed to fetch advisory database" in report or "unable to fetch" in report:
        raise ConnectionError("the advisory database could not be fetched")
    return True, report


def main() -> int:
    exit_code = 0
    for name, check in (("Python", python_packages), ("Rust", crates)):
        try:
            vulnerable, found = check()
        except ConnectionError as error:
            required = os.environ.get("VRSKY_REQUIRE_ADVISORIES") == "1"
            print(f"advisories, {name}: NOT CHECKED, {error}" + ("" if required else " (allowed here)"))
            exit_code |= required
        else:
            print(f"advisories, {name}: {found}")
            exit_code |= vulnerable
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
