"""The control plane is built once for a machine and started once for a run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster

BUILD = Path(__file__).parent / "control_plane" / "build"


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of kube-apiserver and the others. `make test-kube` has built them before."""
    go = Path(sys.executable).with_name("go")
    done = subprocess.run([BUILD, go], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, f"the control plane cannot be built; see what {BUILD} {go} prints"
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def cluster(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), programs)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
