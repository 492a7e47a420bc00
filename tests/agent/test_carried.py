"""Tests the agent that a gateway runs for a board that has none."""

import asyncio

import pytest

from modelwave_agent.host.carried.port import Observed
from tests import signing
from tests.agent.carried_world import FACTORY, FakeCarrier, carried, until_settled
from tests.agent.fakes import TOPIC, live

OLD = signing.Release(1, b"old model " * 30)
GOOD = signing.Release(2, b"new model " * 40)
BAD = signing.Release(3, b"BAD model " * 40)


def file_of(release):
    return release.document["files"][0]["sha256"]


def ordered(world, release, seq, **order):
    world.files.update(release.files)
    world.retained[TOPIC] = signing.order(release, seq, **order)


def test_a_release_is_written_proven_and_confirmed_on_the_board_before_success(tmp_path):
    world = carried(tmp_path, OLD)
    ordered(world, GOOD, 2)
    assert until_settled(world, 2)
    assert world.last_report()["outcome"] == "SUCCEEDED"
    assert (world.board.runs, world.board.is_confirmed) == (file_of(GOOD), True)
    told = [name for name in world.board.told if name not in ("state", "observed")]
    assert told == ["write", "prove", "healthy", "confirm"]
    assert world.faults == []


def test_the_report_has_what_the_board_has_and_names_the_gateway(tmp_path):
    world = carried(tmp_path, OLD)
    assert until_settled(world, 1)
    report = world.reports[-1]
    assert report["extra"]["via"] == "gw-1"
    assert report["free"] == {"flash": 100_000, "ram": 50_000}
    assert (report["runtime"], report["runtime_version"]) == ("tflite", "2.14.0")


@pytest.mark.parametrize("why", ["golden", "health", "boot loader"])
def test_what_is_wrong_with_the_model_brings_the_older_file_back(tmp_path, why):
    world = carried(tmp_path, OLD)
    release = BAD if why == "golden" else GOOD
    world.unwell = {file_of(GOOD): "too hot"} if why == "health" else {}
    world.refuses = "its signature is wrong" if why == "boot loader" else ""
    ordered(world, release, 2)
    assert until_settled(world, 2)
    state = world.last_report()
    assert (state["outcome"], state["release"]) == ("ROLLED_BACK", 1)
    assert (world.board.runs, world.board.is_confirmed) == (file_of(OLD), True)
    assert world.durable()["blacklist"] == [release.digest]
    assert world.board.flashed == [file_of(release)]  # the older one was still there
    assert world.faults == []


def test_a_first_release_that_fails_is_left_to_the_boot_loader(tmp_path):
    world = carried(tmp_path)
    ordered(world, BAD, 1)
    assert until_settled(world, 1)
    assert world.last_report()["outcome"] == "ROLLED_BACK"
    assert (world.board.runs, world.board.is_confirmed) == (FACTORY, True)


def test_a_board_that_does_not_answer_is_failed_with_retries_and_never_blamed(tmp_path):
    world = carried(tmp_path, OLD)
    ordered(world, GOOD, 2)
    world.board.is_plugged_in = False
    world.reports.clear()

    def has_failed(_):
        return world.reports and world.last_report()["outcome"] == "FAILED"

    assert asyncio.run(live(world, has_failed))
    state = world.last_report()
    assert state["reason"] == "proof: CarrierError: the board does not answer"
    assert (state["release"], state["tries"]) == (1, 5)
    assert world.durable()["blacklist"] == []
    world.board.is_plugged_in = True
    assert until_settled(world, 2)
    assert world.last_report()["outcome"] == "SUCCEEDED"


def test_a_board_that_never_answered_takes_no_order_and_the_report_says_why(tmp_path):
    world = carried(tmp_path)
    world.board.is_plugged_in = False
    ordered(world, OLD, 1)
    asyncio.run(live(world, lambda _: len(world.reports) > 2))
    report = world.reports[-1]
    assert "the board: the board does not answer" in report["refused"]
    assert report["models"]["digits"]["outcome"] == ""
    assert report["free"] == {"flash": 0, "ram": 0}
    world.board.is_plugged_in = True
    assert until_settled(world, 1)


def test_a_silent_board_is_told_and_what_it_has_is_remembered(tmp_path):
    world = carried(tmp_path, OLD)
    world.board.is_plugged_in = False
    world.reports.clear()
    asyncio.run(live(world, lambda _: len(world.reports) > 1))
    report = world.reports[-1]
    assert "the board: the board does not answer" in report["refused"]
    assert report["free"] == {"flash": 100_000, "ram": 50_000}


def test_a_board_that_was_exchanged_gets_the_file_that_serves(tmp_path):
    world = carried(tmp_path, OLD)
    world.board.runs = world.board.spare = FACTORY
    assert until_settled(world, 1)
    assert world.board.flashed == [file_of(OLD)]
    assert (world.board.runs, world.board.is_confirmed) == (file_of(OLD), True)


def test_a_board_that_goes_back_by_itself_ends_the_trial_before_its_time(tmp_path):
    world = carried(tmp_path, OLD)
    ordered(world, GOOD, 2, trial={"seconds": 60, "inferences": 1000})
    resets = []

    def resets_on_trial(update):
        if world.agent.boards["digits"].tested:
            resets.append(update)
            world.board.reset()
            world.agent.poke()
        state = world.last_report() if world.reports else {"outcome": ""}
        return state["outcome"] == "ROLLED_BACK"

    assert asyncio.run(live(world, resets_on_trial))
    assert "3 times in vain: the board went back" in world.last_report()["reason"]
    assert world.durable()["blacklist"] == []
    assert len(resets) == 3


def test_inferences_that_the_board_counts_end_its_trial_and_come_as_windows(tmp_path):
    world = carried(tmp_path, OLD)
    ordered(world, GOOD, 2, trial={"seconds": 1, "inferences": 10})
    world.reports.clear()

    told = [Observed(file_of(GOOD), 5, 1, 0, 0, "cold", (1.5, 2.5)), Observed("0" * 64, 7)]

    def counts(update):
        if world.agent.boards["digits"].tested and told:
            world.observations = [told.pop(0), told.pop(0)]
            world.agent.poke()
        state = world.last_report() if world.reports else {"seq": 0}
        return state["seq"] == 2 and state["outcome"]

    assert asyncio.run(live(world, counts))
    assert world.last_report()["reason"] == "1 of 5 inferences on trial failed: cold"
    (kept,) = world.agent.observations.waiting  # its window ended with the agent
    document = kept.document
    assert (document["release"], document["inferences"], document["failures"]) == (2, 5, 1)


def test_a_board_that_cannot_run_golden_sets_says_so_with_its_success(tmp_path, monkeypatch):
    monkeypatch.setattr(FakeCarrier, "proves", False)
    world = carried(tmp_path, OLD)
    assert until_settled(world, 1)
    state = world.last_report()
    assert (state["outcome"], state["reason"]) == (
        "SUCCEEDED",
        "its golden set did not run on the board",
    )
    assert "prove" not in world.board.told


def test_a_fault_of_the_carrier_is_none_of_the_model(tmp_path, monkeypatch):
    async def broken(self, seconds):
        raise ZeroDivisionError

    world = carried(tmp_path, OLD)
    monkeypatch.setattr(FakeCarrier, "healthy", broken)
    ordered(world, GOOD, 2)
    assert until_settled(world, 2)
    assert world.last_report()["outcome"] == "ROLLED_BACK"
    assert "3 times in vain: the board: ZeroDivisionError" in world.last_report()["reason"]
    assert world.durable()["blacklist"] == []
