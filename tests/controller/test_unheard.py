"""A broker that keeps back what it cannot queue: the service reads it by name, and says so. So it
does with what came and had no place."""

from contextlib import closing
from pathlib import Path

import paho.mqtt.subscribe as subscribe
import pytest
from rollout_world import FLEET, Device, World
from simulated_fleet import HAS_MOSQUITTO, SimulatedFleet, mosquitto, poll
from tests.tools import MOSQUITTO_MISSING

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.link import ServiceLink
from modelwave_controller.service.unheard import BATCH, Unheard
from modelwave_controller.service.writer import MESSAGE_BYTES, Inbox
from modelwave_shared import topics

needs_mosquitto = pytest.mark.skipif(not HAS_MOSQUITTO, reason=MOSQUITTO_MISSING)
DEVICES = 3 * BATCH
QUEUED = 50  # messages that the broker queues


@needs_mosquitto
@pytest.mark.parametrize("queued", [QUEUED, 2 * DEVICES])
def test_reports_that_the_broker_kept_back_are_read_by_name_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, queued: int
) -> None:
    devices = [Device(f"d{number}") for number in range(DEVICES)]
    heard: set[str] = set()
    reported = {topics.reported(FLEET, device.name) for device in devices}
    with (
        mosquitto(tmp_path, queued=queued) as port,
        closing(World(tmp_path)) as world,
        closing(SimulatedFleet(port, devices, lambda *_: "")),
    ):
        world.hear(devices)
        subscribe.simple(topics.reported(FLEET, devices[-1].name), port=port)
        link = ServiceLink(
            ServiceBroker("127.0.0.1", port),
            FLEET,
            lambda topic, _: heard.add(topic),
            lambda: None,
            heard=(topics.reported,),
            notes_heard=True,
        )
        link.start()
        poll(lambda: link.current is not None and len(heard) >= min(queued, DEVICES))
        connection = link.current
        assert connection is not None
        assert connection.heard is not None
        unheard = Unheard(FLEET, lambda: None)

        def is_over() -> bool:
            unheard.step(world.store, connection, looked=True)
            assert connection.heard is not None
            return connection.heard.is_over

        poll(is_over)
        link.stop()
    assert heard >= reported
    assert ("kept back" in caplog.text) == (queued < DEVICES)
    assert ("`modelwave broker check` tells" in caplog.text) == (queued < DEVICES)


@needs_mosquitto
def test_reports_that_had_no_place_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(Device("d0").report()) + MESSAGE_BYTES
    monkeypatch.setattr("modelwave_controller.service.writer.MAX_INBOX_BYTES", 2 * BATCH * size)
    devices = [Device(f"d{number}") for number in range(DEVICES)]
    reported = {topics.reported(FLEET, device.name) for device in devices}
    with (
        mosquitto(tmp_path) as port,
        closing(World(tmp_path)) as world,
        closing(SimulatedFleet(port, devices, lambda *_: "")),
    ):
        subscribe.simple(topics.reported(FLEET, devices[-1].name), port=port)
        inbox = Inbox()
        link = ServiceLink(
            ServiceBroker("127.0.0.1", port),
            FLEET,
            inbox.put,
            lambda: None,
            heard=(topics.reported,),
            notes_heard=True,
        )
        link.start()
        poll(lambda: inbox.counts["received"] >= DEVICES)
        assert inbox.counts["dropped"]
        connection = link.current
        assert connection is not None
        unheard = Unheard(FLEET, lambda: None, dropped=inbox.take_dropped)
        stored: set[str] = set()

        def all_are_stored() -> bool:
            stored.update(topic for topic, _ in inbox.take(1000, 0))
            unheard.step(world.store, connection, looked=True)
            return stored >= reported

        poll(all_are_stored)
        assert inbox.take_dropped(1) == []
        link.stop()
