"""A simulated device: what it reports and measures, and what it makes of orders. Pure: time and
chance are arguments.

It has no model, and fetches none. It verifies an order's signature as a real one does, takes it if
its number is above the last one's, and reports what Behaviour says some seconds later. What it
measures of a release is made up (observing.py).
"""

import json
from random import Random
from typing import Any, NamedTuple

from modelwave_controller.load import observing
from modelwave_controller.load.gateway import Turns
from modelwave_controller.load.observing import NOTHING, Expected, Observing
from modelwave_shared import topics
from modelwave_shared.slots import slot
from modelwave_shared.version import VERSION
from modelwave_shared.words import READS, REJECTED, ROLLED_BACK, SIGNER, SUCCEEDED

FETCHING, IDLE = "fetching", "idle"
UNHEALTHY = "golden set: the simulation lets it fail"
NO_SHADOW = "shadow: a simulated device has no live model to compare with"
_FREE_BYTES = 10**8


class Behaviour(NamedTuple):
    """`update_seconds`: an update takes up to so long. `rolled_back`: the share of updates, 0 to 1,
    that end in ROLLED_BACK. `observing`: the windows that it sends. `turns`: of its gateway."""

    update_seconds: float
    rolled_back: float
    observing: Observing = NOTHING
    turns: Turns = Turns()


class SimulatedDevice:
    def __init__(
        self, fleet: str, name: str, target: str, model: str, boot: int, via: str = ""
    ) -> None:
        """`via`: the name of its gateway, if it has one."""
        self.fleet = fleet
        self.name = name
        self.target = target
        self.model = model
        self.boot = boot
        self.via = via
        self.n = 0
        self.window = 0
        self._runs: Expected | None = None  # the release that it runs
        self._held: dict[str, Any] = {
            "release": 0,
            "sha256": "",
            "state": IDLE,
            "epoch": 0,
            "seq": 0,
            "outcome": "",
            "reason": "",
        }

    @property
    def presence(self) -> str:
        return topics.presence(self.fleet, self.name)

    @property
    def reported(self) -> str:
        return topics.reported(self.fleet, self.name)

    @property
    def metrics(self) -> str:
        return topics.metrics(self.fleet, self.name)

    @property
    def retained(self) -> tuple[str, ...]:
        """The topics that the broker retains of it."""
        return (self.reported, self.presence)

    @property
    def number(self) -> tuple[int, int]:
        """The epoch and the number of its newest order."""
        return self._held["epoch"], self._held["seq"]

    def filters(self) -> list[str]:
        """Returns what an agent subscribes to."""
        fleet, name = self.fleet, self.name
        return [
            topics.root(fleet, 2),
            topics.desired_slot(fleet, self.target, self.model, slot(fleet, name)),
            topics.desired_all(fleet, self.target, self.model),
            topics.desired_device(fleet, name, self.model),
            topics.heartbeat(fleet, name),
            self.reported,
        ]

    def report(self) -> bytes:
        self.n += 1
        document = {
            "boot": self.boot,
            "n": self.n,
            "target": self.target,
            "agent": f"modelwave-simulated {VERSION}",
            "free": {"flash": _FREE_BYTES, "ram": _FREE_BYTES},
            "runtime": "tflite",
            "runtime_version": "2.14.0",
            "accelerator": "",
            "refused": "",
            "models": {self.model: self._held},
            "reads": {kind: READS[kind] for kind in SIGNER},
        }
        if self.via:
            document["extra"] = {"via": self.via}
        return json.dumps(document, separators=(",", ":")).encode()

    def observe(self, by: Observing) -> bytes:
        """Ends a window, and returns its document; empty while the device runs no release."""
        self.window += 1
        if self._runs is None:
            return b""
        self.n += 1
        found = observing.measured(self.name, self.window, self._runs, by)
        document = {"boot": self.boot, "n": self.n, "model": self.model} | found
        return json.dumps(document, separators=(",", ":")).encode()

    def runs(self, order: dict[str, Any]) -> bool:
        """Returns whether it runs the release of an order already."""
        return bool(self._held["sha256"] == order["manifest"])

    def begins(self, order: dict[str, Any]) -> bool:
        """Takes a verified order if it is for this device and newer than its last one. Returns
        whether it did; the device has to report then, and to end the update later."""
        number = order["epoch"], order["seq"]
        if order["model"] != self.model or order["target"] != self.target:
            return False
        if number <= self.number:
            return False
        epoch, seq = number
        told = {"state": FETCHING, "outcome": "", "reason": "", "epoch": epoch, "seq": seq}
        self._held |= told
        return True

    def end(
        self, order: dict[str, Any], manifest: dict[str, Any], behaviour: Behaviour, chance: Random
    ) -> str:
        """Ends the update of this order, and returns its outcome; "" if a newer order has taken its
        place."""
        number = order["epoch"], order["seq"]
        if self.number != number or self._held["state"] != FETCHING:
            return ""
        self._held["state"] = IDLE
        if order["shadow"]:
            self._held |= {"outcome": REJECTED, "reason": NO_SHADOW}
        elif not self.runs(order) and chance.random() < behaviour.rolled_back:
            self._held |= {"outcome": ROLLED_BACK, "reason": UNHEALTHY}
        else:
            runs = {"release": manifest["release"], "sha256": order["manifest"]}
            self._held |= {"outcome": SUCCEEDED} | runs
            self._runs = observing.expected(manifest)
        return str(self._held["outcome"])
