"""A process is ours by pid, start time and command line; never by pid alone."""

from __future__ import annotations

import os
import subprocess
import sys

from vrsky_fast.control.process import Identity


def test_a_process_is_known_until_it_ends_and_ends_when_asked() -> None:
    waiting = [sys.executable, "-c", "print(flush=True); input()", "marker"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        # Its command line is not there before the kernel has set it up, a moment after `Popen`.
        assert child.stdout is not None
        child.stdout.readline()
        identity = Identity.of(child.pid)
        assert identity is not None
        assert identity.alive()
        assert identity.runs("marker")
        assert not identity.runs("other")
        assert identity.end(10)
        assert not identity.alive()
    assert Identity.of(child.pid) != identity


def test_another_process_with_the_same_number_is_not_ours() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    before_me = Identity(me.pid, "another start")
    assert not before_me.alive()
    # Returns at once and hurts nobody.
    assert before_me.end(10)


def test_one_that_ignores_the_request_is_ended_by_force() -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        identity = Identity.of(child.pid)
        assert identity is not None
        assert identity.end(0.05)
