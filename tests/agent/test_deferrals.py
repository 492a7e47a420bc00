"""Tests updates that the program defers: it is asked before the download and before the new model
serves, and again later until it says yes."""

import asyncio
import threading

import pytest

from modelwave_agent.host.hooks import MayUpdate
from modelwave_agent.model_report import ModelReport
from modelwave_agent.ports import Clock
from modelwave_agent.retries import MAX_DEFERRAL_SECONDS, Retries
from modelwave_agent.upcoming import Upcoming
from tests import signing
from tests.agent.fakes import TOPIC, FakeHooks, live, settled, world_with_live

OLD = signing.Release(1, b"old model " * 250)
NEW = signing.Release(2, b"new model " * 300)
LATER = signing.Release(3, b"later model " * 300)


@pytest.fixture
def world(tmp_path):
    """A device that runs OLD, by order 1, and has an order for NEW."""
    made = world_with_live(tmp_path, OLD, NEW, LATER)
    made.retained[TOPIC] = signing.order(NEW, 2)
    made.fetched = 0
    return made


def answers(monkeypatch, given):
    """The program answers so: `given(upcoming)`. Returns what it was asked about."""
    asked = []

    def may_update(_hooks, upcoming):
        asked.append((upcoming.model, upcoming.release, upcoming.version))
        return given(upcoming)

    monkeypatch.setattr(FakeHooks, "may_update", may_update)
    return asked


def is_deferred(world, seq=2):
    return (
        world.reports
        and (world.last_report()["seq"], world.last_report()["outcome"]) == (seq, "DEFERRED")
        and world.last_report()
    )


def test_update_that_may_not_go_on_is_told_as_deferred_and_nothing_is_fetched(world, monkeypatch):
    asked = answers(monkeypatch, lambda _: "the battery is low")
    assert asyncio.run(live(world, lambda _: is_deferred(world)))
    state = world.last_report()
    assert (state["state"], state["reason"], state["release"]) == (
        "fetching",
        "the battery is low",
        1,
    )
    assert state["tries"] >= 1
    assert state["next_seconds"] >= 0
    assert world.fetched == 0
    assert set(asked) == {("digits", 2, "v2")}


def test_program_is_asked_before_the_download_and_again_before_the_swap(world, monkeypatch):
    where = []

    def may_update(_):
        where.append((world.durable()["state"], world.fetched > 0))

    answers(monkeypatch, may_update)
    assert asyncio.run(live(world, settled(world, 2)))
    assert where == [("fetching", False), ("proving", True)]


def test_program_says_that_it_may_now_and_the_update_goes_on_at_once(world, monkeypatch):
    moving = ["moving"]
    answers(monkeypatch, lambda _: "".join(moving))
    told = []

    def done(update):
        # From a pause of more than 40 seconds on this clock waits for the program's word alone.
        fault = update.report.fault
        if is_deferred(world) and fault and fault.next_at - update.ports.clock.now() > 40:
            moving.clear()
            told.append(world.last_report())
            update.work.progress.update_now.set()
        return settled(world, 2)(update) and world.last_report()["outcome"] == "SUCCEEDED"

    assert asyncio.run(live(world, done))
    assert told
    assert world.last_report()["release"] == 2
    states = [report["models"]["digits"] for report in world.reports]
    assert [s["outcome"] for s in states if s["state"] == "trial"] == [""]


def test_program_that_asked_for_the_question_and_says_no_is_asked_once(world, monkeypatch):
    monkeypatch.setattr("modelwave_agent.retries.random.random", lambda: 1)
    asked = answers(monkeypatch, lambda _: "moving")
    counts = []  # of questions, in each turn since the program has asked for one

    def done(update):
        fault = update.report.fault
        if counts:
            counts.append(len(asked))
        # As above: it waits for the program's word alone.
        elif is_deferred(world) and fault and fault.next_at - update.ports.clock.now() > 40:
            counts.append(len(asked))
            update.work.progress.update_now.set()
        return len(counts) > 200

    assert asyncio.run(live(world, done))
    assert counts[-1] == counts[0] + 1


def test_program_that_changes_its_mind_before_the_swap_keeps_the_old_model_and_no_try_counts(
    world, monkeypatch
):
    answers(monkeypatch, lambda _: "moving" if world.fetched else "")
    assert asyncio.run(live(world, lambda _: is_deferred(world)))
    assert world.fetched == sum(map(len, NEW.files.values()))
    record = world.durable()
    assert (record["state"], record["tries"]) == ("fetching", 0)
    assert 2 not in world.served
    answers(monkeypatch, lambda _: "")
    assert asyncio.run(live(world, settled(world, 2)))
    assert (world.last_report()["outcome"], world.last_report()["release"]) == ("SUCCEEDED", 2)
    assert world.fetched == sum(map(len, NEW.files.values())), "it was downloaded twice"


def test_resets_while_deferred_cost_no_try(world, monkeypatch):
    answers(monkeypatch, lambda _: "moving" if world.fetched else "")
    for _ in range(5):
        world.reports.clear()
        assert asyncio.run(live(world, lambda _: is_deferred(world)))
    answers(monkeypatch, lambda _: None)
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["outcome"] == "SUCCEEDED"


async def slowly(answer):
    await asyncio.sleep(0)
    return answer


class Scalar:
    """A truth value of numpy, which is no bool."""

    def __init__(self, value):
        self.value = value

    def __bool__(self):
        return self.value


Scalar.__name__ = "bool_"


class Word(str):
    """A text of a class of its own."""


def breaks():
    raise ValueError("no such sensor")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (lambda: False, "the program says: not now"),
        (lambda: slowly(False), "the program says: not now"),
        (lambda: slowly("asleep"), "asleep"),
        (breaks, "hook: ValueError: no such sensor"),
        (lambda: 7, "hook: TypeError: it gave a int, not a text"),
        (lambda: slowly(7), "hook: TypeError: it gave a int, not a text"),
        (lambda: "x" * 1000, "x" * 200),
        (lambda: Scalar(False), "the program says: not now"),
        (lambda: slowly(Scalar(False)), "the program says: not now"),
        (lambda: 0, "hook: TypeError: it gave a int, not a text"),
        (list, "hook: TypeError: it gave a list, not a text"),
        (lambda: ["moving"], "hook: TypeError: it gave a list, not a text"),
        (lambda: b"", "hook: TypeError: it gave a bytes, not a text"),
        (lambda: Word("asleep"), "asleep"),
    ],
)
def test_every_answer_but_yes_defers_and_none_ends_the_agent(world, monkeypatch, given, reason):
    answers(monkeypatch, lambda _: given())
    assert asyncio.run(live(world, lambda _: is_deferred(world)))
    assert world.last_report()["reason"].startswith(reason)


@pytest.mark.parametrize("yes", [None, "", True, Scalar(True)])
def test_yes_has_three_forms(world, monkeypatch, yes):
    answers(monkeypatch, lambda _: slowly(yes))
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["outcome"] == "SUCCEEDED"


def test_order_that_expires_while_deferred_is_canceled_with_the_reason(world, monkeypatch):
    def too_late(_):
        world.wall = signing.EXPIRES
        return "moving"

    answers(monkeypatch, too_late)
    assert asyncio.run(live(world, settled(world, 2)))
    state = world.last_report()
    assert (state["outcome"], state["reason"]) == (
        "CANCELED",
        "deferred until the order expired: moving",
    )


def test_newer_order_ends_a_deferral(world, monkeypatch):
    answers(monkeypatch, lambda upcoming: upcoming.release == 3 or "moving")
    later = []

    def done(update):
        if is_deferred(world) and not later:
            later.append(signing.order(LATER, 3))
            world.deliver(TOPIC, later[0])
        return settled(world, 3)(update)

    assert asyncio.run(live(world, done))
    assert (world.last_report()["outcome"], world.last_report()["release"]) == ("SUCCEEDED", 3)


def test_failed_health_check_rolls_back_without_a_question(world, monkeypatch):
    asked = answers(monkeypatch, lambda _: "moving" if len(asked) > 2 else "")

    def done(update):
        if update.record["state"] == "trial":
            update.observe(2, 1, 1)
        return settled(world, 2)(update)

    assert asyncio.run(live(world, done))
    assert world.last_report()["outcome"] == "ROLLED_BACK"
    assert len(asked) == 2


class Waits(Clock):
    """Notes for how long it would have waited."""

    def __init__(self):
        self.waits = []
        self.slept = 0

    def now(self):
        return sum(self.waits)

    async def sleep(self, seconds):
        self.slept += seconds

    async def wait(self, event, seconds):
        self.waits.append(self.slept + (0 if event.is_set() else seconds))
        self.slept = 0
        return event.is_set()


def deferred(monkeypatch, chance, times, reason=lambda _: "moving", is_now=False):
    """Returns the pauses of a program that defers so often, and how many reports they trigger.
    `is_now`: it wants to be asked at once, each time."""
    monkeypatch.setattr("modelwave_agent.retries.random.random", lambda: chance)
    clock, report, changes = Waits(), ModelReport(), []
    report.changed = lambda: changes.append(1)
    retries = Retries(clock, report, None)
    now = asyncio.Event()
    if is_now:
        now.set()

    async def all_of_them():
        for number in range(times):
            assert await retries.defer(reason(number), now)

    asyncio.run(all_of_them())
    return clock.waits, len(changes)


def test_pauses_between_questions_grow_to_a_quarter_of_an_hour_with_full_jitter(monkeypatch):
    longest, _ = deferred(monkeypatch, 1, 2000)
    assert longest[:4] == [4, 8, 16, 32]
    assert longest[-1] == max(longest) == MAX_DEFERRAL_SECONDS == 900
    assert deferred(monkeypatch, 0, 3)[0] == [0, 0, 0]


def test_program_that_wants_to_be_asked_at_once_in_each_turn_is_asked_once_a_second(monkeypatch):
    assert deferred(monkeypatch, 1, 50, is_now=True)[0] == [1] * 50


def test_same_answer_triggers_one_report_and_another_one_a_new_one(monkeypatch):
    assert deferred(monkeypatch, 0.5, 50)[1] == 1
    assert deferred(monkeypatch, 0.5, 50, lambda n: "moving" if n < 25 else "low")[1] == 2


# The program's function on a host.

UPCOMING = Upcoming("digits", 2, "v2")


def test_function_that_blocks_is_answered_for_and_not_called_again_meanwhile():
    free, called = threading.Event(), []

    def blocks(_):
        called.append(1)
        free.wait(60)
        return "now"

    async def main():
        may = MayUpdate(blocks, 0.01)
        told = [await may(UPCOMING), await may(UPCOMING)]
        free.set()
        may.thread.join(60)
        may.seconds = 60
        return told, await may(UPCOMING)

    told, then = asyncio.run(main())
    assert told == ["may_update: no answer within 0.01 seconds"] * 2
    assert then == "now"
    assert len(called) == 2


def test_function_of_the_program_may_be_async():
    async def main():
        assert await MayUpdate(lambda upcoming: upcoming.release == 2)(UPCOMING) is True
        assert await MayUpdate(lambda upcoming: slowly(upcoming.version))(UPCOMING) == "v2"

    asyncio.run(main())


@pytest.mark.parametrize(
    "error",
    [
        LookupError("no battery"),
        StopIteration("no battery"),
        TimeoutError("no battery"),
        SystemExit("no battery"),
        asyncio.CancelledError("no battery"),
    ],
)
def test_what_the_function_raises_is_the_reason_and_not_that_it_is_late(error):
    def breaks(_):
        raise error

    async def main():
        return await MayUpdate(breaks, 5)(UPCOMING)

    assert asyncio.run(main()) == f"hook: {type(error).__name__}: no battery"


def test_timeout_of_an_async_function_is_its_own():
    async def breaks(_):
        raise TimeoutError("no battery")

    async def main():
        with pytest.raises(TimeoutError, match="no battery"):
            await MayUpdate(breaks, 5)(UPCOMING)

    asyncio.run(main())
