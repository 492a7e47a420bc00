"""The broker holds newer orders of the fleet than the database knows: they win over the older ones
of its outbox, it is said, and `recover` leads past them."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from reading_back import Broker, Reading
from rollout_commands import Run
from rollout_world import FLEET, Device, World, newest, order_in, quick, seen
from sqlalchemy import select

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import overview, recover, rollouts
from modelwave_controller.operations.recover import MARGIN
from modelwave_controller.rollout import slot_sets
from modelwave_controller.rollout.events import FoundNewer
from modelwave_controller.rollout.state import FINISHED, NEW
from modelwave_controller.service import readback
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import log, outbox, tables
from modelwave_controller.storage.outbox import Message
from modelwave_controller.storage.store import Store
from modelwave_controller.trust import keys
from modelwave_shared import topics, words
from modelwave_shared.slots import slot

ALL = topics.desired_all(FLEET, "linux-cpu", "digits")


class Site:
    """A world whose orders go to a broker, by a service's comparison with what that holds."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.acknowledges = False
        self.reading = self._reading(Broker())

    def _reading(self, broker: Broker) -> Reading:
        return Reading(self.world.store, broker, self.world.home.root_document)

    @property
    def retained(self) -> dict[str, bytes]:
        return {t: p for t, p in self.reading.broker.retained.items() if p}

    @property
    def numbers(self) -> dict[str, int]:
        """{topic: number of its order}."""
        return {
            topic: order_in(payload)["seq"]
            for topic, payload in self.retained.items()
            if payload.startswith(b"{")
        }

    def run(self, times: int = 4) -> None:
        """The service ticks and publishes, and the devices take their orders."""
        for _ in range(times):
            self.world.tick()
            self.reading.look()
            for device in self.world.devices.values():
                self.obey(device)

    def obey(self, device: Device) -> None:
        """The device takes the newest order for it at the broker, if it may."""
        read = [
            ALL,
            topics.desired_slot(FLEET, device.target, "digits", slot(FLEET, device.name)),
            topics.desired_device(FLEET, device.name, "digits"),
        ]
        orders = [order_in(self.retained[topic]) for topic in read if topic in self.retained]
        newer = [order for order in orders if order["seq"] > device.models["digits"]["seq"]]
        if newer:
            device.take(max(newer, key=lambda order: int(order["seq"])), "SUCCEEDED")
            self.world.hear([device])

    def roll_out(self, release: int) -> None:
        self.world.start(release, quick(100))
        self.run()
        assert newest(self.world).status == FINISHED, seen(self.world)

    def copy(self, to: Path) -> Path:
        self.world.store.close()  # which leaves one file
        shutil.copyfile(self.world.home.path / "modelwave.db", to / "copy.db")
        self._open()
        return to / "copy.db"

    def put_back(self, copy: Path | None) -> None:
        """Puts a copy of the database in its place, and tells nobody; None: an empty one."""
        self.world.store.close()
        for file in self.world.home.path.glob("modelwave.db*"):
            file.unlink()
        if copy:
            shutil.copyfile(copy, self.world.home.path / "modelwave.db")
        self._open()

    def _open(self) -> None:
        world = self.world
        world.store = Store(world.home.database_url)
        world.ticker = Ticker(world.store, world.issuer)
        world.writer.store = world.store
        world._ticked = None
        self.reading = self._reading(self.reading.broker)

    def hear_all(self) -> None:
        self.world.hear(self.world.devices.values())

    def signed(self, **changes: Any) -> bytes:
        """A message with an order of our key, with these fields; None: without the field."""
        order = order_in(self.retained[ALL]) | changes
        payload = keys.canonical({k: v for k, v in order.items() if v is not None})
        return keys.sign(words.ORDER, payload, [self.world.issuer.key]) + b"\n{}"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(readback.time, "monotonic", lambda: Reading.clock)
    with closing(World(tmp_path, devices=3)) as world:
        world.shelve(1)
        world.shelve(2)
        yield Site(world)


@pytest.fixture
def world(site: Site) -> World:
    return site.world


def order_numbers(world: World) -> list[int]:
    with world.store.read() as connection:
        return list(connection.scalars(select(tables.orders.c.seq)))


def found(world: World) -> list[int]:
    """The numbers that were noted as newer."""
    with world.store.read() as connection:
        bodies = [event.body for event in log.events_after(connection)]
    return [body.seq for body in bodies if isinstance(body, FoundNewer)]


# A database that was put back.


def test_an_older_outbox_does_not_win_over_newer_orders_at_the_broker(
    site: Site, tmp_path: Path
) -> None:
    site.roll_out(1)
    copy = site.copy(tmp_path)
    site.roll_out(2)
    before = dict(site.retained)
    site.put_back(copy)
    site.run()
    assert site.retained == before
    assert found(site.world) == [site.numbers[ALL]]


def test_messages_that_were_due_in_the_backup_do_not_win_either(site: Site, tmp_path: Path) -> None:
    site.roll_out(1)
    with site.world.store.write() as connection:
        outbox.unsend_all(connection, FLEET)
    copy = site.copy(tmp_path)
    site.roll_out(2)
    before = dict(site.retained)
    site.put_back(copy)
    site.run()
    assert site.retained == before


def test_orders_that_a_lost_database_does_not_know_are_not_cleared(site: Site) -> None:
    site.roll_out(1)
    before = dict(site.retained)
    site.put_back(None)
    site.hear_all()
    site.run()
    assert site.retained == before
    recover.recover(site.world.store, "digits", 0, None, site.world.now)
    site.run()
    assert site.retained == before, "they stay until something newer takes their place"


def test_orders_that_are_missing_are_not_published_in_their_older_form(
    site: Site, tmp_path: Path
) -> None:
    site.world.start(1, quick(34, 100))
    site.run(1)
    site.world.tick()
    site.reading.look()
    slots = {topic for topic in site.retained if topic != ALL and "/desired/" in topic}
    assert slots
    copy = site.copy(tmp_path)
    site.run()
    assert ALL in site.retained
    assert not slots & site.retained.keys()
    site.put_back(copy)
    site.run(1)
    assert not slots & site.retained.keys()


def test_it_is_said_and_a_rollout_waits_with_the_reason(
    site: Site, tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    world = site.world
    site.roll_out(1)
    world.start(2, quick(100))
    copy = site.copy(tmp_path)
    site.run()
    number = site.numbers[ALL]
    site.put_back(copy)
    world.ticker._journal.begin(world.store)
    site.reading.look()
    numbers = order_numbers(world)
    site.run()
    assert order_numbers(world) == numbers, "no number is burnt"
    told = f"the broker holds orders of digits up to {number} that this database does not know"
    status = seen(world)
    assert (status.status, status.why) == (NEW, f"{told}; no stage has opened yet")
    assert "`modelwave recover`" in status.next
    assert f"{told}: `modelwave recover digits`" in status.warnings
    assert f"fleet: {told}: `modelwave recover digits`" in caplog.text
    with world.store.read() as connection:
        assert overview.fleet(connection, FLEET, world.now).behind == {"digits": told}
    shown = " ".join(run("fleet", "status").out.split())
    assert f"behind {told}: `modelwave recover digits`" in shown
    lines = run("fleet", "log").out
    assert f"{told}: `modelwave recover digits`" in " ".join(lines.split())
    rollouts.abort(world.store, "2", "", world.now)
    with pytest.raises(OperatorError, match=f"{told}: run `modelwave recover digits`"):
        world.start(2)


def test_after_recover_new_orders_supersede_those_at_the_broker(
    site: Site, tmp_path: Path, run: Run
) -> None:
    world = site.world
    site.roll_out(1)
    copy = site.copy(tmp_path)
    site.roll_out(2)
    number = site.numbers[ALL]
    alone = topics.desired_device(FLEET, "d1", "digits")
    site.reading.broker.retained[alone] = site.signed(slots=None, device="d1")
    site.put_back(copy)
    site.run(1)
    (shown,) = run("recover", "--json").json()
    assert shown["at_broker"] == number
    assert "the broker holds orders up to" in run("recover").out
    assert run("recover", "digits", "--yes").code == 0
    site.run()
    assert set(site.numbers) == {ALL}
    assert site.numbers[ALL] > number + MARGIN
    with world.store.read() as connection:
        assert overview.fleet(connection, FLEET, world.now).behind == {}
    site.roll_out(2)
    assert {d.models["digits"]["outcome"] for d in world.devices.values()} == {"SUCCEEDED"}


def test_what_the_broker_holds_counts_also_if_no_device_reports_it(
    site: Site, tmp_path: Path
) -> None:
    world = site.world
    site.roll_out(1)
    copy = site.copy(tmp_path)
    site.reading.broker.retained[ALL] = site.signed(seq=2_500_000)  # beyond what a report proves
    site.put_back(copy)
    site.run(1)
    with pytest.raises(OperatorError, match="--to: 2499999; give a number from 2500000"):
        recover.recover(world.store, "digits", 0, 2_499_999, world.now)
    assert recover.recover(world.store, "digits", 0, None, world.now) == 2_500_000 + MARGIN


def test_two_databases_that_gave_one_number_twice_both_stop(site: Site, tmp_path: Path) -> None:
    site.roll_out(1)
    copy = site.copy(tmp_path)
    site.roll_out(2)
    theirs = dict(site.retained)
    site.put_back(copy)
    site.world.now += 1
    site.world.start(2, quick(100))
    site.world.tick()  # the two services are signing at the same time
    assert max(order_numbers(site.world)) == site.numbers[ALL]
    site.run()
    assert site.retained == theirs
    assert found(site.world) == [site.numbers[ALL]]


# What is no evidence.


@pytest.mark.parametrize(
    "forged",
    [
        "bytes",
        "another key",
        "another fleet",
        "another epoch",
        "another device's",
        "an older one",
    ],
)
def test_what_is_no_newer_order_of_ours_is_repaired_and_cleared_as_ever(
    site: Site, forged: str
) -> None:
    site.roll_out(1)
    older = site.retained[ALL]
    site.roll_out(2)
    before = dict(site.retained)
    payload = {
        "bytes": lambda: b"{} \n{}",
        "another key": lambda: _by_another_key(site),
        "another fleet": lambda: site.signed(seq=99, fleet="forest"),
        "another epoch": lambda: site.signed(seq=99, epoch=1),
        "another device's": lambda: site.signed(seq=99, target="esp32"),
        "an older one": lambda: older,
    }[forged]()
    stranger = topics.desired_device(FLEET, "d1", "digits")
    for topic in (ALL, stranger):
        site.reading.broker.send(Message(topic, 0, payload))
    site.run(2)
    assert site.retained == before
    assert found(site.world) == []


def test_a_newer_order_with_a_bitmap_counts_on_the_topics_of_its_slots_only(site: Site) -> None:
    site.roll_out(1)
    before = dict(site.retained)
    newer = site.signed(seq=99, v=2, slots=slot_sets.named([[n, n] for n in range(0, 100, 2)]))
    start = ALL.removesuffix("all")
    elsewhere = [start + end for end in ("1", "98x", "098", "999", "9" * 5000, "\u0669\u0668")]
    for topic in (*elsewhere, ALL):
        site.reading.broker.send(Message(topic, 0, newer))
    site.run(2)
    assert site.retained == before
    assert found(site.world) == []
    site.reading.broker.send(Message(f"{start}98", 0, newer))
    site.run(2)
    assert found(site.world) == [99]


def _by_another_key(site: Site) -> bytes:
    payload = keys.canonical(order_in(site.retained[ALL]) | {"seq": 99})
    return keys.sign(words.ORDER, payload, [keys.generate()]) + b"\n{}"


def test_forged_messages_are_cleared_also_while_the_database_is_older(
    site: Site, tmp_path: Path
) -> None:
    site.roll_out(1)
    copy = site.copy(tmp_path)
    site.roll_out(2)
    before = dict(site.retained)
    site.put_back(copy)
    site.run(1)
    stranger = topics.desired_slot(FLEET, "linux-cpu", "digits", 7)
    site.reading.broker.send(Message(stranger, 0, b"forged"))
    site.run(2)
    assert site.retained == before


def test_orders_of_other_models_go_on(site: Site, tmp_path: Path) -> None:
    site.roll_out(1)
    copy = site.copy(tmp_path)
    site.roll_out(2)
    site.put_back(copy)
    site.run(1)
    other = topics.desired_device(FLEET, "digits", "letters")
    site.reading.hold(other, b"an order")
    assert site.reading.publish() == [other]


def test_only_what_differs_is_verified_and_the_same_bytes_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.roll_out(1)
    copy = site.copy(tmp_path)
    site.put_back(copy)
    newer = site.signed(seq=99, slots=[[0, 998]])
    for number in range(500):
        topic = topics.desired_slot(FLEET, "linux-cpu", "digits", number)
        site.reading.broker.retained[topic] = newer
    verified = []
    opened = readback.differences.roots.open_signed
    monkeypatch.setattr(
        readback.differences.roots,
        "open_signed",
        lambda *given: verified.append(given) or opened(*given),
    )
    site.reading.look()
    assert len(verified) == 1
    assert found(site.world) == [99]


# Nothing is sent before it is known what the broker holds.


def test_nothing_may_be_sent_before_the_first_look_is_over(site: Site) -> None:
    reading = site._reading(Broker())
    reading.hold(ALL, b"order")
    reading.step()
    assert not reading.readback.may_send()
    reading.deliver()
    reading.step()
    assert reading.readback.may_send()


def test_a_broker_that_does_not_answer_is_not_waited_for_long(site: Site) -> None:
    reading = site._reading(Broker())
    reading.broker.deaf = True
    assert reading.step() <= readback.FIRST_SECONDS + 1
    Reading.clock += readback.FIRST_SECONDS + 0.1
    assert reading.readback.may_send()
