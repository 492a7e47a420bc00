"""Tests that several processes receive the devices of one fleet: each device in one of them, and
what each stores, and hands over to the service that leads."""

import logging
import threading
from contextlib import closing
from pathlib import Path

import counted_twice
import pytest
from postgres_server import needs_postgres
from rollout_world import FLEET, World, quick
from sqlalchemy import select
from two_services import database

from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.operations.health import health
from modelwave_controller.service import leader
from modelwave_controller.service.ingest import Ingest, Receiving
from modelwave_controller.service.leader import Candidate, LeaderStore
from modelwave_controller.service.serve import Service
from modelwave_controller.service.share import Share
from modelwave_controller.service.taking_over import TakingOver
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage import handover, lease, log, shares, tables
from modelwave_controller.storage.handover import Ask, Handover
from modelwave_controller.storage.lease import LeaseLost, NoSeat
from modelwave_controller.storage.store import Store
from modelwave_shared import topics

NOW = 1_800_000_000.0
NONCE = "00112233445566778899aabbccddeeff"


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def leading(store: Store, number: int, clock: Clock, anew: bool = True) -> LeaderStore:
    """A service that leads, and has divided the devices into so many shares."""
    candidate = Candidate(
        store, lambda: NOW, clock, taken=lambda connection: shares.divide(connection, number, NOW)
    )
    with store.write() as connection:
        lease.give_back(connection, NOW)
        if anew:
            shares.divide(connection, 0, NOW)
    found = candidate.try_to_lead()
    assert found is not None
    return found


def candidate(store: Store, share: Share, clock: Clock) -> Candidate:
    return Candidate(store, lambda: NOW, clock, seat=share.seat)


def test_each_device_is_in_one_share() -> None:
    names = [f"d{number}" for number in range(3000)]
    for number in (1, 2, 3, 64):
        found = [Share(one, number) for one in range(1, number + 1)]
        assert all(sum(share.has(name) for share in found) == 1 for name in names)
        sizes = [sum(share.has(name) for name in names) for share in found]
        assert min(sizes) > 0.5 * len(names) / number
    of_two = Share(1, 2)
    for topic in (topics.reported, topics.presence, topics.metrics):
        assert all(of_two.wants(topic(FLEET, name)) == of_two.has(name) for name in names[:50])


def test_the_broker_keeps_a_session_for_each_share_that_every_broker_takes() -> None:
    found = [Share(number, 3).session(FLEET) for number in (1, 2, 3)]
    assert len(set(found)) == 3
    assert {len(session) for session in found} == {23}
    assert Share(1, 3).session("other") not in found


def test_sqlite_is_refused_as_one_process_at_a_time_writes_it(tmp_path: Path) -> None:
    with closing(World(tmp_path)) as world:
        settings = world.home.path / "controller.toml"
        settings.write_text(settings.read_text().replace("processes = 0", "processes = 2"))
        told = r"ingest\.processes in controller\.toml is 2, which needs PostgreSQL"
        with pytest.raises(OperatorError, match=told):
            Service(Home(world.home.path), world.store)
        with pytest.raises(OperatorError, match=told):
            Ingest(Home(world.home.path), world.store, 1)


def test_while_the_service_receives_all_there_is_no_ingest_process(tmp_path: Path) -> None:
    told = r"ingest\.processes in controller\.toml is 0"
    with closing(World(tmp_path)) as world, pytest.raises(OperatorError, match=told):
        Ingest(world.home, world.store, 1)


def test_a_share_has_one_process_and_another_takes_over(url: str) -> None:
    with closing(Store(url)) as store:
        clock, share = Clock(), Share(2, 2)
        leading(store, 2, clock)
        first, second = candidate(store, share, clock), candidate(store, share, clock)
        held = first.try_to_lead()
        assert held is not None
        second.identity = second.identity._replace(place="elsewhere")
        seen = 0.0
        while seen <= leader.EXPIRED_SECONDS - leader.LOOK_SECONDS:
            assert second.try_to_lead() is None
            clock.seconds, seen = clock.seconds + leader.LOOK_SECONDS, seen + leader.LOOK_SECONDS
            held.renew()
        assert candidate(store, Share(1, 2), clock).try_to_lead() is not None  # is another's
        while (taken := second.try_to_lead()) is None:
            clock.seconds += leader.LOOK_SECONDS
        assert second.why is not None
        assert "which receives share 2 of 2, has not renewed its lease" in second.why
        told = "another service receives share 2 of 2 now"
        with pytest.raises(LeaseLost, match=told), held.write():
            pass
        with taken.write():
            pass


def test_a_process_that_cannot_renew_its_lease_leaves_the_session_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would take it from each other, and one of them stores nothing of what it brings."""
    monkeypatch.setattr("modelwave_controller.service.ingest.shares_of", lambda _home: 1)
    with closing(World(tmp_path)) as world:
        clock = Clock()
        leading(world.store, 1, clock)
        held = candidate(world.store, Share(1, 1), clock).try_to_lead()
        assert held is not None
        link = Receiving(Ingest(world.home, world.store, 1), held).link
        assert link.may_stay()
        clock.seconds += leader.EXPIRED_SECONDS
        assert not link.may_stay()
        held.renew()
        assert link.may_stay()


def test_who_goes_by_another_number_of_shares_stores_nothing(url: str) -> None:
    with closing(Store(url)) as store:
        clock = Clock()
        leading(store, 2, clock)
        one = candidate(store, Share(1, 2), clock).try_to_lead()
        assert one is not None
        with pytest.raises(NoSeat, match="has not divided the devices into 3 shares"):
            candidate(store, Share(1, 3), clock).try_to_lead()
        leading(store, 2, clock, anew=False)  # another service, which divides as the one before
        with one.write():
            pass
        leading(store, 3, clock, anew=False)
        with pytest.raises(LeaseLost), one.write():
            pass
        assert candidate(store, Share(1, 3), clock).try_to_lead() is not None
        leading(store, 0, clock, anew=False)
        with store.read() as connection:
            assert shares.stored(connection) == []
        with pytest.raises(NoSeat):
            candidate(store, Share(1, 2), clock).try_to_lead()


def test_who_is_first_in_a_seat_that_was_not_there_before_knows_it(url: str) -> None:
    """What the broker's session of the share holds then is of long ago."""
    with closing(Store(url)) as store:
        clock, found = Clock(), []
        for number in (2, 1, 2, 0, 2):
            leading(store, number, clock, anew=False)
            its = [Share(one, number) for one in range(1, number + 1)]
            held = [candidate(store, share, clock).try_to_lead() for share in its]
            found.append([one.is_first for one in held if one])
        assert found == [[True, True], [False], [False, True], [], [True, True]]


def test_what_is_handed_over_arrives_once_and_is_bounded(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "MAX_ROWS", 30)
    with closing(Store(url)) as store:
        clock = Clock()
        leads = leading(store, 2, clock)
        asked: dict[str, Ask] = {}
        again: dict[str, float] = {}
        taking = TakingOver(leads, asked.__setitem__, again.update)
        ask = Ask(NONCE, "linux-cpu", ("digits",))
        with store.write() as connection:
            handover.put(connection, Handover({"d1": ask}, {"d2": 5.5}))
            handover.put(connection, Handover({}, {"d2": 6.5}))
        taking.step(NOW)
        assert asked == {"d1": ask}
        assert again == {"d2": 6.5}
        asked.clear()
        taking.step(NOW)
        assert not asked
        with store.write() as connection:
            for number in range(handover.MAX_ROWS + 5):
                handover.put(connection, Handover({}, {f"d{number}": 1.0}))
        again.clear()
        while taking.step(NOW) or len(again) < handover.MAX_ROWS:
            pass
        assert "d4" not in again  # the oldest were dropped
        assert "d5" in again


def test_operators_are_told_of_a_share_that_nobody_receives(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    late = NOW + shares.PATIENCE_SECONDS + 1
    with closing(Store(url)) as store:
        clock = Clock()
        leads = leading(store, 2, clock)
        one = candidate(store, Share(1, 2), clock).try_to_lead()
        assert one is not None
        taking = TakingOver(leads, lambda *_: None, lambda _: None)
        taking.step(NOW)
        assert "share" not in caplog.text
        clock.seconds += leader.RENEW_SECONDS
        one._clock = lambda: late
        with one.write() as connection:
            lease.note_link(connection, True, late, Share(1, 2).seat)
        for _ in range(2):
            taking.step(late)
        [told] = [r.message for r in caplog.records if "has not been received" in r.message]
        assert told.startswith("share 2 of 2 has not been received for 16 s, since ")
        assert told.endswith(": start `modelwave ingest 2`")
        with store.write() as connection:
            lease.note_link(connection, True, late)
            log.note_tick(connection, late)
        with store.read() as connection:
            found = health(connection, late)
            assert found.problem == told
            assert not found.up_to_date
        two = candidate(store, Share(2, 2), clock)
        two.clock = lambda: late
        two_holds = two.try_to_lead()
        assert two_holds is not None
        taking.step(late)
        assert "share 2 of 2 is received again" in caplog.text
        with store.read() as connection:
            assert health(connection, late).problem == ""
        later = late + shares.PATIENCE_SECONDS + 1
        for one_of_two in (one, two_holds):
            clock.seconds += leader.RENEW_SECONDS
            one_of_two._clock = lambda: later
            one_of_two.renew()
        taking.step(later)
        assert "for share 2 of 2, has not reached the broker for 16 s" in caplog.text


@needs_postgres
def test_two_that_store_at_once_keep_the_counters_right(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = database("postgresql", tmp_path, request)
    with closing(World(tmp_path, url, devices=12)) as world:
        world.start(1, quick(100))
        world.tick()
        orders = {name: world.ordered(device) for name, device in world.devices.items()}
        stores = [Store(url), Store(url)]
        writers = [Writer(store, FLEET, Inbox(), lambda: world.now) for store in stores]
        found = [Share(1, 2), Share(2, 2)]
        for outcome in ("FAILED", "SUCCEEDED"):
            for name, device in world.devices.items():
                device.take(orders[name] or {}, outcome)
                [its] = [w for w, share in zip(writers, found, strict=True) if share.has(name)]
                its.inbox.put(topics.reported(FLEET, name), device.report())

            def store_all(writer: Writer) -> None:
                while batch := writer.inbox.take(3, 0):
                    writer._store(writer._read(batch, world.now), [])

            threads = [threading.Thread(target=store_all, args=(w,)) for w in writers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not sum(writer.counts["lost"] for writer in writers)
            with world.store.write() as connection:
                assert counted_twice.rows(connection) == counted_twice.recounted(connection)
        with world.store.read() as connection:
            kinds = connection.scalars(select(tables.events.c.kind)).all()
            assert kinds.count("reported") == 2 * 12
        for store in stores:
            store.close()
