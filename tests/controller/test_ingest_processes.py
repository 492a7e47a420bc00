"""Tests a whole rollout with two ingest processes and a service that leads, on one PostgreSQL: one
of the two is killed in the middle, and started again. The processes are real, so is the broker."""

import json
import os
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import counted_twice
import pytest
from postgres_server import needs_postgres
from rollout_world import FLEET, Device, World, quick
from simulated_fleet import HAS_MOSQUITTO, SimulatedFleet, mosquitto, poll
from sqlalchemy import Column, select
from two_services import Services, database

from modelwave_controller.rollout.events import Reported
from modelwave_controller.rollout.state import FINISHED
from modelwave_controller.service.share import Share
from modelwave_controller.storage import log, shares, tables
from modelwave_shared import topics

DEVICES = 12
WINDOW = {"boot": 2, "n": 1, "model": "digits", "release": 1, "inferences": 7} | dict.fromkeys(
    ("failures", "labelled", "correct"), 0
)

pytestmark = [
    pytest.mark.e2e,
    needs_postgres,
    pytest.mark.skipif(not HAS_MOSQUITTO, reason="mosquitto is not installed"),
]


class Processes:
    """A service that leads and two ingest processes."""

    def __init__(self, folder: Path, url: str, port: int, services: Services) -> None:
        self.folder, self.services = folder, services
        self.world = World(folder, url, devices=DEVICES, broker_port=port)
        toml = self.world.home.path / "controller.toml"
        text = toml.read_text().replace('\nurl = ""\n', f'\nurl = "{url}"\n')
        toml.write_text(text.replace("processes = 0", "processes = 2"))
        self.pids = {name: self.start(name) for name in ("never", "ingest 1", "ingest 2")}

    def start(self, point: str) -> int:
        log = self.folder / f"{point.replace(' ', '-')}.log"
        return self.services.start(self.world.home.path, log, point=point)

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    def receive(self) -> list[int]:
        """Returns the processes that receive a share, in the shares' order."""
        with self.world.store.read() as connection:
            return [one.pid for one in shares.stored(connection) if one.connected]

    def stored(self, *columns: Column[Any]) -> list[Any]:
        with self.world.store.read() as connection:
            return [tuple(row) for row in connection.execute(select(*columns))]

    def close(self) -> None:
        self.services.end_all()
        self.world.close()


@pytest.mark.timeout(300)
def test_one_of_two_is_killed_in_a_rollout_and_all_is_stored_once(
    tmp_path: Path, request: pytest.FixtureRequest, services: Services
) -> None:
    url = database("postgresql", tmp_path, request)
    with mosquitto(tmp_path) as port, closing(Processes(tmp_path, url, port, services)) as found:
        world, pids = found.world, found.pids
        poll(lambda: found.receive() == [pids["ingest 1"], pids["ingest 2"]])
        its = [name for name in world.devices if Share(2, 2).has(name)]
        assert 0 < len(its) < DEVICES

        def behave(_device: str, _order: dict[str, Any]) -> str:
            """The first answer is the last thing that the second one may have heard."""
            if not killed:
                os.kill(pids["ingest 2"], signal.SIGKILL)
                killed.append(pids["ingest 2"])
            return "SUCCEEDED"

        killed: list[int] = []
        devices = [Device(name) for name in world.devices]
        for device in devices:
            device.boot = 2  # newer than what the world has heard
        fleet = SimulatedFleet(port, devices, behave)
        with closing(fleet):
            world.start(1, quick(100))
            fleet.wait_for(lambda: len(fleet.orders) == DEVICES)
            poll(lambda: "share 2 of 2 has not been received" in found.logs())
            fleet.publish(topics.metrics(FLEET, its[0]), json.dumps(WINDOW).encode())
            pids["ingest 2"] = found.start("ingest 2")
            poll(lambda: [r.status for r in world.state().rollouts.values()] == [FINISHED])
            poll(lambda: found.stored(tables.metrics.c.device) == [(its[0],)])
        with world.store.read() as connection:
            bodies = [event.body for event in log.events_after(connection)]
        answers = [(b.device, b.outcome) for b in bodies if isinstance(b, Reported)]
        assert len(set(answers)) == len(answers)
        assert {(name, "SUCCEEDED") for name in world.devices} <= set(answers)
        heard = found.stored(tables.devices.c.device, tables.devices.c.n)
        assert sorted(heard) == sorted((name, d.n) for name, d in fleet.devices.items())
        with world.store.write() as connection:
            assert counted_twice.rows(connection) == counted_twice.recounted(connection)
        assert "Traceback" not in found.logs()
