"""Tests that work which fails in the middle, for example without memory, is done later all the
same; and that an order may come while another is in progress."""

import asyncio
import errno
import random

import pytest

from modelwave_agent import download
from modelwave_agent.journal import Journal
from modelwave_agent.ledger import JOURNAL_PAUSE_SECONDS
from modelwave_agent.model_report import ModelReport
from modelwave_agent.ports import Clock, FetchError
from modelwave_agent.record import clean
from modelwave_agent.retries import FAILED_TRIES, Retries
from modelwave_shared.limits import MAX_TEXT
from tests import signing
from tests.agent import fakes
from tests.agent.fakes import TOPIC, live, settled, world_with_live

ONE = signing.Release(1, b"model one " * 300)
TWO = signing.Release(2, b"model two " * 300)
THREE = signing.Release(3, b"model three " * 300)


@pytest.fixture
def world(tmp_path):
    """A world in which release 1 is live."""
    return world_with_live(tmp_path, ONE, TWO, THREE)


def failed(world, seq):
    """Returns a condition: the last report says FAILED for the order so far."""

    def done(_):
        state = world.last_report() if world.reports else {"seq": 0}
        return state["seq"] == seq and state["outcome"] == "FAILED"

    return done


def fails(monkeypatch, owner, name, times, error=MemoryError()):
    """Makes `owner`'s function raise `error` a number of times."""
    calls = []
    right = getattr(owner, name)

    def short(*arguments):
        calls.append(name)
        if len(calls) <= times:
            raise error
        return right(*arguments)

    monkeypatch.setattr(owner, name, short)
    return calls


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (fakes.FakeFetcher, "fetch"),
        (fakes.FakeBanks, "intake"),
        (fakes.FakeBanks, "clear"),
        (fakes.FakeJournal, "write"),
        (fakes.FakeRuntime, "free_ram"),
    ],
)
def test_update_without_memory_is_done_when_there_is_some(world, monkeypatch, owner, name):
    world.retained[TOPIC] = signing.order(TWO, 2)
    calls = fails(monkeypatch, owner, name, 2)
    assert asyncio.run(live(world, settled(world, 2)))
    assert len(calls) > 2
    assert (world.last_report()["outcome"], world.last_report()["release"]) == ("SUCCEEDED", 2)
    assert world.faults == []


def test_nothing_is_served_before_it_was_hashed_after_a_reset(world, monkeypatch):
    calls = fails(monkeypatch, download, "damage", 2)
    world.retained.clear()
    world.served.clear()
    seen = []

    def done(update):
        seen.append((len(calls), update.work.booted.is_set(), bool(world.served)))
        return update.work.booted.is_set()

    assert asyncio.run(live(world, done))
    assert len(calls) == 3
    assert all(calls == 3 for calls, booted, served in seen if booted or served)


def journal_is_full(monkeypatch, times):
    """So often a record of the model cannot be written."""
    right = fakes.FakeJournal.write
    failures = [OSError(28, "No space left on device")] * times

    def full(journal, record):
        if failures and "banks" in record:
            raise failures.pop()
        right(journal, record)

    monkeypatch.setattr(fakes.FakeJournal, "write", full)
    return failures


def test_journal_that_was_full_for_long_does_not_need_the_order_to_come_again(world, monkeypatch):
    sent = []

    def done(update):
        if update.work.booted.is_set() and not sent:
            sent.append(journal_is_full(monkeypatch, 2 * len(JOURNAL_PAUSE_SECONDS)))
            world.deliver(TOPIC, signing.order(TWO, 2))
        return settled(world, 2)(update)

    assert asyncio.run(live(world, done))
    assert sent == [[]]
    assert world.last_report()["release"] == 2


def test_program_is_told_what_serves_though_the_journal_was_full_at_a_reset(world, monkeypatch):
    world.retained[TOPIC] = signing.order(TWO, 2, trial={"seconds": 0, "inferences": 10})
    assert asyncio.run(live(world, lambda update: update.record["state"] == "trial"))
    world.retained.clear()
    world.served.clear()
    journal_is_full(monkeypatch, len(JOURNAL_PAUSE_SECONDS))
    assert asyncio.run(live(world, lambda _: world.served))
    # The journal still says that release 2 is on trial: see machine.AFTER_A_RESET.
    assert world.served == [1]


@pytest.mark.parametrize("hook", ["serve", "healthy"])
def test_hook_that_awaits_what_the_program_cancelled_is_asked_again(world, monkeypatch, hook):
    """It raises what also ends the work for a newer order."""
    calls = []
    right = getattr(fakes.FakeHooks, hook)

    async def cancelled(hooks, live):
        calls.append(live.release)
        if len(calls) == 1:
            raise asyncio.CancelledError
        return await right(hooks, live)

    monkeypatch.setattr(fakes.FakeHooks, hook, cancelled)
    world.retained[TOPIC] = signing.order(TWO, 2)
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["release"] == 2
    assert calls[0] == calls[1]


def test_older_order_does_not_displace_a_newer_one_whose_floor_is_not_durable_yet(world):
    world.retained[TOPIC] = signing.order(TWO, 2, trial={"seconds": 0, "inferences": 10})
    sent = []

    def done(update):
        if update.record["state"] == "trial" and not sent:
            sent.append(world.deliver(TOPIC, signing.order(THREE, 5)))
            sent.append(world.deliver(TOPIC, signing.order(ONE, 3)))
        return settled(world, 5)(update)

    world.serve_turns = 50
    assert asyncio.run(live(world, done))
    assert world.last_report()["release"] == 3


def test_program_is_told_what_serves_though_a_newer_order_cut_the_telling_short(world):
    world.retained[TOPIC] = signing.order(TWO, 2, trial={"seconds": 0, "inferences": 10})
    del world.files[THREE.document["files"][0]["sha256"]]
    sent = []

    def done(update):
        if update.record["state"] == "trial" and update.work.progress.served and not sent:
            sent.append(world.deliver(TOPIC, signing.order(ONE, 3)))
        if len(sent) == 1 and update.record["state"] == "idle" and not update.work.progress.served:
            sent.append(world.deliver(TOPIC, signing.order(THREE, 4)))
        return failed(world, 4)(update)

    world.serve_turns = 50
    assert asyncio.run(live(world, done))
    assert len(sent) == 2
    assert world.last_report()["outcome"] == "FAILED"
    assert world.served[-1] == 1


LARGE = signing.Release(4, bytes(12 * download.PROGRESS_BYTES))


def breaks_off(monkeypatch, pieces):
    """Makes each download bring the number of bytes that `pieces` gives next, and then fail."""
    left = iter(pieces)

    async def fetch(fetcher, url, intake):
        await asyncio.sleep(0)
        data = fetcher.world.files[url.split("/")[-1]]
        intake.write(data[intake.offset :][: next(left, 0)])
        raise FetchError("the line broke")

    monkeypatch.setattr(fakes.FakeFetcher, "fetch", fetch)


def fetched_large(world, done):
    """Returns what the device reports of the order for LARGE once that is `done`."""
    world.files.update(LARGE.files)
    world.retained[TOPIC] = signing.order(LARGE, 2)
    assert asyncio.run(live(world, done(world, 2)))
    return world.last_report()


def test_line_that_breaks_off_again_and_again_brings_all_if_each_try_brings_enough(
    world, monkeypatch
):
    breaks_off(monkeypatch, [download.PROGRESS_BYTES] * 13)  # the last for the golden set
    assert fetched_large(world, settled)["outcome"] == "SUCCEEDED"


def test_line_that_brings_no_more_is_a_failure_whatever_it_has_brought_before(world, monkeypatch):
    breaks_off(monkeypatch, [download.PROGRESS_BYTES])
    found = fetched_large(world, failed)
    assert (found["tries"], found["state"]) == (FAILED_TRIES, "fetching")
    came = f"{download.PROGRESS_BYTES} of {12 * download.PROGRESS_BYTES} bytes"
    assert found["reason"] == f"download: the line broke, after {came}"


def test_wrong_bytes_are_asked_for_more_and_more_rarely_however_far_each_try_came(
    world, monkeypatch
):
    async def fetch(fetcher, url, intake):
        await asyncio.sleep(0)
        rest = intake.wanted - intake.offset
        intake.write(b"x" * min(rest, download.PROGRESS_BYTES))
        if rest > download.PROGRESS_BYTES:
            raise FetchError("the line broke")

    monkeypatch.setattr(fakes.FakeFetcher, "fetch", fetch)
    found = fetched_large(world, failed)
    assert found["tries"] == FAILED_TRIES
    assert found["reason"] == "download: model: its sha256 is not the one that was signed"


def test_server_with_wrong_bytes_is_passed_over_for_the_next_one(world, monkeypatch):
    right = fakes.FakeFetcher.fetch

    async def fetch(fetcher, url, intake):
        if url.startswith("http://bad/"):
            return intake.write(bytes(intake.wanted))
        await right(fetcher, url, intake)

    monkeypatch.setattr(fakes.FakeFetcher, "fetch", fetch)
    world.retained[TOPIC] = signing.order(TWO, 2, urls=["http://bad", "http://good"])
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["outcome"] == "SUCCEEDED"


class SilentError(Exception):
    """Of a program, with a fault of its own."""

    def __str__(self):
        raise SilentError


@pytest.mark.parametrize("error", [SilentError(), SystemExit(3)])
@pytest.mark.parametrize("hook", ["serve", "healthy", "may_update"])
def test_no_exception_of_a_hook_ends_the_work(world, monkeypatch, hook, error):
    asked = fails(monkeypatch, fakes.FakeHooks, hook, 1, error)
    world.retained[TOPIC] = signing.order(TWO, 2)
    seen = []

    def done(update):
        if asked and world.reports:
            seen.append(world.last_report()["reason"])
        return settled(world, 2)(update)

    if hook == "serve":
        asked.append("at the start")  # where no outcome depends on it
    assert asyncio.run(live(world, done))
    told = f"hook: {type(error).__name__}"
    assert hook == "serve" or any(reason.startswith(told) for reason in seen)


# Faults that may pass.

EIO, ENOSPC = OSError(errno.EIO, "input/output error"), OSError(errno.ENOSPC, "no space left")
NO_SERVER = FetchError("the server answered 503")


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (fakes.FakeFetcher, "fetch", NO_SERVER),
        (fakes.FakeBanks, "clear", EIO),
        (fakes.FakeBanks, "intake", ENOSPC),
        (fakes.FakeIntake, "write", ENOSPC),
        (fakes.FakeIntake, "close", EIO),
        (fakes.FakeRuntime, "prove", MemoryError()),
        (fakes.FakeRuntime, "prove", EIO),
    ],
)
@pytest.mark.parametrize("times", [1, 25])
def test_fault_that_passes_is_outlived(world, monkeypatch, owner, name, error, times):
    world.retained[TOPIC] = signing.order(TWO, 2)
    fails(monkeypatch, owner, name, times, error)
    assert asyncio.run(live(world, settled(world, 2)))
    assert (world.last_report()["outcome"], world.last_report()["release"]) == ("SUCCEEDED", 2)
    assert "tries" not in world.last_report()
    assert world.faults == []


def test_fault_goes_on_being_outlived_after_resets(world, monkeypatch):
    world.retained[TOPIC] = signing.order(TWO, 2)
    with monkeypatch.context() as lacking:
        fails(lacking, fakes.FakeRuntime, "prove", 10**9, MemoryError())
        for _ in range(5):
            world.reports.clear()
            assert asyncio.run(live(world, failed(world, 2)))
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["outcome"] == "SUCCEEDED"


@pytest.mark.parametrize("newer", [THREE, ONE], ids=["another release", "the live release"])
def test_newer_order_ends_the_tries_for_the_one_before(world, newer):
    del world.files[TWO.document["files"][0]["sha256"]]
    world.retained[TOPIC] = signing.order(TWO, 2)
    sent = []

    def done(update):
        if failed(world, 2)(update) and not sent:
            sent.append(world.deliver(TOPIC, signing.order(newer, 3)))
        return settled(world, 3)(update)

    assert asyncio.run(live(world, done))
    release = newer.document["release"]
    assert (world.last_report()["outcome"], world.last_report()["release"]) == (
        "SUCCEEDED",
        release,
    )


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (fakes.FakeFetcher, "fetch", NO_SERVER),
        (fakes.FakeBanks, "clear", EIO),
        (fakes.FakeRuntime, "prove", EIO),
    ],
)
def test_tries_end_when_the_order_expires(world, monkeypatch, owner, name, error):
    world.retained[TOPIC] = signing.order(TWO, 2)
    fails(monkeypatch, owner, name, 10**9, error)
    assert asyncio.run(live(world, failed(world, 2)))
    assert world.durable()["state"] != "idle"
    world.wall = signing.EXPIRES - 1

    def done(update):
        if failed(world, 2)(update):
            world.wall = signing.EXPIRES
        return settled(world, 2)(update)

    world.reports.clear()
    assert asyncio.run(live(world, done))
    assert world.last_report()["outcome"] == "FAILED"
    assert world.last_report()["release"] == 1


def test_work_does_not_go_on_after_a_pause_in_which_its_order_has_expired(world, monkeypatch):
    """Else a model would come on trial of which the operator thinks that its time is over."""
    world.retained[TOPIC] = signing.order(TWO, 2)
    calls = fails(monkeypatch, fakes.FakeFetcher, "fetch", 1, NO_SERVER)
    sleep = fakes.FakeClock.sleep

    async def into_the_night(clock, seconds):
        await sleep(clock, seconds)
        if len(calls) == 1:
            world.wall = signing.EXPIRES

    monkeypatch.setattr(fakes.FakeClock, "sleep", into_the_night)
    assert asyncio.run(live(world, settled(world, 2)))
    assert (world.last_report()["outcome"], world.last_report()["release"]) == ("FAILED", 1)
    assert len(calls) == 1


@pytest.mark.parametrize("problem", ["no GPU", RuntimeError("no GPU")])
def test_program_that_cannot_load_the_new_model_rolls_it_back(world, monkeypatch, problem):
    """Its health may say nothing of that."""
    world.retained[TOPIC] = signing.order(TWO, 2)
    serve = fakes.FakeHooks.serve

    async def only_the_first(hooks, live):
        await serve(hooks, live)
        if live.release == 1:
            return ""
        if isinstance(problem, Exception):
            raise problem
        return problem

    monkeypatch.setattr(fakes.FakeHooks, "serve", only_the_first)
    assert asyncio.run(live(world, settled(world, 2)))
    state = world.last_report()
    assert (state["outcome"], state["release"]) == ("ROLLED_BACK", 1)
    assert "no GPU" in state["reason"]
    assert world.durable()["blacklist"] == [TWO.digest]
    assert world.served[-1] == 1


def test_order_that_an_older_agent_gave_up_is_taken_again(world):
    """It wrote FAILED into its journal and never looked at the order again."""
    world.retained[TOPIC] = signing.order(TWO, 2)
    missing = TWO.document["files"][0]["sha256"]
    kept = world.files.pop(missing)
    assert asyncio.run(live(world, failed(world, 2)))
    journal = Journal(world.folder, "digits")
    given_up = journal.read() | {"state": "idle", "outcome": "FAILED", "reason": "503", "spoils": 0}
    journal.write(given_up)
    world.files[missing] = kept
    world.reports.clear()
    assert asyncio.run(live(world, lambda update: settled(world, 2)(update) and succeeded(world)))


def succeeded(world):
    return world.last_report()["outcome"] == "SUCCEEDED"


def waited(times, retry_after=0):
    """The pauses after so many failed tries."""
    clock, pauses = HandClock(), []
    retries = Retries(clock, ModelReport(), None)
    for _ in range(times):
        before = clock.seconds
        assert asyncio.run(retries.wait("503", retry_after))
        pauses.append(clock.seconds - before)
    return pauses


class HandClock(Clock):
    seconds = 0.0

    def now(self):
        return self.seconds

    async def sleep(self, seconds):
        self.seconds += seconds


def test_pauses_have_full_jitter_and_grow_to_five_minutes(monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 1.0)
    longest = [4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert waited(9) == longest
    monkeypatch.setattr(random, "random", lambda: 0.25)
    assert waited(9) == [pause / 4 for pause in longest]


def test_pauses_of_a_long_outage_are_at_most_a_twelfth_of_it_and_an_hour(monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 1.0)
    pauses = waited(60)
    for number, pause in enumerate(pauses[9:], 9):
        assert pause == pytest.approx(min(max(300, sum(pauses[:number]) / 12), 3600))
    assert pauses[-1] == pytest.approx(3600)


def test_server_s_wish_is_granted_within_bounds_and_with_jitter(monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 0.0)
    assert waited(2, 120) == [120, 120]
    assert waited(1, 10**9) == [1800]
    monkeypatch.setattr(random, "random", lambda: 1.0)
    assert waited(3, 60) == [60 + 60, 60 + 120, 60 + 240]
    assert waited(1, 10**9) == [3600]


def test_report_says_why_which_try_and_when_the_next_is_due(world, monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 0.5)
    del world.files[TWO.document["files"][0]["sha256"]]
    world.retained[TOPIC] = signing.order(TWO, 2)
    told = {}

    def done(update):
        if update.report.fault:
            state = update.state()
            told[state["tries"]] = (state["outcome"], state["reason"], state["next_seconds"])
        return FAILED_TRIES in told

    assert asyncio.run(live(world, done))
    reason = "download: 404 Not Found, after 0 of 3000 bytes"
    assert told[1][:2] == ("", reason)
    assert told[FAILED_TRIES][:2] == ("FAILED", reason)
    assert 0 <= told[FAILED_TRIES][2] <= 32


@pytest.mark.parametrize("text", ["\udcff", "a\nb", "\xe9\u2028", "x" * 5000])
def test_what_a_report_carries_is_one_short_line_of_ascii(text):
    cleaned = clean(text)
    assert cleaned.isascii()
    assert cleaned.isprintable()
    assert len(cleaned) == min(len(text), MAX_TEXT)


@pytest.mark.parametrize("error", [OSError(24, "too many open files"), ZeroDivisionError()])
def test_runtime_that_cannot_tell_its_memory_ends_nothing_and_the_order_is_taken_later(
    world, monkeypatch, error
):
    world.retained[TOPIC] = signing.order(TWO, 2)
    calls = []

    def free_ram(runtime):
        calls.append(1)
        if len(calls) < 5:
            raise error
        return world.ram

    monkeypatch.setattr(fakes.FakeRuntime, "free_ram", free_ram)
    assert asyncio.run(live(world, settled(world, 2)))
    assert (world.last_report()["outcome"], world.last_report()["release"]) == ("SUCCEEDED", 2)


def test_order_is_not_rejected_for_room_that_the_medium_could_not_tell(world, monkeypatch):
    """It waits: REJECTED would be a false report until the order is judged again."""
    world.retained[TOPIC] = signing.order(TWO, 2)
    calls = fails(monkeypatch, fakes.FakeBanks, "room", 4, OSError(5, "Input/output error"))
    seen = []

    def done(update):
        seen.append((update.state()["outcome"], update.has()["flash"], update.has()["ram"]))
        return settled(world, 2)(update)

    assert asyncio.run(live(world, done))
    assert len(calls) > 4
    assert {outcome for outcome, _, _ in seen} == {"", "SUCCEEDED"}
    assert seen[0][1:] == (0, world.ram)  # the report tells what is known
    assert seen[-1][1] > 0
    assert world.last_report()["release"] == 2


@pytest.mark.parametrize("answer", [5, True, False, 0, b"", []])
def test_hook_that_gives_no_text_is_named_as_the_reason(world, monkeypatch, answer):
    async def healthy(hooks, live):
        return answer

    monkeypatch.setattr(fakes.FakeHooks, "healthy", healthy)
    world.retained[TOPIC] = signing.order(TWO, 2)
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["reason"].startswith("hook: TypeError: it gave a ")
