"""The MQTT example runs as its page says: the broker, the pipeline, the sensors, a broker that restarts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT, Vrsky, clean_environment, command
from .mosquitto import Mosquitto

EXAMPLE = ROOT / "examples" / "mqtt-to-http"
LOGIN = ("-u", "gateway", "-P", "open-sesame")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "gateway", "open-sesame"], check=True)
    broker = Mosquitto(tmp_path / "broker", f"password_file {passwords}")
    yield broker
    broker.close()


@pytest.fixture
def control() -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, EXAMPLE / "receiver.py", "--port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()


def test_the_pipeline_passes_its_tests(vrsky: Vrsky) -> None:
    done = vrsky("test", EXAMPLE, "--var", "BROKER=mqtt://broker.example", "--var", "CONTROL=http://control.example")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_report_becomes_an_alarm(tmp_path: Path, broker: Mosquitto, control: subprocess.Popen[str]) -> None:
    secrets = tmp_path / "secrets" / "acme"
    secrets.mkdir(parents=True)
    (secrets / "broker-password").write_text("open-sesame")
    assert control.stdout is not None
    assert control.stderr is not None
    values = ["--var", f"BROKER={broker.url}", "--var", f"CONTROL={control.stdout.readline().strip()}"]
    options = ["--secrets", secrets.parent, *values, "--data", tmp_path / "data"]
    node = subprocess.Popen(
        command("run", EXAMPLE, "--json", "--listen", "127.0.0.1:0", *options),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    with node:
        assert node.stdout is not None
        said = map(json.loads, node.stdout)
        next(one for one in said if one["kind"] == "ready")
        topic = "buildings/b7/sensors/s-12/state"
        # Kept for whoever subscribes later: the node may not have done so yet.
        broker.publish(topic, ['{"celsius": 41.5}'], "-r", *LOGIN)
        assert control.stderr.readline() == "  control | PUT /buildings/b7/alarms/s-12 41.5\n"
        broker.publish(topic, ['{"celsius": 21.0}', '{"celsius": 42.5}'], *LOGIN)
        assert control.stderr.readline() == "  control | PUT /buildings/b7/alarms/s-12 42.5\n"
        # Stopped in order, the broker keeps the session: what comes before the node is back waits for it.
        broker.stop()
        broker.start()
        broker.publish(topic, ['{"celsius": 43.5}'], *LOGIN)
        assert control.stderr.readline() == "  control | PUT /buildings/b7/alarms/s-12 43.5\n"
        node.terminate()
        node.communicate()
    assert node.returncode == 0
