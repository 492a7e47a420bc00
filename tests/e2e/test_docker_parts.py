"""Tests the parts of docker/ without containers: its script, its settings, its two agents.

No container engine is needed; names of containers become addresses on this machine. If `docker
compose` is installed, it checks the compose file.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.demo.processes import AGENT
from tests.e2e.conftest import REPO, House

pytestmark = pytest.mark.slow

DOCKER = REPO / "docker"


def first_run(house: House, enrolment: Path) -> None:
    enrolment.mkdir()
    environment = house.operator.environment | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MODELWAVE_HOME": str(house.operator.home),
        "MODELWAVE_ENROLMENT": str(enrolment),
        "MODELWAVE_FLEET": "demo",
    }
    subprocess.run(["sh", str(DOCKER / "first-run.sh")], env=environment, check=True)


@pytest.mark.e2e
def test_parts_of_the_compose_file_work_together(house: House, tmp_path: Path) -> None:
    enrolment = tmp_path / "enrolment"
    first_run(house, enrolment)
    settings = house.operator.home / "controller.toml"
    made = tomllib.loads(settings.read_text())
    assert made["broker"]["url"] == "mqtt://broker:1883"
    assert made["files"]["urls"] == ["http://controller:8180/files"]
    # The same settings, with this machine's names.
    text = settings.read_text().replace("mqtt://broker:1883", "mqtt://127.0.0.1:1883")
    text = text.replace('urls = ["http://controller:8180/files"]', "urls = []")
    settings.write_text(text.replace("0.0.0.0:8180", "127.0.0.1:8180"))
    house.start_broker("mosquitto")
    house.start_service()
    house.release("v2")
    for name in ("agent-1", "agent-2"):
        config = (DOCKER / f"{name}.toml").read_text()
        config = config.replace("mqtt://broker:1883", house.broker_url)
        config = config.replace("controller:8180", house.files)
        config = config.replace("/etc/modelwave/enrolment", str(enrolment))
        config = config.replace("/var/lib/modelwave/state", str(tmp_path / "state" / name))
        path = tmp_path / f"{name}.toml"
        path.write_text(config)
        house.running.start(name, [*AGENT, "run", "--config", str(path)])
    house.operator.waits(["device", "list"], lambda found: len(found) == 2)
    plan = ("--stages", "100", "--soak", "0", "--trial-seconds", "0", "--deadline", "60")
    assert house.operator.shows("rollout", "start", "digits", "v2", *plan) == 0
    assert house.operator.shows("rollout", "watch") == 0
    assert house.running.dead() == []


def test_first_run_twice_changes_nothing(house: House, tmp_path: Path) -> None:
    first_run(house, tmp_path / "one")
    before = {path: path.read_bytes() for path in house.operator.home.rglob("*") if path.is_file()}
    first_run(house, tmp_path / "two")
    after = {path: path.read_bytes() for path in house.operator.home.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.e2e
def test_mosquitto_does_not_save_its_whole_database_at_each_message(house: House) -> None:
    """Its cost would grow with the square of the fleet. It notes a change in the same loop in
    which it acknowledges the message, and saves it in the next one."""
    house.init()
    house.start_broker("mosquitto")
    host, port = house.broker_url.removeprefix("mqtt://").split(":")
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect(host, int(port))
    client.loop_start()
    for number in range(50):
        client.publish(f"reported/{number}", b"x", qos=1, retain=True).wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    assert not (house.folder / "mosquitto.db").exists()


def compose() -> list[str]:
    """The command that is there: Compose 2 as Docker's plugin, or 1.29 by itself."""
    for command in (["docker", "compose"], ["docker-compose"]):
        asked = [*command, "version"]
        if (
            shutil.which(command[0])
            and not subprocess.run(asked, capture_output=True, check=False).returncode
        ):
            return command
    pytest.skip("docker-compose is not installed: apt install docker-compose")


def test_compose_file_is_one() -> None:
    environment = {**os.environ, "MODELWAVE_PASSPHRASE": "x"}
    command = [*compose(), "-f", str(DOCKER / "compose.yaml"), "config", "--quiet"]
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    del environment["MODELWAVE_PASSPHRASE"]
    refused = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert refused.returncode != 0
    assert b"it encrypts the offline keys" in refused.stderr
