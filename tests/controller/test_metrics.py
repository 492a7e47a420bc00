"""What /metrics says of a process, of a fleet and of its rollouts, and what a scrape costs."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_world import FLEET, TARGET, World, quick
from scraped import Scrape, scrape
from tests.controller import test_report_gates as reported
from tests.controller.test_report_gates import finding, look, with_looks

from modelwave_controller.metrics import census, series
from modelwave_controller.metrics.exposition import Exposition
from modelwave_controller.rollout.events import Held, Paused
from modelwave_controller.service.figures import Durations
from modelwave_controller.service.vitals import Vitals
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage import lease, log
from modelwave_controller.storage.lease import Identity
from modelwave_shared import topics


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=6)) as found:
        yield found


def lead(world: World) -> None:
    """The database says that a service leads, and reaches the broker."""
    with world.store.write() as connection:
        lease.take(connection, Identity("x", "host", 1, ""), world.now)
        lease.note_link(connection, True, world.now)
        log.note_tick(connection, world.now)


def test_rollout_is_counted_by_status_and_its_devices_by_outcome(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    world.start(2, quick(50, 100))
    assert scrape(world).of("rollouts", "status") == {"FINISHED": 1, "NEW": 1}
    world.tick()
    manifest = world.release(2)[TARGET].digest
    orders = {name: world.ordered(one) for name, one in world.devices.items()}
    first, second, third = (
        world.devices[name] for name, it in orders.items() if it and it["manifest"] == manifest
    )
    world.answer("SUCCEEDED", [first])
    world.answer("ROLLED_BACK", [second])
    world.answer("", [third])
    found = scrape(world)
    assert found.of("rollout_devices", "rollout", "model", "way", "outcome") == {
        ("2", "digits", "out", "succeeded"): 1,
        ("2", "digits", "out", "rolled_back"): 1,
        ("2", "digits", "out", "in_progress"): 1,
    }
    assert found.of("rollout_stages_opened", "rollout") == {"2": 1}
    assert found.of("rollout_stages_planned", "rollout") == {"2": 2}
    world.now += 101
    world.tick()
    found = scrape(world)
    assert found.of("rollout_status", "rollout", "status") == {("2", "REVERTING"): 1}
    assert found.of("stage_verdicts_total", "verdict") == {"PASS": 1, "FAIL": 1}
    assert found.of("rollout_devices", "way", "outcome")["back", "queued"] == 3


def test_devices_without_an_answer_are_silent_after_the_deadline(world: World) -> None:
    least = {"max_silent_percent": 100, "min_succeeded_percent": 0}
    world.start(1, quick(100, stage=least))
    world.tick()
    world.now += 1
    world.tick()
    assert scrape(world).of("rollout_devices", "outcome") == {"queued": 6}
    world.acknowledges = False
    world.now += 99.9
    with world.store.write() as connection:
        log.append(connection, 1, world.now, [Paused(reason="a test")])
    world.now += 1
    world.tick()
    assert scrape(world).of("rollout_devices", "outcome") == {"silent": 6}


def test_held_rollout_and_one_that_is_over_are_still_counted(world: World) -> None:
    exposition = Exposition(Vitals())
    world.start(1, quick(50, 100))
    with world.store.write() as connection:
        log.append(connection, 1, world.now, [Held(reason="a test", by="nobody")])
    found = scrape(world, exposition)
    assert found.of("rollouts", "status") == {"HELD": 1}
    assert set(found.of("rollout_status", "status")) == {"HELD"}


def test_gates_have_estimate_bounds_margin_and_devices(world: World) -> None:
    world.start(1, reported.judging(reported.ACCURACY))
    targets = [finding("PASS", target=f"t{number}") for number in range(9)]
    with_looks(world, look(0, 0, finding("INCONCLUSIVE", 0.25), *targets))
    found = scrape(world)
    labels = ("stage", "gate", "target")
    [all_together] = [k for k in found.of("gate_estimate", *labels) if not k[2]]
    assert all_together[0] == "1"
    assert found.of("gate_estimate", *labels)[all_together] == 0.25
    for name in ("gate_lower", "gate_upper", "gate_margin"):
        assert all_together in found.of(name, *labels), name
    assert found.of("gate_verdict", *labels, "verdict")[(*all_together, "INCONCLUSIVE")] == 1
    arms = found.of("gate_devices", "target", "arm")
    assert {arm for target, arm in arms if not target} == {"canaries", "controls"}
    assert len({target for target, _ in arms if target}) == 4


def test_devices_are_counted_by_target_and_release(world: World) -> None:
    lead(world)
    world.add(2, "rp2040")
    for device in [*world.devices.values()][:4]:
        device.models["digits"] |= {"release": 7, "sha256": "7" * 64}
        world.inbox.put(topics.presence(FLEET, device.name), b"online")
    world.hear([*world.devices.values()][:4])
    found = scrape(world)
    assert found.of("devices", "target") == {TARGET: 6, "rp2040": 2}
    assert found.of("devices_online", "target") == {TARGET: 4}
    assert found.of("devices_by_release", "target", "model", "release") == {
        (TARGET, "digits", "7"): 4,
        (TARGET, "digits", "0"): 2,
        ("rp2040", "digits", "0"): 2,
    }
    assert found.of("devices_silent", "target") == {}
    for _ in range(100):
        world.now += 60
        world.tick()
    lead(world)
    assert scrape(world).of("devices_silent", "target") == {TARGET: 4}


def test_gateways_that_are_offline_are_counted(world: World) -> None:
    lead(world)
    for device, via in zip(world.devices.values(), ("gw-1", "gw-2", "gw-2"), strict=False):
        device.says = {"extra": {"via": via}}
    for name, word in (("gw-1", b"online"), ("gw-2", b"offline"), ("gw-3", b"offline")):
        world.inbox.put(topics.presence(FLEET, name), word)
    world.hear(world.devices.values())
    assert scrape(world).of("gateways_offline") == {(): 1}


def test_who_is_online_is_not_told_while_no_service_receives(world: World) -> None:
    assert "modelwave_devices" in scrape(world).names
    assert "modelwave_devices_online" not in scrape(world).names


def test_a_large_fleet_is_counted_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "PART_DEVICES", 4)
    lead(world)
    exposition = Exposition(Vitals())
    assert "modelwave_devices" not in scrape(world, exposition).names
    for _ in range(2):  # then the last complete count is told, while the next one is under way
        found = scrape(world, exposition)
        assert found.of("devices", "target") == {TARGET: 6}
        assert found.of("devices_by_release", "target", "model", "release") == {
            (TARGET, "digits", "0"): 6
        }


def test_labels_that_devices_choose_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "MAX_SERIES", 3)
    monkeypatch.setattr(census, "MAX_KEYS", 5)
    for number in range(9):
        world.add(1, f"t{number}")
    found = scrape(world)
    assert found.of("devices", "target") == {TARGET: 6, "t0": 1, "t1": 1, "_others": 7}
    releases = found.of("devices_by_release", "target", "model", "release")
    assert len(releases) == 4
    assert sum(releases.values()) == 15


def test_no_label_has_a_device_or_a_text_of_its_own(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values(), reason="secret words")
    world.tick()
    values = {value for sample in scrape(world).samples for value in sample.labels.values()}
    assert not values & set(world.devices)
    assert not [value for value in values if "secret" in value]


def test_messages_for_the_broker_are_counted_and_their_age_is_seen(world: World) -> None:
    world.acknowledges = False
    exposition = Exposition(Vitals(), lambda: world.now)
    world.start(1, quick(50, 100))
    world.tick()
    found = scrape(world, exposition)
    assert found.value("outbox_messages") == 3
    assert found.value("outbox_oldest_seconds") == 0
    world.now += 40
    assert scrape(world, exposition).value("outbox_oldest_seconds") == 40
    world.acknowledges = True
    world.acknowledge()
    found = scrape(world, exposition)
    assert found.value("outbox_messages") == found.value("outbox_oldest_seconds") == 0


def test_process_says_whether_it_leads_and_what_it_has_received(world: World) -> None:
    seen = Vitals()
    seen.came_round(database=True, broker=False, leads=True)
    writer = Writer(world.store, FLEET, Inbox(), clock=lambda: world.now)
    seen.figures.inbox, seen.figures.writes = writer.inbox, writer.counts
    writer.inbox.put(topics.reported(FLEET, "d1"), world.devices["d1"].report())
    writer.inbox.put(topics.reported(FLEET, "d2"), b"nonsense")
    writer.write_batch(0)
    writer.inbox.put(topics.reported(FLEET, "d2"), b"nonsense")
    seen.figures.ticks.add(0.03)
    found = scrape(world, Exposition(seen))
    assert (found.value("leads"), found.value("broker_reached")) == (1, 0)
    assert found.value("messages_received_total") == 3
    assert found.value("messages_stored_total") == 2
    assert found.value("messages_bad_total") == 1
    assert found.value("inbox_messages") == 1
    assert found.value("tick_seconds_count") == 1
    buckets = found.of("tick_seconds_bucket", "le")
    assert sorted(buckets, key=lambda bound: float(str(bound)))[0] == "0.05"
    seen.came_round(database=True, broker=True, leads=True)
    assert scrape(world, Exposition(seen)).value("broker_reached") == 1


def test_without_the_database_the_process_still_says_how_it_is() -> None:
    found = Scrape(Exposition(Vitals()).render(None, 0))
    assert found.value("database_answers") == found.value("leads") == 0
    assert "modelwave_rollouts" not in found.names


def test_lag_is_that_of_the_oldest_message_until_it_is_stored(world: World) -> None:
    inbox = Inbox(lambda: world.now)
    topic = topics.reported(FLEET, "d1")
    assert inbox.lag() == 0
    inbox.put(topic, b"x")
    world.now += 3
    inbox.put(topics.reported(FLEET, "d2"), b"x")
    assert inbox.lag() == 3
    inbox.take(1, 0)
    world.now += 1
    assert inbox.lag() == 4  # it is not stored yet
    inbox.done()
    assert inbox.lag() == 1
    inbox.take(1, 0)
    inbox.done()
    assert inbox.lag() == 0


def test_durations_are_counted_by_class() -> None:
    ticks = Durations()
    for seconds in (0.005, 0.006, 99):
        ticks.add(seconds)
    found = ticks.spread()
    assert (found.counts[0], found.counts[1], found.counts[-1]) == (1, 1, 1)
    assert found.seconds == pytest.approx(99.011)
