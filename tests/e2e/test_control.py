"""Tests every verb that steers a rollout, once, with real agents, a broker and the service."""

from collections.abc import Callable
from typing import Any

import pytest

from modelwave_controller.demo.fleet import HOST, Device, Parts
from tests.e2e.conftest import DIGITS, House

FLEET = [Device(f"pi-{n}", HOST, daemon=False) for n in range(1, 5)]
PLAN = """
trial = { time = "0s" }
judge = { least_devices = 1 }
stages = [
    { percent = 25, soak = "1h" },
    { percent = 50, soak = "0s", approval = "the dashboard" },
    { percent = 100, soak = "0s" },
]
"""


class Operator:
    """The operator of the fleet; `rollout` is the one that is steered."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.asks = house.operator.asks
        self.plan = house.folder / "plan.toml"
        self.plan.write_text(PLAN)
        self.rollout = 0

    def start(self, version: str, *options: str) -> Any:
        found = self.asks("rollout", "start", "digits", version, "--plan", str(self.plan), *options)
        self.rollout = found["rollout"]
        return found

    def does(self, verb: str, *options: str) -> Any:
        return self.asks("rollout", verb, str(self.rollout), *options)

    def until(self, reached: Callable[[Any], bool]) -> Any:
        """Waits until the rollout's status is as wanted, and returns it."""
        found = self.house.operator.waits(["rollout", "status", str(self.rollout)], reached)
        assert reached(found), found
        return found

    def until_first_stage_soaks(self) -> None:
        self.until(lambda found: found["rows"][0]["gate"] == "soaking")

    def order_of(self, device: str) -> int:
        """The number of the newest order that the device reports."""
        found = self.asks("device", "show", device)
        return max(int(model["seq"]) for model in found["models"])

    def live(self) -> list[int]:
        """The release of each device, sorted."""
        return sorted(m["release"] for d in self.asks("device", "list") for m in d["models"])


def waits(found: Any) -> str | None:
    return found["waits"] and found["waits"]["what"]


@pytest.mark.e2e
def test_every_verb_steers_a_rollout_of_real_agents(house: House) -> None:
    house.init()
    house.start_broker("embedded")
    house.start_service()
    for version in ("v1", "v2"):
        house.release(version)
    root = house.operator.home / "root.json"
    parts = Parts(house.folder, root, house.broker_url, house.files, DIGITS / "heldout.npz")
    parts.start(house.running, FLEET)
    found = house.operator.waits(["device", "list"], lambda found: len(found) == len(FLEET))
    assert len(found) == len(FLEET)
    operator = Operator(house)

    # A start time, which promote ends.
    assert waits(operator.start("v1", "--in", "1h")) == "start"
    assert operator.does("promote")["waits"] is None
    operator.until_first_stage_soaks()
    assert operator.live() == [0, 0, 0, 1]

    # Pause and resume; then promote ends the soak, and the next stage waits for approval.
    assert operator.does("pause")["status"] == "PAUSED"
    assert operator.does("resume")["status"] == "RUNNING"
    assert "soak" in operator.does("promote")["rows"][0]["promoted"]
    operator.until(lambda found: waits(found) == "approval")
    assert operator.live() == [0, 0, 0, 1]
    assert operator.does("approve", "--reason", "looks well")["waits"] is None
    operator.until(lambda found: found["status"] == "FINISHED")
    assert operator.live() == [1, 1, 1, 1]

    # A device is ordered the release anew, and answers again.
    before = operator.order_of("pi-2")
    operator.does("retry", "--device", "pi-2")
    house.operator.waits(["device", "list"], lambda _: operator.order_of("pi-2") > before)
    operator.until(lambda found: sum(row["succeeded"] for row in found["rows"]) == len(FLEET))
    assert operator.order_of("pi-2") > before

    # Revert takes the release back from the opened device.
    operator.start("v2")
    operator.until_first_stage_soaks()
    assert operator.live() == [1, 1, 1, 2]
    operator.does("revert")
    operator.until(lambda found: found["status"] == "REVERTED")
    assert operator.live() == [1, 1, 1, 1]

    # A newer rollout supersedes one that waits for its start; abort leaves all as it is.
    operator.start("v2", "--in", "1h")
    older = str(operator.rollout)
    operator.start("v2", "--supersede", "it is urgent")
    assert operator.asks("rollout", "status", older)["status"] == "ABORTED"
    operator.until_first_stage_soaks()
    assert operator.does("abort")["status"] == "ABORTED"
    assert operator.live() == [1, 1, 1, 2]
    assert house.running.dead() == []
