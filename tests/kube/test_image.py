"""The Dockerfile, without a container engine: a linter, and the rules that it does not know."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import ROOT
from .cluster import render
from .manifests import DEPLOY, OVERLAYS, container_of, node_deployments, objects

FILE = DEPLOY / "Dockerfile"
# Each instruction on one line.
TEXT = re.sub(r"^#.*\n|\\\n", "", FILE.read_text(), flags=re.MULTILINE)
INSTRUCTIONS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line.strip()]
# Of the last stage.
RUNTIME = INSTRUCTIONS[max(number for number, one in enumerate(INSTRUCTIONS) if one[0] == "FROM") :]


def of(kind: str, instructions: list[list[str]] = INSTRUCTIONS) -> list[str]:
    return [what for name, what in instructions if name == kind]


def test_the_linter_has_nothing_to_say() -> None:
    done = subprocess.run([Path(sys.executable).with_name("hadolint"), FILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_bases_are_named_once_and_by_a_version() -> None:
    """So that a release can give their digests."""
    named = {name: image for name, _, image in (one.partition("=") for one in of("ARG"))}
    assert {base.split()[0] for base in of("FROM")} == {f"${{{name}}}" for name in named}
    for image in named.values():
        assert re.fullmatch(r"[a-z]+:\d[\w.-]+(@sha256:[0-9a-f]{64})?", image), image


def test_it_builds_with_the_toolchain_that_the_crates_ask_for() -> None:
    wanted = re.search(r'^rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert wanted is not None
    assert f"rust:{wanted[1]}" in FILE.read_text()


def test_what_is_copied_is_all_that_the_workspace_needs(tmp_path: Path) -> None:
    """The sources that COPY names, as far as git and .dockerignore know them, in a folder of their own."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    copied = [word for one in of("COPY") if "--from" not in one for word in one.split()[:-1]]
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for word in copied:
        assert (ROOT / word).exists(), word
        assert any(word == one or word.startswith(f"{one}/") for one in sent), f"{word} is in .dockerignore"
    for file in tracked:
        if any(file == word or file.startswith(f"{word}/") for word in copied):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, tmp_path / file)
    command = ["cargo", "metadata", "--format-version=1", "--no-deps", "--locked"]
    members = [
        {package["name"] for package in json.loads(done.stdout)["packages"]}
        for done in (subprocess.run(command, cwd=at, capture_output=True, check=True) for at in (ROOT, tmp_path))
    ]
    assert members[0] == members[1]
    project = (ROOT / "pyproject.toml").read_text()
    for file in re.findall(r'^(?:readme = |license-files = \[)"([^"]+)"', project, re.MULTILINE):
        assert (tmp_path / file).is_file(), file


def test_nothing_is_added_from_elsewhere() -> None:
    assert of("ADD") == []
    assert not any(word in run for run in of("RUN") for word in ("curl", "wget", "git clone"))


def test_packages_have_hashes_and_leave_no_cache() -> None:
    installs = [part for run in of("RUN") for part in run.split("&&") if "pip install" in part]
    assert installs
    for one in installs:
        assert "--no-cache-dir" in one
        assert "--require-hashes" in one or "--no-index" in one


def test_the_image_has_neither_compiler_nor_root() -> None:
    assert of("RUN", RUNTIME) == []
    assert of("COPY", RUNTIME) == ["--from=build /opt/vrsky /opt/vrsky"]
    (user,) = of("USER", RUNTIME)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert json.loads(of("ENTRYPOINT", RUNTIME)[0]) == ["vrsky"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_manifests_run_it_as_it_is_made(overlay: str) -> None:
    """As its user, with its entry point, on its ports."""
    user = int(of("USER", RUNTIME)[0].partition(":")[0])
    exposed = set(map(int, of("EXPOSE", RUNTIME)[0].split()))
    for deployment in node_deployments(overlay):
        container = container_of(deployment)
        assert deployment["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == user
        assert "command" not in container
        assert {port["containerPort"] for port in container["ports"]} <= exposed
        assert container["securityContext"]["readOnlyRootFilesystem"]
        # Where it writes.
        assert of("WORKDIR", RUNTIME)[0] in {mount["mountPath"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_image_is_called_latest(overlay: str) -> None:
    manifests = render(OVERLAYS[overlay])
    for workload in [*objects(manifests, "Deployment"), *objects(manifests, "StatefulSet")]:
        assert re.search(r":\d[\w.-]+$", container_of(workload)["image"])
