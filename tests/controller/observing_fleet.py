"""A fleet that observes: devices that measure the release that they run, window after window."""

import json
import random
from collections.abc import Callable, Iterable
from typing import Any

from tests.controller.rollout_world import FLEET, TARGET, Device, World, newest, quick

from modelwave_controller.rollout.plan import Plan, make_plan
from modelwave_controller.rollout.state import FINAL, FINISHED, HELD, Rollout
from modelwave_shared import topics

OLD, NEW = 1, 2  # releases
WINDOW = 60  # seconds
SOAK_WINDOWS = 8
LABELS = 100


def judging(*gates: str, stages: Iterable[float] = (6, 20, 50, 100), **changes: Any) -> Plan:
    """A plan for 50 devices, of whom 3, 10 and 25 are canaries."""
    soak, judge = SOAK_WINDOWS * WINDOW, {"window_seconds": WINDOW, "grace_seconds": 10}
    rows = [{"percent": p, "soak_seconds": soak, "deadline_seconds": 86400} for p in stages]
    rows[-1]["soak_seconds"] = 0
    rows[-1]["gates"] = []
    settings = {"stages": rows, "trial": {"seconds": 1}, "judge": judge | changes.pop("judge", {})}
    return make_plan(settings | ({"gates": list(gates)} if gates else {}) | changes)


class ObservingFleet:
    """`worse` is by how much the new release is worse; `silent`: who runs it sends nothing. What a
    device measures depends on the device, the window and the release alone."""

    def __init__(self, world: World, worse: float = 0.0, seed: int = 1) -> None:
        self.world = world
        self.worse = worse
        self.seed = seed
        self.worse_target = ""  # only there; "": in all
        self.targets = (TARGET,)
        self.plan = judging()
        self.silent = False
        self.idle: set[str] = set()  # who does not take the new release
        self.numbers = dict.fromkeys(world.devices, 0)
        self.sent: list[tuple[str, bytes]] = []
        self.arrange: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]] = list
        self.before_step: Callable[[], None] = lambda: None
        self.extra: Callable[[int], dict[str, Any]] = lambda release: {}
        self.signed: dict[str, Any] = {}  # what the new release's manifest has beside, or instead
        self.old_seq = 0  # of the order that has brought the old release

    def begin(self, plan: Plan, before: int = 16) -> Rollout:
        self.world.tick()
        for window in range(before, 0, -1):
            self.observe(age=(window - 1) * WINDOW + 1)
        self.world.start(NEW, plan, self.targets, **self.signed)
        self.world.tick()
        return newest(self.world)

    def bring_old(self, **signed: Any) -> None:
        """Brings the old release to all devices, by a rollout that finishes."""
        self.world.tick()
        self.world.start(OLD, quick(100), self.targets, **signed)
        self.world.tick()
        self.world.answer("SUCCEEDED", self.world.devices.values())
        self.world.tick()
        assert newest(self.world).status == FINISHED
        orders = (self.world.ordered(device) for device in self.world.devices.values())
        self.old_seq = max(order["seq"] for order in orders if order)

    def run(self, windows: int = 60) -> Rollout:
        """Lets time pass until the rollout is over or held, or so many windows have."""
        for _ in range(windows):
            self.step()
            found = newest(self.world)
            if found.status in (HELD, *FINAL) or found.back:
                return found
        return newest(self.world)

    def step(self) -> None:
        self.before_step()
        self.world.answer(
            "SUCCEEDED", [d for d in self.world.devices.values() if d.name not in self.idle]
        )
        self.world.now += WINDOW
        self.world.tick()
        self.observe(age=1)

    def observe(self, age: int) -> None:
        """Each device sends a window that ended `age` seconds ago."""
        messages = []
        for device in self.world.devices.values():
            release = self.release_of(device)
            if self.silent and release == NEW:
                continue
            self.numbers[device.name] += 1
            payload = json.dumps(self.document(device, release, age)).encode()
            messages.append((topics.metrics(FLEET, device.name), payload))
        self.sent = messages
        self.send(self.arrange(messages))

    def send(self, messages: Iterable[tuple[str, bytes]]) -> None:
        for topic, payload in messages:
            self.world.inbox.put(topic, payload)
        self.world.hear([])

    def release_of(self, device: Device) -> int:
        held = device.models["digits"]
        return NEW if held["outcome"] == "SUCCEEDED" and held["seq"] > self.old_seq else OLD

    def document(self, device: Device, release: int, age: int) -> dict[str, Any]:
        number = self.numbers[device.name]
        skill = random.Random(f"{self.seed} {device.name}").gauss(0.9, 0.05)
        if release == NEW and self.worse_target in ("", device.target):
            skill -= self.worse
        chance = random.Random(f"{self.seed} {device.name} {number}")
        return {
            "boot": 1,
            "n": number,
            "install": "a" * 16,
            "model": "digits",
            "release": release,
            "window": number,
            "seconds": WINDOW - 5,
            "age_seconds": age,
            "inferences": LABELS,
            "failures": 0,
            "labelled": LABELS,
            "correct": _correct(chance, skill),
        } | self.extra(release)


def _correct(chance: random.Random, skill: float) -> int:
    """How many of LABELS are correct; the normal distribution is close enough to the binomial."""
    share = min(max(skill, 0.0), 1.0)
    drawn = chance.gauss(LABELS * share, (LABELS * share * (1 - share)) ** 0.5)
    return min(max(round(drawn), 0), LABELS)
