"""A fleet that runs a new release beside its live one when an order says so."""

import json
from typing import Any

from observing_fleet import LABELS, NEW, WINDOW, ObservingFleet
from rollout_world import FLEET, Device, World

from modelwave_controller.rollout.plan import Plan, make_plan
from modelwave_shared import topics

COMPARED = 90
SHADOW_WINDOWS = 2
SHADOW_N = 100_000  # above the numbers of the live windows' documents


def shadowing(*gates: str, **changes: Any) -> Plan:
    """A plan of one shadow stage of a half, and two stages without soak."""
    shadow = {"seconds": SHADOW_WINDOWS * WINDOW}
    judge = {"window_seconds": WINDOW, "grace_seconds": 10} | changes.pop("judge", {})
    first = {"percent": 50, "shadow": True} | ({"gates": list(gates)} if gates else {})
    others = [{"percent": p, "soak_seconds": 0, "gates": []} for p in (20, 100)]
    stages = [first | changes.pop("first", {}), *others]
    settings = {"stages": stages, "trial": {"seconds": 1}, "judge": judge, "shadow": shadow}
    return make_plan(settings | changes)


class ShadowFleet(ObservingFleet):
    """`agreed`: of COMPARED outputs a window. `outcomes`: other answers to a shadow order."""

    def __init__(self, world: World, agreed: int = COMPARED) -> None:
        super().__init__(world)
        self.agreed = agreed
        self.outcomes: dict[str, str] = {}
        self.shadow_extra: dict[str, Any] = {}
        self.shadows: dict[str, int] = {}  # by device: shadow windows sent

    def step(self) -> None:
        self.before_step()
        for device in self.world.devices.values():
            self._answer(device)
        self.world.hear(self.world.devices.values())
        self.world.now += WINDOW
        self.world.tick()
        self.observe(age=1)
        self.send(self._shadow_windows())

    def _answer(self, device: Device) -> None:
        order = self.world.ordered(device)
        if order is None:
            return
        outcome = "SUCCEEDED"
        if order["shadow"]:
            over = self.shadows.get(device.name, 0) >= SHADOW_WINDOWS
            outcome = self.outcomes.get(device.name, "SHADOWED" if over else "")
        device.take(order, outcome)
        if outcome == "SUCCEEDED" and order["shadow"]:
            device.models["digits"]["release"] = NEW

    def release_of(self, device: Device) -> int:
        """The live one; an order back is for the release before."""
        order = self.world.ordered(device)
        held = device.models["digits"]
        runs_new = held["outcome"] == "SUCCEEDED" and order and order["manifest"] == held["sha256"]
        return NEW if runs_new and held["sha256"] == self.new_manifest else 1

    @property
    def new_manifest(self) -> str:
        rollouts = list(self.world.state().rollouts.values())
        return rollouts[-1].created.releases["linux-cpu"].manifest if rollouts else ""

    def _shadow_windows(self) -> list[tuple[str, bytes]]:
        """Returns a window of each device that is in shadow."""
        found = []
        for device in self.world.devices.values():
            order = self.world.ordered(device)
            if order is None or not order["shadow"] or device.models["digits"]["outcome"]:
                continue
            number = self.shadows[device.name] = self.shadows.get(device.name, 0) + 1
            payload = json.dumps(self._shadow_document(device, number)).encode()
            found.append((topics.metrics(FLEET, device.name), payload))
        return found

    def _shadow_document(self, device: Device, number: int) -> dict[str, Any]:
        return {
            "boot": 1,
            "n": SHADOW_N + number,
            "install": "a" * 16,
            "model": "digits",
            "release": NEW,
            "window": self.numbers[device.name],
            "seconds": WINDOW - 5,
            "age_seconds": 1,
            "inferences": LABELS,
            "failures": 0,
            "labelled": 0,
            "correct": 0,
            "latency": {"bins": [5, 40, 50, 10], "log": 2_000_000 + int(device.name[1:])},
            "shadow": {"compared": COMPARED, "agreed": self.agreed},
        } | self.shadow_extra
