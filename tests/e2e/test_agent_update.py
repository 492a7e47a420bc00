"""A rollout of the agent itself with real parts: the controller, a broker, a device under the
launcher."""

import os
from pathlib import Path

import pytest

from modelwave_controller.demo.processes import AGENT
from tests import agent_wheels
from tests.e2e.conftest import House

PLAN = ("--soak", "0", "--trial-seconds", "0", "--deadline", "120", "--least-devices", "1")
CRASHES = "raise RuntimeError('the new agent is broken')"


def create(house: House, folder: Path, version: str, fault: str = "") -> None:
    wheels = agent_wheels.wheels(folder / version, version, fault)
    options = ["--target", "linux-cpu", "--wheels", str(wheels), "--yes"]
    house.operator.asks("release", "create-agent", version, *options)


@pytest.mark.e2e
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.environ.get("MODELWAVE_LONG") != "1", reason="long: it installs two agents")
def test_an_agent_is_rolled_out_and_a_broken_one_is_taken_back(
    house: House, tmp_path: Path
) -> None:
    house.init()
    house.start_broker("mosquitto")
    house.start_service()
    config = tmp_path / "agent.toml"
    config.write_text(
        'device = "pi-1"\ntarget = "linux-cpu"\nmodels = ["digits"]\nstate = "state"\n'
        f'root = "home/root.json"\n[broker]\nurl = "{house.broker_url}"\n'
        f'[download]\nhosts = ["{house.files}"]\n'
    )
    house.running.start("pi-1", [*AGENT, "supervise", "--config", str(config)])
    operator = house.operator
    operator.waits(["device", "list"], lambda found: len(found) == 1)
    create(house, tmp_path, "0.9.1")
    assert operator.shows("rollout", "start", "agent", "0.9.1", *PLAN) == 0
    assert operator.shows("rollout", "watch") == 0
    (device,) = operator.asks("device", "list")
    assert device["agent"].startswith("modelwave-agent 0.9.1")
    create(house, tmp_path, "0.9.2", CRASHES)
    assert (
        operator.shows("rollout", "start", "agent", "0.9.2", *PLAN, "--max-rolled-back", "20") == 0
    )
    assert operator.shows("rollout", "watch") == 3  # REVERTED
    status = operator.asks("rollout", "status")
    assert status["status"] == "REVERTED"
    assert "the new agent is broken" in status["problems"][0]["reason"]
    (device,) = operator.asks("device", "list")
    assert device["agent"].startswith("modelwave-agent 0.9.1")
    assert house.running.dead() == []
