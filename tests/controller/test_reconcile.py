"""The service compares what devices report with the orders that they should have, and puts right
what differs: at a bounded rate, and it says so."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from one_step_leader import leading
from rollout_world import NO_RELEASE, TARGET, Device, World, newest, quick, seen
from sqlalchemy import event, func, select
from test_retained_set import retained

from modelwave_controller.operations import rollouts
from modelwave_controller.rollout import repair
from modelwave_controller.rollout.repair import Repair, look
from modelwave_controller.rollout.state import FINISHED, REVERTED, RUNNING
from modelwave_controller.service import reconcile
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import devices, floors, forgetting, outbox, tables
from modelwave_shared.limits import SLOTS

YEAR = 365 * 86400


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        yield made


def bring(world: World, release: int, *percents: float) -> None:
    """Brings a release to all devices."""
    world.start(release, quick(*percents))
    for _ in range(5):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == FINISHED


def due(world: World) -> list[str]:
    """The ends of the topics that are to be sent, which the broker then acknowledges."""
    with world.store.read() as connection:
        found = outbox.unsent(connection, 10_000)
    with world.store.write() as connection:
        outbox.mark(connection, [(message.topic, message.version) for message in found])
    return [message.topic.split("desired/")[-1] for message in found]


def hear_later(world: World, device: Device, seconds: float) -> list[str]:
    """Lets the device report that much later; returns what is sent then."""
    world.acknowledges = True
    world.now += seconds
    world.tick()
    world.hear([device])
    world.acknowledges = False
    world.tick()
    world.acknowledges = True
    return due(world)


def forgetful(world: World) -> Device:
    """A device that has the release, and reports like one that was wiped."""
    device = world.devices["d3"]
    device.models["digits"] = dict(NO_RELEASE)
    return device


ALL = f"{TARGET}/digits/all"


def test_an_order_that_the_broker_lost_is_sent_again(world: World) -> None:
    bring(world, 1, 100)
    device = forgetful(world)
    assert hear_later(world, device, 10) == []
    assert hear_later(world, device, 61) == [ALL]


def test_only_a_tick_that_is_to_look_looks_at_devices_that_reported(world: World) -> None:
    bring(world, 1, 100)
    device = forgetful(world)
    assert hear_later(world, device, 10) == []
    world.now += 61
    world.tick()
    world.hear([device])
    world.ticker.tick(world.now, world.steady, looks=False)
    assert due(world) == []
    world.ticker.tick(world.now, world.steady)
    assert due(world) == [ALL]


def test_a_round_of_ticks_looks_once_at_devices_that_reported(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wave makes all of its devices report; the ticks that follow it at once leave them."""
    world.start(1, quick(100))
    leads = leading(world, lambda: world.now)
    ticked = []

    def tick(now: float, steady: float, looks: bool) -> bool:
        ticked.append(looks)
        return ticker_tick(now, steady, looks)

    ticker_tick = leads.ticker.tick
    monkeypatch.setattr(leads.ticker, "tick", tick)
    leads._ticks(looks=True)
    assert len(ticked) > 1, "the first one opened the stage"
    assert ticked == [True] + [False] * (len(ticked) - 1)


def test_a_slot_of_an_open_stage_is_sent_its_order_again(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    device = next(d for d in world.devices.values() if world.ordered(d))
    assert hear_later(world, device, 10) == []
    (again,) = hear_later(world, device, 61)
    assert again.removeprefix(f"{TARGET}/digits/") in retained(world)


def test_an_order_for_one_device_is_sent_to_it_again(world: World) -> None:
    bring(world, 1, 100)
    device = world.devices["d3"]
    rollouts.retry(world.store, "1", ["d3"], ["SUCCEEDED"], "", world.now)
    world.tick()
    assert hear_later(world, device, 10) == []
    assert hear_later(world, device, 61) == ["device/d3/digits"]


def test_a_device_that_reports_an_older_order_for_a_moment_is_left_alone(world: World) -> None:
    bring(world, 1, 100)
    device = forgetful(world)
    hear_later(world, device, 10)
    assert hear_later(world, device, 30) == []
    world.answer("SUCCEEDED", [device])
    assert hear_later(world, device, 600) == []
    with world.store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.repairs)) == 0


def test_an_order_that_the_broker_has_not_acknowledged_is_not_sent_again(world: World) -> None:
    world.acknowledges = False
    world.start(1, quick(100))
    world.tick()
    version = versions(world)
    for _ in range(3):
        world.now += 600
        world.hear([world.devices["d3"]])
        world.tick()
    assert versions(world) == version
    with world.store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.repairs)) == 0


def versions(world: World) -> list[tuple[str, int, int]]:
    columns = (tables.outbox.c.topic, tables.outbox.c.version, tables.outbox.c.acked)
    with world.store.read() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(select(*columns))]


def test_a_device_that_is_not_heard_is_not_looked_at(world: World) -> None:
    bring(world, 1, 100)
    forgetful(world)
    world.now += 700
    world.acknowledges = False
    world.tick()
    assert due(world) == []


def test_a_device_that_refuses_its_order_is_sent_it_ever_more_rarely(world: World) -> None:
    bring(world, 1, 100)
    device = forgetful(world)
    hear_later(world, device, 1)
    sent = [bool(hear_later(world, device, 300)) for _ in range(16)]
    assert sent == [n in (0, 2, 6, 14) for n in range(16)]


def test_the_pause_between_two_repairs_has_an_end() -> None:
    held = look(None, 5, 0.0)
    for _ in range(50):
        held = look(held, 5, held.due)
    assert held.times == 50
    again = look(held, 5, held.due)
    assert again.due == held.due + repair.MAX_PAUSE_SECONDS
    assert look(held, 6, 9.0) == Repair(6, 9.0, 0, 9.0 + repair.MARGIN_SECONDS)


def test_many_devices_on_one_topic_are_sent_it_once(world: World) -> None:
    bring(world, 1, 100)
    for device in world.devices.values():
        device.models["digits"] = dict(NO_RELEASE)
    for seconds in (10, 61):
        world.now += seconds
        world.tick()
        world.hear(world.devices.values())
        world.acknowledges = False
        world.tick()
        world.acknowledges = True
        sent = due(world)
    assert sent == [ALL]


def test_a_tick_sends_a_bounded_number_of_topics_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "MAX_REPAIRS", 3)
    world.start(1, quick(99, 100))
    world.tick()
    every = list(world.devices.values())
    world.hear(every)
    world.tick()
    world.now += 61
    world.tick()
    world.hear(every)
    world.acknowledges = False
    sent = []
    for _ in range(5):
        world.tick()
        sent.append(due(world))
    assert [len(topics) for topics in sent] == [3, 3, 3, 1, 0]
    assert len({topic for topics in sent for topic in topics}) == 10


def test_repairs_are_shown_with_a_command_that_says_more(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    bring(world, 1, 100)
    device = forgetful(world)
    hear_later(world, device, 10)
    assert seen(world).warnings == []
    hear_later(world, device, 61)
    hear_later(world, device, 601)
    (said,) = seen(world).warnings
    assert said.startswith("1 device went on reporting an older order, such as d3: orders were")
    assert "sent again 2 times; `modelwave device show d3`" in said
    assert "1 topics are sent again" in caplog.text
    world.answer("SUCCEEDED", [device])
    world.tick()
    assert seen(world).warnings == []


def test_a_forgotten_device_is_no_longer_repaired(world: World) -> None:
    bring(world, 1, 100)
    device = forgetful(world)
    hear_later(world, device, 10)
    hear_later(world, device, 61)
    with world.store.write() as connection:
        forgetting.forget(connection, device.name)
    assert seen(world).warnings == []


def test_a_new_service_goes_on_with_the_repairs_of_the_one_before(world: World) -> None:
    bring(world, 1, 100)
    device = forgetful(world)
    hear_later(world, device, 10)
    world.ticker = Ticker(world.store, world.issuer)
    world.tick()
    assert hear_later(world, device, 61) == [ALL]
    world.ticker = Ticker(world.store, world.issuer)
    assert hear_later(world, device, 61) == []


def test_a_device_ahead_of_its_order_is_not_sent_it(world: World) -> None:
    bring(world, 1, 100)
    device = world.devices["d3"]
    device.models["digits"]["seq"] = 99
    assert hear_later(world, device, 10) == []
    assert hear_later(world, device, 100) == []


def test_a_tick_without_news_asks_the_database_a_few_times_only(world: World) -> None:
    bring(world, 1)
    world.tick()
    asked: list[str] = []
    engine = world.store._engine
    event.listen(engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    world.tick()
    assert len(asked) <= 13, asked  # those of the test among them
    assert not [words for words in asked if "device_models" in words]


# Orders do not expire silently.


def test_an_order_that_stands_is_signed_anew_when_half_of_its_time_is_over(world: World) -> None:
    bring(world, 1, 100)
    before = world.ordered(world.devices["d0"])
    assert before is not None
    world.ticker = Ticker(world.store, world.issuer)  # the clock stood still for months
    world.jump(YEAR // 2 - 10)
    accept(world)
    world.tick()
    assert world.ordered(world.devices["d0"]) == before
    world.now += 700
    world.tick()
    after = world.ordered(world.devices["d0"])
    assert after is not None
    assert (after["seq"], after["slots"]) == (2, [[0, SLOTS - 1]])
    assert after["manifest"] == before["manifest"]
    assert after["expires"] >= before["expires"] + YEAR // 2 - 10
    assert newest(world).status == FINISHED
    assert set(retained(world)) == {"all"}
    world.answer("SUCCEEDED", world.devices.values())
    assert [(row.devices, row.succeeded) for row in seen(world).rows] == [(10, 10)]


def accept(world: World) -> None:
    from modelwave_controller.storage import clock

    with world.store.write() as connection:
        clock.accept(connection, world.now, "it is right")


def test_orders_of_a_rollout_that_is_not_over_are_left_to_the_operator(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    world.ticker = Ticker(world.store, world.issuer)
    world.jump(YEAR)
    accept(world)
    world.tick()
    assert world.state().seqs["digits"] == 1


# After the loss of a database.


def test_numbers_pass_a_floor_and_all_that_stands_is_ordered_anew(world: World) -> None:
    bring(world, 1)
    with world.store.write() as connection:
        floors.raise_to(connection, "digits", 100, 0)
        floors.raise_to(connection, "digits", 50, 0)
        floors.raise_to(connection, "letters", 7, 0)  # no order of it stands
        assert floors.of(connection, "digits", 0) == 100
    world.tick()
    order = world.ordered(world.devices["d0"])
    assert order is not None
    assert (order["seq"], order["manifest"]) == (101, world.release(1)[TARGET].digest)
    assert retained(world) == {"all": 101}
    world.tick()
    assert world.state().seqs["digits"] == 101


def test_the_orders_of_open_stages_pass_a_floor_too(world: World) -> None:
    bring(world, 1)
    world.start(2, quick(20, 50, 100))
    world.tick()
    asked = [d for d in world.devices.values() if _release(world, d) == 2]
    world.answer("SUCCEEDED", asked)
    world.tick()
    wanted = {name: _release(world, device) for name, device in world.devices.items()}
    assert sorted(wanted.values()) == [1] * 5 + [2] * 5
    for device in world.devices.values():
        device.models["digits"]["seq"] = 200  # from before the database was restored
    world.hear(world.devices.values())
    with world.store.write() as connection:
        floors.raise_to(connection, "digits", 200, 0)
    world.tick()
    for name, device in world.devices.items():
        order = world.ordered(device)
        assert order is not None
        assert order["seq"] > 200
        assert _release(world, device) == wanted[name]
    for _ in range(3):
        world.answer("SUCCEEDED", world.devices.values())
        world.tick()
    assert newest(world).status == FINISHED
    assert [(row.devices, row.succeeded) for row in seen(world).rows] == [(2, 2), (3, 3), (5, 5)]


def test_no_device_is_sent_back_and_forth_when_numbers_pass_a_floor(world: World) -> None:
    """The order for all of the release before would reach the canaries as well."""
    bring(world, 1)
    world.start(2, quick(20, 100))
    world.tick()
    canaries = [d for d in world.devices.values() if _release(world, d) == 2]
    with world.store.write() as connection:
        floors.raise_to(connection, "digits", 200, 0)
    world.tick()
    assert retained(world)["all"] < 200
    assert [_release(world, device) for device in canaries] == [2, 2]
    assert newest(world).status == RUNNING


def test_the_way_back_passes_a_floor(world: World) -> None:
    bring(world, 1)
    world.start(2, quick(20, 100))
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    with world.store.write() as connection:
        floors.raise_to(connection, "digits", 200, 0)
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == REVERTED
    assert set(retained(world)) == {"all"}


def test_nothing_passes_a_floor_while_the_clock_is_in_doubt(world: World) -> None:
    bring(world, 1)
    with world.store.write() as connection:
        floors.raise_to(connection, "digits", 100, 0)
    world.jump(-86400)
    world.tick()
    assert world.state().seqs["digits"] < 100
    world.jump(86400)
    world.tick()
    assert world.state().seqs["digits"] == 101


def _release(world: World, device: Device) -> int:
    order = world.ordered(device)
    assert order is not None
    names = {world.release(number)[TARGET].digest: number for number in (1, 2)}
    return names[order["manifest"]]


def test_a_device_says_which_order_it_has_by_its_topic_and_number(world: World) -> None:
    bring(world, 1, 100)
    with world.store.read() as connection:
        heard, last = devices.heard_after(connection, (0, ""), 3)
        rest, end = devices.heard_after(connection, last, 100)
        assert devices.heard_after(connection, end, 100) == ([], end)
    assert len(heard) == 3
    assert sorted(h.device for h in (*heard, *rest)) == sorted(world.devices)
    assert {(h.target, h.model, h.seq) for h in heard} == {(TARGET, "digits", 1)}
