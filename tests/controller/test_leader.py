"""Tests which service leads: one at a time, and one that has lost the lease writes nothing."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from postgres_server import needs_postgres
from rollout_world import World, newest, quick
from simulated_fleet import DEADLINE_SECONDS, any_broker, free_port, poll
from sqlalchemy import update

from modelwave_controller.errors import OperatorError, StorageError
from modelwave_controller.operations import overview
from modelwave_controller.service import leader
from modelwave_controller.service.connection import Connection
from modelwave_controller.service.leader import (
    EXPIRED_SECONDS,
    FIRST_SECONDS,
    LOOK_SECONDS,
    RENEW_SECONDS,
    RETURN_SECONDS,
    SURE_SECONDS,
    UNREACHED_SECONDS,
    Candidate,
    LeaderStore,
)
from modelwave_controller.service.serve import Ready, Service
from modelwave_controller.storage import lease, log, tables
from modelwave_controller.storage.lease import LeaseLost
from modelwave_controller.storage.store import Store


class Clocks:
    def __init__(self) -> None:
        self.steady = 0.0

    def wall(self) -> float:
        return 1_800_000_000.0


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A database in which nobody leads."""
    with closing(Store(url)) as made:
        with made.write() as connection:
            lease.give_back(connection, 0)
        yield made


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def candidate(store: Store, clocks: Clocks) -> Candidate:
    return Candidate(store, clocks.wall, lambda: clocks.steady)


def led(found: LeaderStore | None) -> LeaderStore:
    assert found is not None
    return found


def look_for(seconds: float, who: Candidate, clocks: Clocks) -> LeaderStore | None:
    """Looks as often as a service does."""
    end = clocks.steady + seconds
    while clocks.steady < end:
        clocks.steady += min(LOOK_SECONDS, end - clocks.steady)
        if found := who.try_to_lead():
            return found
    return None


def test_the_first_one_leads_and_the_second_knows_who_does(store: Store, clocks: Clocks) -> None:
    first, second = candidate(store, clocks), candidate(store, clocks)
    assert first.try_to_lead()
    assert second.try_to_lead() is None
    assert second.other is not None
    assert second.other.holder == first.identity.holder
    with store.read() as connection:
        assert lease.holder(connection) == second.other


def test_one_that_stands_by_takes_over_when_the_lease_has_not_changed_for_long_enough(
    store: Store, clocks: Clocks
) -> None:
    first = led(candidate(store, clocks).try_to_lead())
    second = candidate(store, clocks)
    assert second.try_to_lead() is None
    assert look_for(EXPIRED_SECONDS - 0.1, second, clocks) is None
    after = led(look_for(0.1, second, clocks))
    with after.write():
        pass
    with pytest.raises(LeaseLost), first.write():
        pass


def test_one_that_leads_and_renews_is_not_replaced(store: Store, clocks: Clocks) -> None:
    first = led(candidate(store, clocks).try_to_lead())
    second = candidate(store, clocks)
    for _ in range(5):
        assert first.renew() <= RENEW_SECONDS
        assert look_for(EXPIRED_SECONDS / 2, second, clocks) is None


def test_one_that_hung_itself_does_not_take_the_time_for_the_leaders(
    store: Store, clocks: Clocks
) -> None:
    assert candidate(store, clocks).try_to_lead()
    second = candidate(store, clocks)
    assert second.try_to_lead() is None
    clocks.steady += 1000
    assert second.try_to_lead() is None


def test_a_lease_that_is_given_back_is_taken_at_once(store: Store, clocks: Clocks) -> None:
    first = led(candidate(store, clocks).try_to_lead())
    second = candidate(store, clocks)
    assert second.try_to_lead() is None
    first.give_back(clocks.wall())
    with store.read() as connection:
        assert lease.holder(connection) is None
    assert second.try_to_lead()


def test_the_lease_of_a_process_that_ended_on_this_machine_is_taken_at_once(
    store: Store, clocks: Clocks
) -> None:
    first = led(candidate(store, clocks).try_to_lead())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with store.write() as connection:
        connection.execute(update(tables.lease).values(pid=ended.pid, place="another machine"))
    assert candidate(store, clocks).try_to_lead() is None
    with store.write() as connection:
        connection.execute(update(tables.lease).values(place=leader.identity().place))
    assert candidate(store, clocks).try_to_lead()
    with pytest.raises(LeaseLost), first.write():
        pass


def test_a_leader_that_was_replaced_writes_nothing(store: Store, clocks: Clocks) -> None:
    first = led(candidate(store, clocks).try_to_lead())
    with store.write() as connection:
        before = log.service_seen_at(connection)
        lease.take(connection, leader.identity(), clocks.wall())
    with pytest.raises(LeaseLost), first.write() as connection:
        log.note_tick(connection, before + 1000)
    with store.read() as connection:
        assert log.service_seen_at(connection) == before


def test_one_that_comes_back_under_its_old_generation_does_not_lead(
    store: Store, clocks: Clocks
) -> None:
    again = candidate(store, clocks)
    first = led(again.try_to_lead())
    first.give_back(clocks.wall())
    assert again.try_to_lead()
    with pytest.raises(LeaseLost), first.write():
        pass


def test_a_leader_that_hung_looks_at_the_lease_before_it_sends_the_rest(
    store: Store, clocks: Clocks
) -> None:
    first = led(candidate(store, clocks).try_to_lead())
    with first.read() as connection:
        first.verify(connection)
    assert first.sure
    clocks.steady += SURE_SECONDS + 0.1
    assert not first.sure


# A leader that does not reach the broker.


class Standby:
    """Stands by beside a leader that renews; `reaches` is whether it reaches the broker."""

    def __init__(self, store: Store, clocks: Clocks) -> None:
        self.store, self.clocks = store, clocks
        self.leader = led(candidate(store, clocks).try_to_lead())
        self.reaches = True
        self.wanted: list[bool] = []
        self.candidate = Candidate(store, clocks.wall, lambda: clocks.steady, self.reach)
        assert self.candidate.try_to_lead() is None

    def reach(self, wanted: bool) -> bool:
        self.wanted.append(wanted)
        return wanted and self.reaches

    def note(self, connected: bool) -> None:
        with self.leader.write() as connection:
            lease.note_link(connection, connected, self.clocks.wall())

    def look_for(self, seconds: float) -> LeaderStore | None:
        end = self.clocks.steady + seconds
        while self.clocks.steady < end:
            self.leader.renew()
            if found := look_for(LOOK_SECONDS, self.candidate, self.clocks):
                return found
        return None


@pytest.fixture
def standby(store: Store, clocks: Clocks) -> Standby:
    return Standby(store, clocks)


def test_a_leader_that_lost_the_broker_is_replaced_by_one_that_reaches_it(
    standby: Standby,
) -> None:
    standby.note(connected=True)
    assert standby.look_for(100) is None
    assert not any(standby.wanted[1:])
    standby.note(connected=False)
    assert standby.look_for(UNREACHED_SECONDS) is None
    assert standby.look_for(LOOK_SECONDS)
    assert standby.wanted[-2:] == [True, False]
    with pytest.raises(LeaseLost), standby.leader.write():
        pass


def test_while_nobody_reaches_the_broker_the_lease_stays(standby: Standby) -> None:
    standby.note(connected=True)
    assert standby.look_for(LOOK_SECONDS) is None
    standby.note(connected=False)
    standby.reaches = False
    assert standby.look_for(1000) is None
    with standby.leader.write():  # it still leads
        pass
    standby.reaches = True
    assert standby.look_for(LOOK_SECONDS)


def test_a_leader_that_reaches_the_broker_again_in_time_stays(standby: Standby) -> None:
    for _ in range(5):
        standby.note(connected=True)
        assert standby.look_for(LOOK_SECONDS) is None
        standby.note(connected=False)
        assert standby.look_for(UNREACHED_SECONDS) is None


def test_a_new_leader_has_time_to_connect(standby: Standby) -> None:
    assert standby.look_for(FIRST_SECONDS - LOOK_SECONDS) is None
    assert standby.look_for(2 * LOOK_SECONDS)


def test_one_that_lost_the_lease_leaves_it_to_others_for_a_while(standby: Standby) -> None:
    standby.note(connected=True)
    standby.candidate.lost()
    assert standby.look_for(LOOK_SECONDS) is None
    standby.note(connected=False)
    assert standby.look_for(RETURN_SECONDS - 2 * LOOK_SECONDS) is None
    assert standby.look_for(2 * LOOK_SECONDS)


def test_a_write_in_which_the_leader_hangs_is_explained_and_then_the_lease_is_taken(
    store: Store, clocks: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    assert candidate(store, clocks).try_to_lead()
    second = candidate(store, clocks)
    assert look_for(EXPIRED_SECONDS, second, clocks) is None
    taken: list[LeaderStore | None] = []
    taking = threading.Thread(target=lambda: taken.append(look_for(1, second, clocks)))
    with store.write():
        taking.start()
        way_out = f"`kill -9 {os.getpid()}` on {socket.gethostname()}"
        poll(lambda: way_out in caplog.text)
        assert taken == []
    taking.join()
    assert led(taken[0])


@needs_postgres
def test_a_leader_that_hangs_in_a_write_does_not_keep_postgresql_for_ever(
    postgres_url: str, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "IDLE_SECONDS", 0.1)
    written = threading.Event()
    with closing(Store(postgres_url)) as store, closing(Store(postgres_url)) as other:
        with store.write() as connection:
            lease.give_back(connection, 0)
        first = led(candidate(store, clocks).try_to_lead())
        hangs = threading.Event()

        def hang() -> None:
            with first.write():
                hangs.set()
                assert written.wait(DEADLINE_SECONDS)

        def hang_and_fail() -> None:
            with pytest.raises(StorageError):
                hang()

        thread = threading.Thread(target=hang_and_fail)
        thread.start()
        assert hangs.wait(DEADLINE_SECONDS)
        with other.write() as connection:
            lease.take(connection, leader.identity(), clocks.wall())
        written.set()
        thread.join()


# Services.


class Running:
    """A service in a thread of this process."""

    def __init__(self, world: World) -> None:
        self.store = Store(world.home.database_url)
        self.service = Service(world.home, self.store, tick_seconds=0.05)
        self.ready: list[Ready] = []
        self.problems: list[Exception] = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        poll(lambda: bool(self.ready or self.problems))

    def _run(self) -> None:
        try:
            asyncio.run(self.service.run(self.ready.append))
        except OperatorError as error:
            self.problems.append(error)

    def close(self) -> None:
        self.service.stop()
        self.thread.join()
        self.store.close()


@pytest.fixture
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "LOOK_SECONDS", 0.05)


def leads(world: World, who: Running) -> bool:
    with world.store.read() as connection:
        return lease.stored(connection).holder == who.service.candidate.identity.holder


@pytest.mark.e2e
@pytest.mark.usefixtures("short_looks")
def test_a_second_service_of_one_home_stands_by_and_says_so_until_the_first_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with (
        any_broker(tmp_path) as port,
        closing(World(tmp_path, devices=3, broker_port=port)) as world,
    ):
        toml = world.home.path / "controller.toml"
        toml.write_text(toml.read_text().replace("127.0.0.1:0", f"127.0.0.1:{free_port()}"))
        world.home = type(world.home)(world.home.path)
        with closing(Running(world)) as first, closing(Running(world)) as second:
            assert (first.ready[0].leads, second.ready[0].leads) == (True, False)
            assert first.ready[0].files_url == second.ready[0].files_url
            assert caplog.text.count("standing by: process") == 1
            poll(lambda: fleet(world).link["connected"])
            assert fleet(world).leader is not None
            first.close()
            poll(lambda: leads(world, second))
            poll(lambda: second.ready[-1].leads)
            poll(lambda: "files are served at" in caplog.text)
            poll(lambda: fleet(world).link["connected"])
        found = fleet(world)
        assert (found.leader, found.link["connected"]) == (None, False)


def fleet(world: World) -> overview.Fleet:
    with world.store.read() as connection:
        return overview.fleet(connection, "meadow", time.time())


def test_an_address_that_another_program_has_is_an_error_if_no_service_leads(
    tmp_path: Path,
) -> None:
    with closing(World(tmp_path)) as world:
        toml = world.home.path / "controller.toml"
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            toml.write_text(toml.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
            world.home = type(world.home)(world.home.path)
            with closing(Running(world)) as service:
                assert "files.listen" in str(service.problems[0])


@pytest.mark.e2e
@pytest.mark.usefixtures("short_looks")
def test_a_service_whose_lease_was_taken_stops_its_work_and_stands_by(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off: list[Connection] = []
    monkeypatch.setattr(Connection, "drop", lambda self: broken_off.append(self))
    with (
        any_broker(tmp_path) as port,
        closing(World(tmp_path, devices=1, broker_port=port)) as world,
        closing(Running(world)) as first,
    ):
        poll(lambda: fleet(world).link["connected"])
        with world.store.write() as connection:
            lease.take(connection, leader.identity(), world.now)
        poll(lambda: "publishes and stores nothing any more" in caplog.text)
        poll(lambda: not first.ready[-1].leads)
        assert len(broken_off) == 1
        world.start(1, quick(100))
        assert not leads(world, first)
        assert newest(world).stages == []
        with world.store.write() as connection:
            lease.give_back(connection, world.now)
        poll(lambda: len(newest(world).stages) == 1)
        assert leads(world, first)
