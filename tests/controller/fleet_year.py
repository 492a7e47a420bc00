"""A year of a fleet in compressed time: heartbeats, windows, rollouts, some of which are reverted,
and what the service deletes. The clock is an argument everywhere, and this one jumps.

What is thinned, and why the database has the same size in the end:

    heartbeats   one of each device in so many days; each takes the place of the one before
                 (test_retention.py), so that more of them make no row more
    answers      `reporting` devices send reports; of the others the log gets what their reports
                 would have put there, through the same function
    windows      one a day of some devices; windows are put together by hour and by day
    presence     as heartbeats
    ticks        while no rollout is open, there are none: they write the clock, which is one row
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rollout_world import FLEET, TARGET, Device, World, order_in, quick, seen
from sqlalchemy import func, select, update
from tests.controller import counted_twice

from modelwave_controller.operations import rollouts
from modelwave_controller.results.rollouts import Status
from modelwave_controller.rollout.events import IN_PROGRESS, Body, Reported
from modelwave_controller.rollout.state import FINISHED, REVERTED, State
from modelwave_controller.service import retention
from modelwave_controller.service.folding import PAUSE_SECONDS, Folding
from modelwave_controller.service.repeats import FLUSH_SECONDS, Repeats
from modelwave_controller.service.retention import DAY_SECONDS, Retention
from modelwave_controller.service.tick import Ticker
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage import log, tables
from modelwave_shared import topics
from modelwave_shared.slots import slot

MODEL = "digits"
FAILS, ROLLS_BACK = 50, 70  # one device of so many
AT_ONCE = 5000
MAX_ROUNDS = 20  # of answers to a rollout
REVERTED_EACH = 6  # one rollout of so many


class Plan(NamedTuple):
    """`observing`: devices that send windows; `beats_each`, `measured_each`: days between two."""

    devices: int
    reporting: int
    days: int
    rollouts: int
    keep_days: int
    observing: int
    beats_each: int
    measured_each: int


class Measured(NamedTuple):
    """What the database had after so many days; `answers` are those in the log."""

    day: int
    bytes: int
    answers: int
    others: int  # events
    windows: int  # and hours and days
    rollouts: int


class FleetYear:
    def __init__(self, folder: Path, url: str, plan: Plan) -> None:
        self.plan = plan
        self.world = World(folder, url, plan.devices)
        self.world.inbox = Inbox()
        repeats = Repeats(self.world.store, lambda: self.world.steady)
        self.world.writer = Writer(
            self.world.store, FLEET, self.world.inbox, lambda: self.world.now, repeats=repeats
        )
        self.repeats = repeats
        self.retention = Retention(self.world.store, plan.keep_days)
        self.folding = Folding(self.world.store, plan.keep_days)
        self.shown: dict[int, Status] = {}  # by rollout, when it was over
        self.reporting = {*list(self.world.devices)[: plan.reporting]}
        self.slots = {name: slot(FLEET, name) for name in self.world.devices}
        self.begun = self.world.now
        self._state: State | None = None
        self._releases: dict[str, int] = {}  # by manifest
        self._steady = 0.0  # of folding and retention
        self._heard = 0

    def run(self, tell: Callable[[Measured], None] = lambda _: None) -> list[Measured]:
        """Lets the year pass; returns what was measured."""
        found, pause, begun = [], self.plan.days / self.plan.rollouts, 0
        for day in range(1, self.plan.days + 1):
            if begun < self.plan.rollouts and day >= 1 + begun * pause:
                begun += 1
                self.roll_out(begun, is_bad=begun % REVERTED_EACH == 0)
            self._pass_a_day()
            if day % self.plan.beats_each == 0:
                self._beat(day)
            self._observe(day)
            self._clean_up()
            if day % self.plan.measured_each == 0:
                found.append(self.measure(day))
                tell(found[-1])
        return found

    def roll_out(self, number: int, is_bad: bool) -> None:
        world = self.world
        world.ticker = Ticker(world.store, world.issuer)
        world._ticked = None
        gate = dict.fromkeys(("max_rolled_back_percent", "max_failed_percent"), 60)
        gate["min_succeeded_percent"] = 40
        for release in world.release(number).values():
            self._releases[release.digest] = number
        world.start(number, quick(20, 50, 100, stage=gate))
        rollout = self._newest().id
        for _ in range(MAX_ROUNDS):
            found = self._newest()
            if found.over:
                break
            world.tick()
            self._answer_new(world.devices.values())
            if is_bad and len(found.stages) == 2 and not found.back:
                rollouts.revert(world.store, str(rollout), "it is slower", world.now, "me@here")
            world.now += 101
            world.tick()
        assert found.status == (REVERTED if is_bad else FINISHED), found.reason
        self._answer_new(world.devices.values())  # the order for all
        if not is_bad and number % 2:
            self._retry(rollout)
        self.shown[rollout] = seen(world, str(rollout))

    def _retry(self, rollout: int) -> None:
        """Those that failed get orders of their own."""
        its = [d for d in self.world.devices.values() if d.models[MODEL]["outcome"] == "FAILED"]
        if its:
            names = [device.name for device in its]
            rollouts.retry(self.world.store, str(rollout), names, [], "again", self.world.now)
            self.world.tick()
            self._answer(its, "SUCCEEDED")

    def _newest(self) -> Any:
        with self.world.store.read() as connection:
            self._state = log.without_answers(connection, self._state)
        return list(self._state.rollouts.values())[-1]

    def _answer_new(self, devices: Iterable[Device]) -> None:
        """Devices fetch what is new, and then succeed; some fail, and some roll back."""
        fetching = self._answer(devices, "")
        by_outcome: dict[str, list[Device]] = {"SUCCEEDED": [], "FAILED": [], "ROLLED_BACK": []}
        turn = self._newest().id
        for device in fetching:
            number = int(device.name[1:])
            odd = "FAILED" if number % FAILS == turn % FAILS else "SUCCEEDED"
            by_outcome["ROLLED_BACK" if number % ROLLS_BACK == turn + 7 else odd].append(device)
        for outcome, its in by_outcome.items():
            self._answer(its, outcome, is_new=False)

    def _answer(
        self, devices: Iterable[Device], outcome: str, is_new: bool = True
    ) -> Sequence[Device]:
        """Makes these devices answer; `is_new`: those with an order that they have not answered.
        One that runs the release already says so at once."""
        orders, answering, fetching = self._orders(), list[Device](), list[Device]()
        logged: list[tuple[int, Body]] = []
        rollout = self._newest().id
        for device in devices:
            its = (
                topics.desired_slot(FLEET, TARGET, MODEL, self.slots[device.name]),
                topics.desired_all(FLEET, TARGET, MODEL),
                topics.desired_device(FLEET, device.name, MODEL),
            )
            found = [orders[topic] for topic in its if topic in orders]
            order = max(found, key=lambda one: int(one["seq"]), default=None)
            held = device.models[MODEL]
            if order is None or (is_new and order["seq"] <= held["seq"]):
                continue
            runs = held["sha256"] == order["manifest"]
            said = "SUCCEEDED" if runs and not outcome else outcome
            device.take(order, said, "" if said in ("", "SUCCEEDED") else "unhealthy")
            if said == "SUCCEEDED":
                device.models[MODEL]["release"] = self._releases[order["manifest"]]
            if device.name in self.reporting:
                answering.append(device)
            elif not runs or said != "SUCCEEDED":
                logged.append((rollout, said_by(device)))
            if not said:
                fetching.append(device)
        self.world.hear(answering)
        for start in range(0, len(logged), AT_ONCE):
            with self.world.store.write() as connection:
                log.append_all(connection, self.world.now, logged[start : start + AT_ONCE])
        return fetching

    def _orders(self) -> dict[str, dict[str, Any]]:
        """Returns {topic: the order there}."""
        both = select(tables.outbox.c.topic, tables.blobs.c.sha256, tables.blobs.c.data).join(
            tables.blobs, tables.blobs.c.sha256 == tables.outbox.c.blob
        )
        start = topics.under(FLEET, "desired", "")
        with self.world.store.read() as connection:
            rows = connection.execute(both.where(tables.outbox.c.topic.startswith(start))).all()
        orders = {sha256: order_in(bytes(data)) for sha256, data in {r[1:] for r in rows}}
        return {topic: orders[sha256] for topic, sha256, _ in rows}

    def _pass_a_day(self) -> None:
        """As if a service had ticked all day."""
        self.world.now = self.begun + ((self.world.now - self.begun) // DAY_SECONDS + 1) * float(
            DAY_SECONDS
        )
        clock = tables.clock.c
        values = {"seconds": clock.seconds + DAY_SECONDS, "wall": self.world.now}
        with self.world.store.write() as connection:
            connection.execute(update(tables.clock).values(values))

    def _beat(self, day: int) -> None:
        for device in self.world.devices.values():
            free = {"flash": 10**6 + day, "ram": 10**6 + device.n}
            self._put(topics.reported(FLEET, device.name), device.report(free=free))
            self._put(topics.presence(FLEET, device.name), b"online")
        self.world.hear([])
        self.world.now += FLUSH_SECONDS
        self.repeats.flush()
        self._newest()
        for rollout, found in self._state.rollouts.items() if self._state else ():
            if not any(wave.counted for wave in found.waves()):
                self.shown[rollout] = seen(self.world, str(rollout))  # with what was reported now

    def _observe(self, day: int) -> None:
        for device in list(self.world.devices.values())[: self.plan.observing]:
            if release := device.models[MODEL]["release"]:
                document = {"boot": 1, "n": day, "install": "a" * 16, "model": MODEL}
                document |= {"release": release, "window": day, "seconds": 900, "age_seconds": 0}
                document |= {"inferences": 100, "failures": 1, "labelled": 10, "correct": 9}
                self._put(topics.metrics(FLEET, device.name), json.dumps(document).encode())
        self.world.hear([])

    def _put(self, topic: str, payload: bytes) -> None:
        self.world.inbox.put(topic, payload)
        self._heard += 1
        if self._heard % 1000 == 0:
            self.world.hear([])

    def _clean_up(self) -> None:
        """Goes through all windows once, and through all that is old."""
        steps = range(1 + self.plan.observing // 25)
        for _ in steps:
            self._steady += PAUSE_SECONDS
            self.folding.step(self._steady)
        self._newest()
        assert self._state
        self._steady += retention.ROUND_SECONDS + retention.FIRST_SECONDS
        while True:
            self.retention.step(self._state, self.world.now, self._steady)
            self._steady += retention.STEP_SECONDS
            if self.retention._steps is None:
                return

    def measure(self, day: int) -> Measured:
        with self.world.store.read() as connection:
            answers = log.count_answers(connection, log.Wanted(answers=True))
            count = select(func.count())
            number = connection.scalar(count.select_from(tables.events)) or 0
            spans = (tables.windows, tables.window_spans)
            windows = sum(connection.scalar(count.select_from(one)) or 0 for one in spans)
        size = self._size()
        return Measured(day, size, answers, number - answers, windows, len(self.shown))

    def _size(self) -> int:
        """Bytes on the disk: of the file, after its log was written into it; of the tables, after
        what autovacuum does there by the minute."""
        with self.world.store._engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            if connection.dialect.name == "sqlite":
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                pages = raw.execute("PRAGMA page_count").fetchone()[0]
                return int(pages * raw.execute("PRAGMA page_size").fetchone()[0])
            raw.autocommit = True
            raw.execute("VACUUM")
            names = [f"'{name}'" for name in tables.metadata.tables]
            sizes = "+".join(f"pg_total_relation_size({name})" for name in names)
            found = int(raw.execute(f"SELECT {sizes}").fetchone()[0])
            raw.autocommit = False
            return found

    def require_the_rest(self) -> None:
        """All that is not the answer of a single device is as it was."""
        with self.world.store.write() as connection:
            assert counted_twice.rows(connection) == counted_twice.recounted(connection)
        for rollout, before in self.shown.items():
            after = seen(self.world, str(rollout))
            assert after.rows == before.rows, rollout
            assert after.status == before.status, rollout
        with self.world.store.read() as connection:
            kinds = connection.execute(
                select(tables.events.c.kind, func.count()).group_by(tables.events.c.kind)
            )
            found = {row[0]: row[1] for row in kinds}
        bad = self.plan.rollouts // REVERTED_EACH
        assert found["created"] == self.plan.rollouts
        assert found.get("revert_asked", 0) == found.get("reverted", 0) == bad
        assert found["finished"] == self.plan.rollouts  # also those that were reverted
        assert found["condensed"] > 0

    def close(self) -> None:
        self.world.close()


def said_by(device: Device) -> Reported:
    """Returns the event that the device's next report would be."""
    its = device.models[MODEL]
    outcome = its["outcome"] or IN_PROGRESS
    epoch, seq, reason = its["epoch"], its["seq"], its["reason"]
    return Reported(device=device.name, seq=seq, outcome=outcome, reason=reason, epoch=epoch)
