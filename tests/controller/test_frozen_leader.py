"""Tests that a leader that hung publishes nothing more until it has looked at the lease, and that
it looks at a wave again only when the broker has it."""

from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from one_step_leader import leading
from rollout_world import FLEET, World

from modelwave_controller.service import leader
from modelwave_controller.service.leader import SURE_SECONDS
from modelwave_controller.storage import lease, outbox
from modelwave_controller.storage.lease import LeaseLost
from modelwave_shared import topics

TOPICS = [topics.desired_slot(FLEET, "rp2040", "digits", slot) for slot in range(3)]


class Sent:
    """Stands in for the connection: takes messages, and may let time pass at each."""

    def __init__(self) -> None:
        self.topics: list[str] = []
        self.at_each: Callable[[], None] = lambda: None

    def on_their_way(self) -> set[str]:
        return set(self.topics)

    burst = staticmethod(nullcontext)

    def send(self, message: outbox.Message) -> None:
        self.topics.append(message.topic)
        self.at_each()


class Hanging:
    """What a service has while it leads, with orders for TOPICS due; it runs no threads."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.steady = 0.0
        self.sent = Sent()
        self.leading = leading(world, lambda: self.steady)
        with world.store.write() as connection:
            outbox.put(connection, TOPICS, b"an order")

    def publish(self) -> float:
        connection: Any = self.sent
        self.leading._send_due(connection)
        return 1.0

    def hang(self) -> None:
        self.steady += SURE_SECONDS + 0.1

    def be_replaced(self) -> None:
        with self.world.store.write() as connection:
            lease.take(connection, leader.identity(), self.world.now)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    with closing(World(tmp_path)) as world:
        yield Hanging(world)


def test_nothing_of_a_batch_is_sent_when_another_service_leads(hanging: Hanging) -> None:
    hanging.be_replaced()
    with pytest.raises(LeaseLost):
        hanging.publish()
    assert hanging.sent.topics == []


def test_one_that_hung_within_a_batch_and_was_replaced_sends_no_more_of_it(
    hanging: Hanging,
) -> None:
    def hang_and_be_replaced() -> None:
        hanging.hang()
        hanging.be_replaced()

    hanging.sent.at_each = hang_and_be_replaced
    hanging.publish()
    with pytest.raises(LeaseLost):
        hanging.publish()
    assert hanging.sent.topics == TOPICS[:1]


def test_one_that_hung_within_a_batch_and_still_leads_sends_the_rest(hanging: Hanging) -> None:
    hanging.sent.at_each = hanging.hang
    for number in range(1, len(TOPICS) + 1):
        hanging.publish()
        assert hanging.sent.topics == TOPICS[:number]


def test_nothing_is_decided_until_the_broker_has_what_was_decided_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(World(tmp_path, devices=4)) as world:
        world.tick()  # which looks at all devices once
        service, ticks = Hanging(world), []
        tick, connection = service.leading._tick, service.sent

        def noted(looks: bool) -> bool:
            ticks.append(tick(looks))
            return ticks[-1]

        monkeypatch.setattr(service.leading, "_tick", noted)
        monkeypatch.setattr(service.leading, "_publish", service.publish)
        monkeypatch.setattr(service.leading.link, "current", connection)
        world.start(1)
        service.leading._ticks(looks=True)
        assert ticks == [True]
        assert not service.leading._goes_on()
        connection.topics.clear()  # the broker has acknowledged them
        assert service.leading._goes_on()
        world.acknowledge()
        service.leading._ticks(looks=False)
        assert ticks[1:] == [True, False]  # notes that the wave's clocks run
        assert not service.leading._goes_on()
