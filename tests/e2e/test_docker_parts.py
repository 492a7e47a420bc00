"""Tests docker/compose.yaml without containers: the commands of docs/deploying.md, in their order.

No container engine is needed (compose_here.py). If `docker compose` is installed, it checks the
compose file.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.demo.processes import processes
from modelwave_controller.demo.service import START_SECONDS
from tests.e2e.compose_here import ComposeHere, postgres_program
from tests.e2e.conftest import MOSQUITTO, REPO, House
from tests.tools import MOSQUITTO_MISSING, POSTGRESQL_MISSING

pytestmark = pytest.mark.slow

DOCKER = REPO / "docker"
LONG = os.environ.get("MODELWAVE_LONG") == "1"
needs_postgres = pytest.mark.skipif(not postgres_program("initdb"), reason=POSTGRESQL_MISSING)


def block(name: str) -> list[str]:
    """The lines of this block of docs/deploying.md."""
    page = (REPO / "docs/deploying.md").read_text("utf-8")
    found = re.search(rf"<!-- compose: {name} .*?-->\n```sh\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1].replace("\\\n", " ").splitlines()


def printed() -> list[str]:
    """The lines that bring a whole fleet up, after the alias and the build."""
    alias, build, *rest = block("commands")
    assert (alias, build) == (
        "alias compose='docker compose -f docker/compose.yaml'",
        "compose build",
    )
    return rest


@pytest.fixture
def here(tmp_path: Path) -> Iterator[ComposeHere]:
    if MOSQUITTO is None:
        pytest.skip(MOSQUITTO_MISSING)
    with processes(tmp_path) as running:
        made = ComposeHere(tmp_path, running)
        try:
            yield made
        finally:
            made.down_database()


@pytest.mark.e2e
@needs_postgres
def test_compose_file_brings_a_rollout_to_its_end_as_printed(here: ComposeHere) -> None:
    """And its health checks notice that the broker, or the database, is gone."""
    for line in printed():
        said = here.run(line)
        if line.endswith("device list"):
            assert "agent-1" in said
    assert "FINISHED" in said
    assert here.running.dead() == []
    services = ("controller", "agent-1", "agent-2")
    assert [name for name in services if not here.is_healthy(name)] == []
    has_offline_key = [name for name in here.services if offline_keys(here, name)]
    assert has_offline_key == ["operator"]
    assert "FINISHED" in asked_from_elsewhere(here)
    if LONG:
        here.down_database()
        until(lambda: not here.is_healthy("controller"))
        here.running.end("broker")
        until(lambda: not here.is_healthy("agent-1"))


def asked_from_elsewhere(here: ComposeHere) -> str:
    """What the last line of those for operators says, in a shell beside the containers."""
    *made, exported, asks = block("operators")
    for line in made:
        command, file = line.split(" > ")
        (here.folder / file).write_text(here.run(command))
    program = Path(sys.executable).parent / "modelwave"
    asks = asks.replace("modelwave", str(program)).replace("8181", str(here.operators))
    environment = {"PATH": os.environ["PATH"], "HOME": str(here.folder)}
    done = subprocess.run(
        ["bash", "-eu", "-c", f"{exported}\n{asks}"],
        cwd=here.folder,
        env=environment | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def offline_keys(here: ComposeHere, service: str) -> list[Path]:
    """Files of root, release or authority keys in the volumes of a service."""
    names = {"root-1.key", "root-2.key", "root-3.key", "release.key", "ca.key"}
    folders = [place for place in here.mounts(service).values() if place.is_dir()]
    return [path for place in folders for path in place.rglob("*.key") if path.name in names]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(1)


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
    command = [*compose(), "-f", str(DOCKER / "compose.yaml"), "config", "--quiet"]
    assert subprocess.run(command, check=False).returncode == 0


def test_containers_of_the_compose_file_have_no_rights() -> None:
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    for service in services.values():
        assert service["user"] == "10001:10001"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert [name for name, one in services.items() if "ports" in one] == ["broker", "controller"]
    assert "127.0.0.1:8181:8181" in services["controller"]["ports"]  # not of other machines
