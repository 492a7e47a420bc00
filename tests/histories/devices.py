"""The fleet's devices: they install what they are ordered, answer, and measure. What happens to a
message on its way is what MQTT allows: messages of different topics change places, those of one
topic keep their order, and the last ones may come again.
"""

import functools
import json
from collections import defaultdict
from random import Random
from typing import Any

from modelwave_shared import documents, dsse, slots, topics, words
from tests.controller.observing_fleet import WINDOW, ObservingFleet
from tests.controller.rollout_world import FLEET, TARGET, Device
from tests.histories.broker import Broker, Troubles
from tests.histories.clock import Clock

TRIAL_SECONDS = 5
SPREAD_SECONDS = 12  # in which all devices send something: a batch costs real time
TRAVEL_SECONDS = 5.0  # at most; below the grace of the plans
AGAIN_SECONDS = 120  # after which a device repeats its report
REPEATED = 0.15  # of the messages come again, with those of the topic before them
MOST_REPEATED = 3


class Network:
    """Brings devices' messages to the broker, and from there to the service."""

    def __init__(self, broker: Broker, random: Random, troubles: Troubles) -> None:
        self.broker, self.clock, self.random, self.troubles = broker, broker.clock, random, troubles
        self._last: dict[str, float] = {}  # by topic: when its last message arrives
        self._came: dict[str, list[bytes]] = defaultdict(list)

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        travels = self.random.uniform(0, TRAVEL_SECONDS) if self.troubles.permutes else 0.0
        arrives = max(self.clock.now + travels, self._last.get(topic, 0.0))
        self._last[topic] = arrives
        self.clock.later(arrives - self.clock.now, lambda: self._arrive(topic, payload, retain))

    def _arrive(self, topic: str, payload: bytes, retain: bool) -> None:
        came = self._came[topic]
        came.append(payload)
        del came[:-MOST_REPEATED]
        self.broker.publish(topic, payload, retain)
        if self.troubles.repeats and self.random.random() < REPEATED:
            again = came[-self.random.randint(1, len(came)) :]
            self.clock.later(self.random.uniform(0, 2), lambda: self._repeat(topic, again))

    def _repeat(self, topic: str, again: list[bytes]) -> None:
        """The broker had no acknowledgement of the service, and sends these again in their
        order."""
        for payload in again:
            self.broker.forward(topic, payload)


class Fleet:
    """The devices. `refuses`: (device, manifest): the outcome in place of SUCCEEDED. `worse`: of
    whoever runs the new release `new`, by how much."""

    def __init__(
        self,
        devices: list["SimulatedDevice"],
        network: Network,
        observing: ObservingFleet,
        releases: dict[str, int],
        refuses: dict[str, str],
    ) -> None:
        self.devices = devices
        self.network = network
        self.observing = observing
        self.releases = releases  # by the sha256 of their manifests: their numbers
        self.refuses = refuses  # by device: how the new release ends there
        self._by_topic: dict[str, list[SimulatedDevice]] = defaultdict(list)
        network.broker.deliver = self._deliver
        for device in devices:
            for topic in device.topics:
                self._by_topic[topic].append(device)
            device.begin(self)

    def _deliver(self, topic: str, payload: bytes) -> None:
        random, clock = self.network.random, self.network.clock
        for device in self._by_topic.get(topic, ()):
            is_twice = self.network.troubles.repeats and random.random() < REPEATED
            for _ in range(1 + is_twice):
                receive = functools.partial(device.receive, payload)
                clock.later(random.uniform(0, TRAVEL_SECONDS), receive)


class SimulatedDevice:
    """A device that stays connected. `runs` is the release that is live there."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.name = device.name
        self.slot = slots.slot(FLEET, device.name)
        self.fleet: Fleet
        self.outcomes: list[tuple[int, str]] = []  # that it reported, by the number of its order

    @property
    def topics(self) -> tuple[str, ...]:
        return (
            topics.desired_slot(FLEET, TARGET, "digits", self.slot),
            topics.desired_all(FLEET, TARGET, "digits"),
            topics.desired_device(FLEET, self.name, "digits"),
        )

    @property
    def runs(self) -> str:
        """The sha256 of the manifest of the live release."""
        return str(self.device.models["digits"]["sha256"])

    def begin(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.clock: Clock = fleet.network.clock
        self.clock.later(self.slot % SPREAD_SECONDS, self._observe)
        self.clock.later(self.slot % SPREAD_SECONDS, self._repeat)

    def receive(self, payload: bytes) -> None:
        order = read_order(payload)
        held = self.device.models["digits"]
        if order["seq"] <= held["seq"]:
            return
        if order["manifest"] == self.runs:
            self._answer(order, words.SUCCEEDED)
            return
        self._answer(order, "")
        self.clock.later(TRIAL_SECONDS, lambda: self._end_trial(order))

    def _end_trial(self, order: dict[str, Any]) -> None:
        if self.device.models["digits"]["seq"] == order["seq"]:  # no newer one came meanwhile
            is_new = self.fleet.releases[order["manifest"]] > 1
            refused = self.fleet.refuses.get(self.name) if is_new else None
            self._answer(order, refused or words.SUCCEEDED)

    def _answer(self, order: dict[str, Any], outcome: str) -> None:
        self.device.take(order, outcome)
        if outcome:
            self.outcomes.append((order["seq"], outcome))
        held = self.device.models["digits"]
        held["release"] = self.fleet.releases[held["sha256"]]
        self._report()

    def _report(self) -> None:
        self.fleet.network.publish(topics.reported(FLEET, self.name), self.device.report(), True)

    def _repeat(self) -> None:
        self._report()
        self.clock.later(AGAIN_SECONDS, self._repeat)

    def _observe(self) -> None:
        """A window ends: of the release that is live, perhaps since a moment ago."""
        self.clock.later(WINDOW, self._observe)
        observing = self.fleet.observing
        observing.numbers[self.name] += 1
        document = observing.document(self.device, self.fleet.releases[self.runs], 1)
        payload = json.dumps(document).encode()
        self.fleet.network.publish(topics.metrics(FLEET, self.name), payload, False)


@functools.lru_cache(1000)
def read_order(payload: bytes) -> dict[str, Any]:
    """Returns the order in a message on a desired topic."""
    envelope = dsse.read(payload.split(b"\n")[0])
    order: dict[str, Any] = documents.read(words.ORDER, envelope.payload)
    return order
