"""A rollout to which everything happens by chance, in any order: more than one that this program
leads would."""

import random

from rollout_world import FLEET, NO_RELEASE, Device, quick
from sqlalchemy import Connection

from modelwave_controller.rollout.events import (
    Body,
    Created,
    Opened,
    OpenedPart,
    OrderSent,
    Release,
    Reordered,
    Reported,
    Rest,
    Reverted,
    Unshadowed,
)
from modelwave_controller.rollout.slot_sets import EVERY_SLOT
from modelwave_controller.storage import forgetting, intake, log, messages
from modelwave_shared import topics
from modelwave_shared.slots import slot

TARGETS = ("rp2040", "esp32")
OUTCOMES = ("SUCCEEDED", "IN_PROGRESS", "DEFERRED", *("ROLLED_BACK", "REJECTED") * 2)
PARTS = ([0, 299], [300, 399], [400, 599], [600, 999])
RELEASES = {
    name: Release(release=2, version="v2", manifest="2" * 64, envelope="b" * 64) for name in TARGETS
}


class ChanceRollout:
    """A fleet and a rollout to which things happen by chance."""

    def __init__(self, connection: Connection, seed: int) -> None:
        self.connection = connection
        self.chance = random.Random(seed)
        self.fleet = [Device(f"d{number}", TARGETS[0]) for number in range(8)]
        self.numbers: list[int] = []  # of the orders
        self.stages, self.parts = 0, 0
        self.opening = self.is_back = False
        created = Created(
            model="digits",
            plan=quick(),
            releases=RELEASES,
            previous=RELEASES,
            seed=7,
        )
        self.append(created)

    def append(self, *bodies: Body) -> None:
        log.append(self.connection, 1, 10.0, bodies)

    def step(self) -> None:
        acts = [self.report, self.report, self.answer, self.answer, self.answer, self.answer]
        acts += [self.open, self.forget, self.order_alone, self.settle]
        if self.chance.random() < 0.1:
            acts = [self.turn]
        self.chance.choice(acts)()

    def report(self) -> None:
        device = self.chance.choice(self.fleet)
        device.target = self.chance.choice(TARGETS)
        names = self.chance.choice((["digits"], ["digits"], ["digits", "letters"], ["letters"]))
        device.models = {name: dict(NO_RELEASE) for name in names}
        device.says = {"reads": {"root": 1, "manifest": 1, "order": self.chance.choice((1, 2))}}
        topic = topics.reported(FLEET, device.name)
        message = messages.understand(FLEET, topic, device.report())
        assert message is not None
        intake.store(self.connection, FLEET, [message], 10.0)

    def forget(self) -> None:
        forgetting.forget(self.connection, self.chance.choice(self.fleet).name)

    def answer(self) -> None:
        if self.numbers:
            answers = [
                Reported(
                    device=self.chance.choice(self.fleet).name,
                    seq=self.chance.choice(self.numbers),
                    outcome=self.chance.choice(OUTCOMES),
                    reason="",
                )
                for _ in range(self.chance.randrange(1, 4))
            ]
            self.append(*answers)

    def open(self) -> None:
        if self.is_back or self.parts == len(PARTS):
            return
        orders = [self.order(target, [PARTS[self.parts]]) for target in TARGETS]
        rest = self.chance.choice((None, Rest(devices=1, due=0.0)))
        if self.opening:
            self.append(OpenedPart(stage=self.stages - 1, orders=orders, rest=rest))
        else:
            self.append(Opened(stage=self.stages, orders=orders, rest=rest))
            self.stages += 1
        self.parts, self.opening = self.parts + 1, rest is not None

    def order_alone(self) -> None:
        if self.stages:
            device = self.chance.choice(self.fleet)
            place = slot(FLEET, device.name)
            order = self.order(device.target, [[place, place]], device.name)
            stage = None if self.is_back else self.chance.randrange(self.stages)
            self.append(Reordered(stage=stage, orders=[order]))

    def settle(self) -> None:
        if self.stages and not self.opening:
            self.append(Reordered(settled=True, orders=[self.order(TARGETS[0], EVERY_SLOT)]))

    def turn(self) -> None:
        if not self.stages:
            return
        orders = [self.order(target, [[0, 499]]) for target in TARGETS]
        if self.chance.random() < 0.2:
            self.append(Unshadowed(orders=orders, cleared=[]))
        elif not self.is_back and self.parts == len(PARTS):
            self.append(Reverted(reason="", orders=orders, cleared=[]))
            self.is_back, self.opening = True, False

    def order(self, target: str, slots: list[list[int]], device: str = "") -> OrderSent:
        self.numbers.append(len(self.numbers) + 1)
        return OrderSent(
            target=target,
            seq=self.numbers[-1],
            release=RELEASES[target],
            slots=slots,
            known=1,
            device=device,
        )
