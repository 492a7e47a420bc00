"""Tests kill -9 of the controller at any point of a rollout: after a restart it ends the same.

Release 1 goes to all devices; release 2 is bad and is reverted. The real service runs with a real
broker and devices that answer at once. It is killed before or after its nth commit or its nth
publish, and restarted; the result is compared with that of an undisturbed run.
MODELWAVE_LONG=1 tests every point, an ordinary run some of them.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from rollout_world import TARGET, Device, World, quick
from simulated_fleet import (
    DEADLINE_SECONDS,
    SimulatedFleet,
    any_broker,
    poll,
    retained_orders,
)

from modelwave_controller.rollout.state import FINAL, FINISHED, REVERTED, Rollout
from modelwave_controller.storage import outbox

LONG = os.environ.get("MODELWAVE_LONG") == "1"
DEVICES = 6
POINTS = [
    "commit before 2",
    "commit after 2",
    "commit after 4",
    "commit before 6",
    "commit after 9",
    "publish before 1",
    "publish after 4",
    "publish before 10",
]

pytestmark = pytest.mark.e2e


class Controller:
    """The killing controller, from outside."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("killing_controller.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = 0

    def start(self, home: Path, point: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{home} {point}\n")
        self.process.stdin.flush()
        self._read()

    def stop(self) -> bool:
        """Ends the service in order; whether it was killed on its way here."""
        killed = False
        while True:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            word = self._read()
            killed = killed or word == "killed"
            if word == "ended":
                return killed

    def close(self) -> None:
        """Leaves nothing behind, also after a test that failed in the middle."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        if self.pid:
            self.process.kill()
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.process.wait(DEADLINE_SECONDS)

    def _read(self) -> str:
        assert self.process.stdout is not None
        word, _, number = self.process.stdout.readline().strip().partition(" ")
        if word == "running":
            self.pid = int(number)
        if word == "ended":
            self.pid = 0
            assert number == "0", "the service did not end in order"
        return word


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    made = Controller()
    yield made
    made.close()


@pytest.fixture(scope="module")
def undisturbed(controller: Controller, tmp_path_factory: pytest.TempPathFactory) -> Any:
    result, killed = play(controller, tmp_path_factory.mktemp("undisturbed"), "never")
    assert not killed
    assert [rollout["status"] for rollout in result["rollouts"]] == [FINISHED, REVERTED]
    return result


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_it_ends_as_if_nothing_had_been(
    controller: Controller, undisturbed: Any, tmp_path: Path, point: str
) -> None:
    result, killed = play(controller, tmp_path, point)
    assert killed, "this point was never reached"
    assert result == undisturbed


@pytest.mark.skipif(not LONG, reason="every point at which the service is killed: make test-long")
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(("kind", "stride"), [("commit", 1), ("publish", 1)])
def test_killed_anywhere_it_ends_as_if_nothing_had_been(
    controller: Controller, undisturbed: Any, tmp_path: Path, kind: str, stride: int, side: str
) -> None:
    number, killed = 1, True
    while killed:
        folder = tmp_path / str(number)
        folder.mkdir()
        result, killed = play(controller, folder, f"{kind} {side} {number}")
        assert result == undisturbed, f"{kind} {side} {number}"
        number += stride
    assert number > 10 * stride


def play(controller: Controller, folder: Path, point: str) -> tuple[dict[str, Any], bool]:
    """Release 1 goes to all, release 2 is bad: what was left in the end, and whether the
    controller was killed meanwhile."""
    with (
        any_broker(folder) as port,
        closing(World(folder, devices=DEVICES, broker_port=port)) as world,
    ):
        bad = world.release(2)[TARGET].digest
        devices = [Device(name) for name in world.devices]
        for device in devices:
            device.boot = 2  # newer than what the world has heard

        def behave(_device: str, order: dict[str, Any]) -> str:
            return "ROLLED_BACK" if order["manifest"] == bad else "SUCCEEDED"

        with closing(SimulatedFleet(port, devices, behave)) as fleet:
            controller.start(world.home.path, point)
            for release in (1, 2):
                world.start(release, quick(10, 100))
                poll(lambda: all(r.status in FINAL for r in world.state().rollouts.values()))
            poll(lambda: published(world))
            killed = controller.stop()
            return result(world, fleet, port), killed


def published(world: World) -> bool:
    with world.store.read() as connection:
        return outbox.left(connection) == 0


def result(world: World, fleet: SimulatedFleet, port: int) -> dict[str, Any]:
    """All that was decided, what each device was last told, and what waits on the broker;
    without times, and without signatures, which cover them."""
    state = world.state()
    return {
        "rollouts": [summary(rollout) for rollout in state.rollouts.values()],
        "seqs": state.seqs,
        "current": state.current,
        "desired": state.desired,
        "devices": {name: brief(order) for name, order in fleet.orders.items()},
        "retained": {topic: brief(order) for topic, order in retained_orders(port).items()},
    }


def summary(rollout: Rollout) -> dict[str, Any]:
    return {
        "status": rollout.status,
        "reason": rollout.reason,
        "waves": [
            (wave.orders, {name: answer.outcome for name, answer in wave.answers.items()})
            for wave in rollout.waves()
        ],
        "gates": [(stage.verdict, stage.verdict_reason) for stage in rollout.stages],
    }


def brief(order: dict[str, Any]) -> tuple[Any, ...]:
    return order["seq"], order["manifest"], order["slots"]
