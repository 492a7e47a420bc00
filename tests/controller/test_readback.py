"""Tests that what the broker retains is compared with the outbox, and repaired."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from broker_hosts import embedded
from paho.mqtt.enums import CallbackAPIVersion
from reading_back import Broker, Reading
from rollout_world import FLEET, World, newest, quick
from simulated_fleet import DEADLINE_SECONDS, any_broker, poll, retained_orders

from modelwave_controller.broker.messages import Retained
from modelwave_controller.service import leading, readback
from modelwave_controller.service.leading import Leading
from modelwave_controller.service.readback import ReadBack
from modelwave_controller.service.serve import Service
from modelwave_controller.storage import outbox
from modelwave_controller.storage.outbox import Message
from modelwave_controller.storage.store import Store
from modelwave_shared import topics

ORDER = topics.desired_slot(FLEET, "linux-cpu", "digits", 7)
OTHER = topics.desired_slot(FLEET, "linux-cpu", "digits", 8)
ROOT = topics.under(FLEET, "root", "1")
ROOT_DOCUMENT = {"fleet": FLEET, "epoch": 0}  # where no order is signed


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reading]:
    monkeypatch.setattr(readback.time, "monotonic", lambda: Reading.clock)
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        made = Reading(store, Broker(), ROOT_DOCUMENT)
        made.hold(ORDER, b"order 1")
        made.hold(ROOT, b"root")
        made.publish()
        made.look()
        yield made


def test_a_broker_that_has_everything_is_sent_nothing(reading: Reading) -> None:
    assert reading.look() == []
    assert reading.live() == []
    assert reading.readback.counts["missing"] == 0


def test_what_is_missing_at_a_look_is_published_again(
    reading: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    reading.broker.retained.clear()
    assert reading.look() == [ORDER, ROOT]
    assert "lost or changed 2 retained messages (2 missing)" in caplog.text
    assert len(caplog.records) == 1
    assert reading.look() == []


def test_what_others_clear_or_replace_is_published_again_at_once(reading: Reading) -> None:
    reading.broker.send(Message(ORDER, 0, b""))
    assert reading.live() == [ORDER]
    reading.broker.send(Message(ORDER, 0, b"an older order"))
    assert reading.live() == [ORDER]
    assert reading.broker.retained[ORDER] == b"order 1"
    assert reading.live() == []


def test_an_order_that_is_unknown_or_was_withdrawn_is_cleared(reading: Reading) -> None:
    reading.hold(ORDER, b"")
    reading.publish()
    reading.look()
    reading.broker.retained |= {ORDER: b"restored", OTHER: b"of another database"}
    reading.look()
    assert (reading.broker.retained[ORDER], reading.broker.retained[OTHER]) == (b"", b"")
    assert reading.look() == []


def test_a_root_document_that_is_unknown_stays(reading: Reading) -> None:
    older = topics.under(FLEET, "root", "0")
    reading.broker.retained[older] = b"the root before"
    reading.look()
    assert reading.broker.retained[older] == b"the root before"


def test_an_echo_of_an_older_version_is_no_difference(reading: Reading) -> None:
    reading.hold(ORDER, b"order 2")
    reading.publish()
    reading.hold(ORDER, b"order 3")
    reading.publish()
    first, *rest = reading.broker.waiting
    reading.broker.waiting = [first]
    reading.deliver()
    Reading.clock += readback.PAUSE_SECONDS
    reading.step()
    reading.broker.waiting = rest + reading.broker.waiting  # the probe comes last
    reading.deliver()
    reading.step()
    assert reading.publish() == []
    assert reading.readback.counts["changed"] == 0


def test_what_is_sent_during_a_look_is_left_for_the_next(reading: Reading) -> None:
    """The echo may arrive after that of the probe: a broker may acknowledge before it delivers."""
    reading.hold(ORDER, b"order 2")
    Reading.clock += readback.READ_ALL_SECONDS
    reading.step()
    reading.deliver()  # the old order, and the probe
    assert reading.publish() == [ORDER]
    reading.step()
    assert reading.publish() == []
    assert reading.live() == []


def test_a_message_that_is_due_is_not_published_twice(reading: Reading) -> None:
    reading.hold(OTHER, b"new")
    Reading.clock += readback.READ_ALL_SECONDS
    reading.step()
    reading.deliver()
    reading.step()
    assert reading.readback.counts["missing"] == 0
    assert reading.publish() == [OTHER]


def test_two_that_overwrite_each_other_do_so_once_a_second_at_most(reading: Reading) -> None:
    published = 0
    for _ in range(20):
        reading.broker.send(Message(ORDER, 0, b"of the other"))
        for _ in range(3):
            reading.deliver()
            reading.step()
        published += len(reading.publish())
        Reading.clock += readback.PAUSE_SECONDS / 10
    assert published <= 3


def test_differences_beyond_the_bound_wait_for_the_next_look(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readback, "MAX_NEWS", 2)
    strange = {topics.desired_slot(FLEET, "linux-cpu", "x", n): b"x" for n in range(5)}
    reading.broker.retained |= strange
    cleared = []
    for _ in range(3):
        reading.look()
        cleared.append(sum(reading.broker.retained[topic] == b"" for topic in strange))
    assert cleared == [2, 4, 5]


def test_without_the_right_to_read_everything_is_published_on_connect_and_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(readback.time, "monotonic", lambda: Reading.clock)
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        made = Reading(store, Broker(grants=False), ROOT_DOCUMENT)
        made.broker.deaf = True
        made.hold(ORDER, b"order")
        assert made.publish() == [ORDER]
        assert made.look() == [ORDER]
        assert made.look() == made.look() == []
    (said,) = caplog.records
    assert "the broker refuses): allow the controller to read desired/#" in said.getMessage()


def test_a_broker_that_refuses_for_a_while_is_asked_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a cluster does that has lost a node."""
    caplog.set_level("INFO")
    monkeypatch.setattr(readback.time, "monotonic", lambda: Reading.clock)
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        made = Reading(store, Broker(grants=False), ROOT_DOCUMENT)
        made.hold(ORDER, b"order")
        made.look()
        assert made.step() == readback.REFUSED_SECONDS
        made.look()
        assert made.step() == 2 * readback.REFUSED_SECONDS
        made.broker.grants = True
        made.look()
        assert made.step() == readback.READ_ALL_SECONDS
    assert "retained messages are read back again" in caplog.text


def test_a_broker_that_grants_and_delivers_nothing_is_not_sent_everything_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As Mosquitto does where its ACL allows no reading."""
    monkeypatch.setattr(readback.time, "monotonic", lambda: Reading.clock)
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        made = Reading(store, Broker(), ROOT_DOCUMENT)
        made.hold(ORDER, b"order")
        made.publish()
        made.broker.subscribe = lambda _filters, then: setattr(made.broker, "then", then)
        made.broker.send = lambda message: made.broker.sent.append(message)
        made.broker.waiting.clear()
        assert made.look() == [ORDER]
        assert made.look() == made.look() == []
    assert caplog.text.count("none of them arrives") == 1


def test_a_probe_that_does_not_come_back_is_given_up(
    reading: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    reading.broker.deaf = True
    Reading.clock += readback.READ_ALL_SECONDS
    reading.step()
    Reading.clock += readback.QUIET_SECONDS + 1
    reading.step()
    assert "no answer arrives" in caplog.text
    reading.broker.deaf = False
    reading.broker.waiting.clear()
    reading.broker.retained.clear()
    assert reading.look() == [ORDER, ROOT]
    assert "read back again" in caplog.text


def unanswered(reading: Reading, pause: float) -> None:
    """A look whose probe does not come back, after a pause."""
    Reading.clock += pause
    reading.step()
    Reading.clock += readback.QUIET_SECONDS + 1
    reading.step()


def late(reading: Reading, pause: float) -> None:
    """The same, while devices' reports come."""
    Reading.clock += pause
    reading.step()
    Reading.clock += readback.QUIET_SECONDS + 1
    reading.readback.heard()
    reading.step()


def test_a_connection_that_brings_reports_before_the_probe_is_not_left(reading: Reading) -> None:
    """A whole fleet that has come back at once may take minutes."""
    reading.broker.deaf = True
    for _ in range(4):
        late(reading, readback.READ_ALL_SECONDS)
    assert reading.broker.left == 0
    unanswered(reading, readback.READ_ALL_SECONDS)
    assert reading.broker.left == 1


def test_a_probe_behind_reports_does_not_let_everything_be_read_again_soon(
    reading: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker would put all orders behind the reports each time."""
    before = reading.broker.subscribed
    reading.broker.deaf = True
    late(reading, readback.READ_ALL_SECONDS)
    late(reading, readback.REFUSED_SECONDS)
    assert reading.broker.subscribed == before + 1
    assert "the reports of devices come before it" in caplog.text
    assert "allow the controller" not in caplog.text


def test_the_first_look_waits_while_the_retained_reports_of_a_large_fleet_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe is behind them. If it were given up, all reports that are on their way would count
    as kept back, and be asked for one by one."""
    monkeypatch.setattr(readback.time, "monotonic", lambda: Reading.clock)
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        made = Reading(store, Broker(), ROOT_DOCUMENT)
        made.step()
        for _ in range(10):
            Reading.clock += readback.QUIET_SECONDS - 1
            made.broker.retained_messages += 1
            assert made.step() >= 1
        assert not made.readback.has_looked
        made.deliver()
        made.step()
        assert made.readback.has_looked


def test_a_broker_that_marks_everything_as_retained_keeps_no_look_open_for_ever(
    reading: Reading,
) -> None:
    reading.broker.deaf = True
    Reading.clock += readback.READ_ALL_SECONDS
    looks = reading.readback.counts["looks"]
    reading.step()
    assert reading.readback.counts["looks"] == looks + 1
    for _ in range(readback.LONGEST_SECONDS // 20 + 3):
        Reading.clock += 20
        reading.broker.retained_messages += 1
        reading.step()
    assert reading.readback.counts["looks"] > looks + 1


def test_a_connection_whose_probes_have_come_back_and_do_not_any_more_is_left(
    reading: Reading,
) -> None:
    reading.broker.deaf = True
    unanswered(reading, readback.READ_ALL_SECONDS)
    assert reading.broker.left == 0
    unanswered(reading, readback.REFUSED_SECONDS)
    assert reading.broker.left == 1


def test_one_probe_that_does_not_come_back_is_no_reason_to_leave(reading: Reading) -> None:
    for _ in range(3):
        reading.broker.deaf = True
        unanswered(reading, readback.READ_ALL_SECONDS)
        reading.broker.deaf = False
        reading.broker.waiting.clear()
        reading.look()
    assert reading.broker.left == 0


def test_a_broker_that_lets_no_probe_come_back_is_used(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        reading = Reading(store, Broker(), ROOT_DOCUMENT)
        reading.broker.deaf = True
        for _ in range(4):
            unanswered(reading, readback.READ_ALL_SECONDS)
        assert reading.broker.left == 0


# With a service and a broker.


@contextmanager
def leading_service(world: World) -> Iterator[list[ReadBack]]:
    """A service that runs; yields the ReadBack of each time that it leads."""
    made: list[ReadBack] = []
    store = Store(world.home.database_url)
    service = Service(world.home, store, tick_seconds=0.05)
    with pytest.MonkeyPatch.context() as patched:
        started = Leading.run

        def run(self: Leading) -> None:
            made.append(self.readback)
            started(self)

        patched.setattr(leading.Leading, "run", run)
        thread = threading.Thread(target=lambda: asyncio.run(service.run(lambda _: None)))
        thread.start()
        try:
            yield made
        finally:
            service.stop()
            thread.join()
            store.close()


def publish(port: int, messages: dict[str, bytes]) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for info in [client.publish(t, p, qos=1, retain=True) for t, p in messages.items()]:
        info.wait_for_publish(DEADLINE_SECONDS)
    client.disconnect()
    client.loop_stop()


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readback, "PAUSE_SECONDS", 0.05)


def acknowledged(world: World) -> bool:
    with world.store.read() as connection:
        return outbox.left(connection) == 0 and len(newest(world).stages) == 1


@pytest.mark.e2e
@pytest.mark.usefixtures("short_pauses")
def test_orders_that_a_broker_loses_while_the_controller_is_connected_come_back(
    tmp_path: Path,
) -> None:
    with (
        any_broker(tmp_path) as port,
        closing(World(tmp_path, devices=5, broker_port=port)) as world,
        leading_service(world) as made,
    ):
        world.start(1, quick(50, 100))
        poll(lambda: acknowledged(world))
        before = retained_orders(port)
        assert sum(made[0].counts.values()) == made[0].counts["looks"], "nothing was repaired"
        publish(port, dict.fromkeys(before, b""))
        poll(lambda: retained_orders(port) == before)
        oldest = dict.fromkeys(list(before)[:3], b"something\nolder")
        publish(port, oldest)
        poll(lambda: made[0].counts["changed"] >= len(oldest) and acknowledged(world))
        assert retained_orders(port) == before
        assert len(made) == 1


@pytest.mark.e2e
@pytest.mark.usefixtures("short_pauses")
def test_orders_that_vanish_from_a_broker_without_a_word_come_back_with_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a failover behind a balancer, which keeps the connection open."""
    monkeypatch.setattr(readback, "READ_ALL_SECONDS", 0.1)
    monkeypatch.setattr(readback, "TOPICS_PER_SECOND", 10**6)
    with (
        embedded() as host,
        closing(World(tmp_path, devices=5, broker_port=host.port)) as world,
        leading_service(world) as made,
    ):
        world.start(1, quick(50, 100))
        poll(lambda: acknowledged(world))
        before = retained_orders(host.port)

        async def lose() -> None:
            host.broker.retained = Retained()

        host.call(lose())
        poll(lambda: made[0].counts["missing"] > 0 and acknowledged(world))
        poll(lambda: retained_orders(host.port) == before)
