"""Tests what is told of the log's events, and that each message is tried until it is taken, once
for each event."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from one_step_leader import leading
from rollout_world import World, quick
from sqlalchemy import text
from webhook_receiver import SECRET, Receiver, is_signed, receiving

from modelwave_controller.alerts.carrier import carrier
from modelwave_controller.alerts.settings import AlertSettings
from modelwave_controller.operations.alerts import states
from modelwave_controller.rollout import alerts as told
from modelwave_controller.rollout.alert_message import Place
from modelwave_controller.rollout.events import AlertGivenUp, Held
from modelwave_controller.service import alert_course
from modelwave_controller.service.alert_course import Clocks, Course
from modelwave_controller.service.leader import Candidate
from modelwave_controller.storage import alert_rows, log
from modelwave_controller.storage.lease import LeaseLost

ALL = [told.HELD, told.GATE_FAILED, told.REVERTED, told.FINISHED, told.APPROVAL_WANTED]
PAGE = "https://fleet.example/mw"


class Told:
    """A world, and an alert of it whose steps the test takes."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.world = World(folder, devices=10)
        (self.world.home.path / "on-call.secret").write_text(SECRET + "\n")
        self.changes = changes
        self.steady = 0.0
        self.course: Course | None = None

    def lead(self, receiver: Receiver) -> Course:
        """Another service leads from now on."""
        store = Candidate(self.world.store, lambda: self.world.now, lambda: 1e6).try_to_lead()
        if store is None:  # the one before was killed: its lease is taken
            self.sql("UPDATE lease SET holder = ''")
            return self.lead(receiver)
        fields = {"name": "on-call", "on": ALL, "url": receiver.url} | self.changes
        settings = AlertSettings(**fields, secret_file="on-call.secret")
        carry = carrier(settings, self.world.home.path, threading.Event())
        clocks = Clocks(lambda: self.world.now, lambda: self.steady, lambda: 1.0)
        self.course = Course(store, settings, Place("meadow", "on-call", PAGE), carry, clocks)
        return self.course

    async def steps(self) -> float:
        """Takes steps until there is something to wait for; returns for how long."""
        assert self.course is not None
        while not (pause := await self.course.step()):
            pass
        return pause

    def fail(self) -> int:
        """A rollout whose gate fails and holds it."""
        rollout = self.world.start(2, quick(50, 100, on_fail="hold"))
        self.world.tick()
        self.world.answer("ROLLED_BACK", self.world.devices.values(), "golden")
        self.world.tick()
        return rollout

    def hold(self) -> None:
        """A further event of a rollout that is held."""
        rollout = 1 if self.world.state().rollouts else self.world.start(2, quick(50, 100))
        with self.world.store.write() as connection:
            log.append(connection, rollout, self.world.now, [Held(reason="its gate")])

    def row(self) -> alert_rows.AlertRow:
        with self.world.store.read() as connection:
            found = alert_rows.get(connection, "on-call")
        assert found is not None
        return found

    def sql(self, statement: str) -> None:
        with self.world.store.write() as connection:
            connection.execute(text(statement))

    def given_up(self) -> list[AlertGivenUp]:
        with self.world.store.read() as connection:
            events = log.events_after(connection)
            return [event.body for event in events if isinstance(event.body, AlertGivenUp)]


Play = Callable[[Told, Receiver], Coroutine[Any, Any, None]]


@pytest.fixture
def alert(tmp_path: Path) -> Iterator[Told]:
    found = Told(tmp_path)
    with closing(found.world):
        yield found


def play(alert: Told, script: Play, *answers: int) -> None:
    async def work() -> None:
        async with receiving(*answers) as receiver:
            alert.lead(receiver)
            await alert.steps()
            await script(alert, receiver)

    asyncio.run(work())


def test_a_receiver_that_fails_twice_gets_the_same_signed_message_until_it_takes_it(
    alert: Told,
) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        rollout = alert.fail()
        assert await alert.steps() == alert_course.FIRST_PAUSE_SECONDS
        assert (alert.row().tries, alert.row().error) == (1, f"{host(receiver)} answered 503")
        assert alert.course.tries == 1
        alert.world.now += 5
        assert await alert.steps() == 2 * alert_course.FIRST_PAUSE_SECONDS
        assert alert.course.tries == 2
        assert await alert.steps() == alert_course.LOOK_SECONDS
        assert alert.course.tries == 0
        assert len(set(receiver.ids)) == 1
        assert len({body for _, _, body in receiver.asked}) == 1
        for _, headers, body in receiver.asked:
            assert is_signed(headers, body)
            assert not is_signed(headers, body + b" ")
            assert not is_signed(headers | {"webhook-timestamp": "1"}, body)
            assert not is_signed(headers | {"webhook-id": "another"}, body)
        times = [int(headers["webhook-timestamp"]) for _, headers, _ in receiver.asked]
        assert times == [alert.world.now - 5, alert.world.now, alert.world.now]
        (found,) = receiver.taken
        assert found["type"] == "rollout.held"
        data = found["data"]
        assert data["status"] == "HELD"
        assert (data["rollout"], data["model"], data["release"]) == (rollout, "digits", "2 (v2)")
        assert (data["stage"], data["stages"]) == (1, 2)
        assert "rolled back" in data["why"]
        assert f"`modelwave rollout revert {rollout}` takes the release back" in data["next"]
        assert "resume" not in data["next"]  # it is refused after a FAIL
        assert data["url"] == f"{PAGE}/rollouts/{rollout}"
        assert alert.row()[2:6] == (0, 0, alert.row().since, 1)
        assert "secret-path" not in str(alert.row())

    play(alert, script, 503, 500)


def host(receiver: Receiver) -> str:
    return receiver.url.split("/")[2]


def test_a_gate_that_fails_and_what_the_service_does_then_are_one_alert(alert: Told) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        alert.world.start(1, quick(100))
        alert.world.tick()
        alert.world.answer("SUCCEEDED", alert.world.devices.values())
        alert.world.tick()
        alert.world.start(2, quick(50, 100))
        alert.world.tick()
        alert.world.answer("ROLLED_BACK", alert.world.devices.values())
        alert.world.tick()
        await alert.steps()
        assert receiver.statuses == ["FINISHED", "REVERTED"]
        alert.world.answer("SUCCEEDED", alert.world.devices.values())
        alert.world.tick()
        await alert.steps()
        assert receiver.statuses == ["FINISHED", "REVERTED", "REVERT OVER"]

    play(alert, script)


def test_a_gate_that_is_inconclusive_may_be_resumed_says_its_alert(alert: Told) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        alert.hold()
        await alert.steps()
        assert "`modelwave rollout resume 1` waits" in receiver.taken[0]["data"]["next"]

    play(alert, script)


def test_a_gate_that_fails_is_told_alone_to_who_wants_nothing_else(tmp_path: Path) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        alert.fail()
        await alert.steps()
        assert receiver.statuses == ["FAIL"]

    alert = Told(tmp_path, on=[told.GATE_FAILED])
    with closing(alert.world):
        play(alert, script)


def test_who_is_killed_between_sending_and_noting_sends_the_same_again(alert: Told) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        alert.hold()
        course = alert.course
        assert course is not None

        def killed(_row: object) -> None:
            raise KeyboardInterrupt

        note = course._store
        # The first note, of what is about to be sent, is stored; the second, that it was, not.
        notes = iter([note, killed])
        course._store = lambda row: next(notes)(row)  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            await alert.steps()
        alert.hold()  # meanwhile something else happens
        alert.lead(receiver)
        await alert.steps()
        assert receiver.statuses == ["HELD", "HELD", "HELD"]
        assert receiver.ids[0] == receiver.ids[1] != receiver.ids[2]

    play(alert, script)


def test_a_service_that_takes_over_loses_nothing_and_the_one_before_sends_no_more(
    alert: Told,
) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        alert.hold()
        before = alert.course
        assert before is not None
        await alert.steps()
        alert.hold()
        alert.lead(receiver)
        with pytest.raises(LeaseLost):
            await before.step()
        assert len(receiver.asked) == 1
        await alert.steps()
        await alert.steps()
        assert receiver.statuses == ["HELD", "HELD"]

    play(alert, script, 503)


def test_a_new_alert_tells_no_history(alert: Told) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        await alert.steps()
        assert not receiver.asked

    alert.hold()
    play(alert, script)


def test_what_is_older_than_a_day_when_a_service_begins_is_given_up_with_a_count(
    alert: Told,
) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        alert.hold()
        alert.hold()
        alert.sql("UPDATE events SET at = at - 86401")
        alert.hold()
        alert.lead(receiver)
        await alert.steps()
        assert receiver.statuses == ["HELD"]
        (found,) = alert.given_up()
        assert (found.alert, found.number) == ("on-call", 2)
        assert alert.row().given_up == 2

    play(alert, script)


@pytest.mark.parametrize("days", [40, -40])
def test_a_jump_of_the_controllers_clock_loses_no_alert_and_ends_no_try(
    alert: Told, days: int
) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        alert.world.tick()
        alert.hold()
        await alert.steps()
        alert.world.jump(days * 86400.0)
        await alert.steps()
        assert receiver.statuses == ["HELD"]
        alert.world.jump(-days * 86400.0)
        alert.hold()
        alert.world.jump(days * 86400.0)
        alert.lead(receiver)  # a service that begins under the wrong clock drops nothing
        await alert.steps()
        assert receiver.statuses == ["HELD", "HELD"]
        alert.hold()  # its time is wrong
        alert.world.tick()
        alert.lead(receiver)
        await alert.steps()
        assert receiver.statuses == ["HELD", "HELD", "HELD"]
        assert not alert.given_up()

    play(alert, script, 503)


def test_a_message_is_given_up_after_a_day_of_tries_and_the_next_has_its_turn(
    alert: Told,
) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        alert.hold()
        await alert.steps()
        alert.hold()
        alert.sql("UPDATE clock SET seconds = seconds + 86401")
        await alert.steps()
        (found,) = alert.given_up()
        assert (found.number, found.reason) == (
            1,
            f"tried 2 times, the last: {host(receiver)} answered 500",
        )
        assert receiver.statuses == ["HELD"]
        assert alert.row().given_up == 1
        assert alert.course.tries == 0

    play(alert, script, 500, 500)


def test_more_than_may_be_sent_a_minute_are_told_in_one_message(tmp_path: Path) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        for _ in range(2):
            alert.hold()
        await alert.steps()
        for _ in range(3):
            alert.hold()
        assert 0 < await alert.steps() <= alert_course.LOOK_SECONDS
        assert receiver.statuses == ["HELD", "HELD"]
        alert.steady += 59
        await alert.steps()
        assert len(receiver.taken) == 2
        alert.steady += 2
        await alert.steps()
        assert receiver.statuses == ["HELD", "HELD", "DIGEST"]

    alert = Told(tmp_path, per_minute=2)
    with closing(alert.world):
        play(alert, script)


def test_a_digest_counts_all_and_has_the_same_id_when_it_is_tried_again(tmp_path: Path) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        for _ in range(4):
            alert.hold()
        await alert.steps()
        alert.hold()
        await alert.steps()
        (first, second), (_, _, body) = receiver.ids[:2], receiver.asked[1]
        assert first == second
        data = json.loads(body)["data"]
        assert (data["number"], data["counts"]) == (4, {"HELD": 4})
        assert [one["rollout"] for one in data["newest"]] == [1, 1, 1, 1]
        assert data["text"].startswith("4 alerts of fleet meadow: 4 HELD\nHELD: rollout 1 (digits")

    alert = Told(tmp_path, per_minute=2)
    with closing(alert.world):
        play(alert, script, 503)


def test_a_redirect_is_not_followed_and_retry_after_is_kept_within_bounds(alert: Told) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        alert.hold()
        await alert.steps()
        assert [path for path, _, _ in receiver.asked] == ["/hooks/a-secret-path"]
        assert "answered 302; it is not followed to another address" in alert.row().error
        receiver.headers["Retry-After"] = "60"
        assert await alert.steps() == 60
        receiver.headers["Retry-After"] = "9" * 9
        receiver.text = "busy\x1b[31m" + "x" * 10_000_000
        assert await alert.steps() == 3600
        assert "busy?[31mxxx" in alert.row().error
        assert len(alert.row().error) < 400

    play(alert, script, 302, 429, 503)


def test_approvals_and_their_check_are_told(alert: Told) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        plan = quick(100)
        stage = plan.stages[0].model_copy(update={"approval": "see the dashboard"})
        alert.world.start(3, plan.model_copy(update={"stages": (stage,)}))
        alert.world.tick()
        await alert.steps()
        (found,) = receiver.taken
        assert found["type"] == "rollout.approval_wanted"
        assert found["data"]["why"] == "stage 1 waits for approval: see the dashboard"
        assert found["data"]["next"] == "`modelwave rollout approve 1` opens it"

    play(alert, script)


def test_the_list_says_what_waits_and_what_failed(alert: Told) -> None:
    async def script(alert: Told, receiver: Receiver) -> None:
        alert.hold()
        await alert.steps()
        alert.hold()
        course = alert.course
        assert course is not None
        with alert.world.store.read() as connection:
            (found,) = states(connection, [course.settings])
        assert (found.waiting, found.sent, found.tries) == (2, 0, 1)
        assert found.way == f"http://{host(receiver)}"
        assert "secret" not in repr(found)
        assert "secret-path" not in repr(course.settings)

    play(alert, script, 500)


def test_devices_in_trouble_over_a_share_are_told_once_and_when_it_is_over(
    tmp_path: Path,
) -> None:
    with closing(World(tmp_path, devices=10)) as world:
        world.home.__dict__["config"] = world.home.config.model_copy(
            update={"alerts": [AlertSettings(name="a", on=["in_trouble"], command=["true"])]}
        )
        steady = [0.0]
        leads = leading(world, lambda: steady[0])

        def look() -> list[str]:
            steady[0] += 10
            leads.trouble_watch.step(world.state(), world.now, steady[0])
            with world.store.read() as connection:
                return [one.body.kind for one in log.of_kinds(connection, told.KINDS, 0, 10**9, 99)]

        stage = {"max_rolled_back_percent": 90, "max_failed_percent": 90}
        world.start(1, quick(100, stage=stage))
        world.tick()
        devices = [*world.devices.values()]
        world.answer("FAILED", devices[:1])
        assert look() == []
        world.answer("FAILED", devices[:3])
        assert look() == ["in_trouble"]
        world.answer("FAILED", devices[:4])
        assert look() == ["in_trouble"]
        world.answer("SUCCEEDED", devices[:4])
        assert look() == ["in_trouble", "trouble_over"]
        world.tick()
        assert look()[:2] == ["in_trouble", "trouble_over"]
