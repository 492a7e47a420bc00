"""A model that runs beside the live one before it answers: the states of the device."""

import asyncio

import pytest

from modelwave_agent import machine
from modelwave_agent.record import spare
from tests import signing
from tests.agent.fakes import TOPIC, TURNS, live, settled, world_with_live

OLD = signing.Release(1, b"old model " * 250)
NEW = signing.Release(2, b"new model " * 300)
CRASHES = signing.Release(3, b"CRASH model " * 300)


@pytest.fixture
def world(tmp_path):
    return world_with_live(tmp_path, OLD, NEW, CRASHES)


def ordered(world, release, seq, **changes):
    world.retained[TOPIC] = signing.order(release, seq, **changes)


def shadow(**budget):
    """The fields of an order for a shadow."""
    return {"shadow": True, "extra": {"shadow": {**signing.SHADOW["extra"]["shadow"], **budget}}}


def lived(world, done, cut_at=None):
    return asyncio.run(live(world, done, cut_at))


def ended(world, seq):
    """What the device reports when order `seq` has its outcome."""
    world.reports.clear()
    assert lived(world, settled(world, seq))
    assert world.faults == []
    return world.last_report()


def in_shadow(world):
    world.shadow_turns = 10**6
    return lambda update: update.record["state"] == "shadow" and world.shadows


def test_shadow_leaves_the_live_model_and_the_next_order_takes_the_candidate_without_a_download(
    world,
):
    ordered(world, NEW, 2, **shadow())
    state = ended(world, 2)
    assert (state["outcome"], state["reason"]) == ("SHADOWED", "shadow: told")
    assert (state["release"], state["sha256"], state["state"]) == (1, OLD.digest, "idle")
    assert world.served[-1] == 1
    record = world.durable()
    assert record["banks"][spare(record)]["manifest"] == NEW.digest
    assert not record["banks"][spare(record)]["confirmed"]
    fetched = world.fetched
    ordered(world, NEW, 3)
    state = ended(world, 3)
    assert (state["outcome"], state["release"], world.fetched) == ("SUCCEEDED", 2, fetched)
    assert world.served[-1] == 2


def test_candidate_that_changed_in_flash_is_fetched_again(world):
    ordered(world, NEW, 2, **shadow())
    ended(world, 2)
    bank = spare(world.durable())
    path = f"{world.folder}/{'ab'[bank]}.model"
    with open(path, "r+b") as file:
        file.write(b"x")
    fetched = world.fetched
    ordered(world, NEW, 3)
    state = ended(world, 3)
    assert (state["outcome"], state["release"]) == ("SUCCEEDED", 2)
    assert world.fetched > fetched


def test_candidate_is_hashed_again_after_a_power_cut_before_it_runs(world):
    ordered(world, NEW, 2, **shadow())
    assert lived(world, in_shadow(world))
    with open(f"{world.folder}/{'ab'[spare(world.durable())]}.model", "r+b") as file:
        file.write(b"x")
    world.shadow_turns = 0
    assert ended(world, 2)["outcome"] == "SHADOWED"


def test_candidate_that_crashes_is_banned_and_one_over_its_budget_is_not(world):
    ordered(world, CRASHES, 2, **shadow())
    state = ended(world, 2)
    assert (state["outcome"], state["release"]) == ("ROLLED_BACK", 1)
    assert world.durable()["blacklist"] == [CRASHES.digest]
    world.shadow_ends = "over"
    ordered(world, NEW, 3, **shadow())
    state = ended(world, 3)
    assert (state["outcome"], state["reason"]) == ("ROLLED_BACK", "shadow: told")
    assert world.durable()["blacklist"] == [CRASHES.digest]
    ordered(world, NEW, 4)
    assert ended(world, 4)["outcome"] == "SUCCEEDED"


def test_newer_order_supersedes_a_shadow_and_takes_what_it_has_fetched(world):
    ordered(world, NEW, 2, **shadow())
    assert lived(world, in_shadow(world))
    fetched = world.fetched
    ordered(world, NEW, 3)
    world.shadow_turns = 0
    state = ended(world, 3)
    assert (state["outcome"], state["release"], world.fetched) == ("SUCCEEDED", 2, fetched)
    assert world.durable()["blacklist"] == []


def test_newer_order_for_the_live_model_ends_a_shadow_that_runs(world):
    ordered(world, NEW, 2, **shadow())
    ready, told = in_shadow(world), []

    def done(update):
        if ready(update) and not told:
            world.deliver(TOPIC, signing.order(OLD, 3))
            told.append(True)
        return told and settled(world, 3)(update)

    assert lived(world, done)
    outcomes = {report["models"]["digits"]["outcome"] for report in world.reports}
    assert world.last_report()["outcome"] == "SUCCEEDED"
    assert "ROLLED_BACK" not in outcomes
    assert world.faults == []


def test_shadow_goes_on_after_a_power_cut_with_the_time_that_it_had(world):
    ordered(world, NEW, 2, **shadow())
    world.shadow_turns = 50
    assert lived(world, lambda update: update.record.get("shadow_seconds") == 600)
    world.shadow_turns = 0
    assert ended(world, 2)["outcome"] == "SHADOWED"
    assert world.shadows == [0, 600]


def test_resets_of_a_shadow_that_has_lasted_say_nothing_against_the_model(world):
    ordered(world, NEW, 2, **shadow())
    for number in range(1, 2 * machine.MAX_TRIES):
        world.shadow_turns = 50
        assert lived(world, lambda update, n=number: update.record.get("shadow_seconds") == 600 * n)
    world.shadow_turns = 0
    assert ended(world, 2)["outcome"] == "SHADOWED"


def test_model_that_makes_the_device_reset_when_its_shadow_begins_wears_out_and_is_not_banned(
    world,
):
    ordered(world, NEW, 2, **shadow())
    for _ in range(machine.MAX_TRIES):
        world.shadows.clear()
        assert lived(world, in_shadow(world))
    world.reports.clear()
    state = ended(world, 2)
    assert (state["outcome"], state["release"]) == ("ROLLED_BACK", 1)
    assert "reset 3 times" in state["reason"]
    assert world.durable()["blacklist"] == []


def test_clean_stop_of_a_shadow_costs_no_try(world):
    async def stopped():
        with world.medium.powered():
            agent, update = world.boot()
            life = asyncio.create_task(agent.run())
            for _ in range(TURNS):
                if ready(update):
                    break
                await asyncio.sleep(0)
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)

    ordered(world, NEW, 2, **shadow())
    for _ in range(machine.MAX_TRIES + 1):
        world.shadows.clear()
        ready = in_shadow(world)
        asyncio.run(stopped())
        assert world.durable()["state"] == "fetching"
        assert world.durable()["tries"] == 0
    world.shadow_turns = 0
    assert ended(world, 2)["outcome"] == "SHADOWED"


def refused(world, **changes):
    ordered(world, NEW, 2, **changes)
    world.reports.clear()
    assert lived(world, lambda _: world.reports and world.last_report()["outcome"] == "REJECTED")
    assert world.fetched < len(b"new model " * 300)
    return world.last_report()["reason"]


def test_device_that_cannot_rejects_the_order_with_the_numbers(world):
    assert "extra.shadow" in refused(world, shadow=True)
    world.shadow_ram = 2**20
    assert refused(world, **shadow(ram=2**20 + 1)) == (
        "fit: shadow: ram: needs 1048577, has 1048576"
    )
    world.runs_beside = False
    assert refused(world, **shadow()).startswith("fit: shadow: this device runs no model beside")


def test_device_without_a_model_has_none_to_run_beside(tmp_path):
    world = world_with_live(tmp_path, OLD, NEW)
    world.retained.clear()
    for name in ("digits.0", "digits.1"):
        (tmp_path / name).unlink()
    assert "no model is live here" in refused(world, **shadow())


@pytest.mark.parametrize("runs_beside", [True, False])
def test_device_that_cannot_goes_straight_to_the_trial_where_the_order_allows_it(
    world, runs_beside
):
    world.runs_beside = runs_beside
    world.cannot_shadow = "no program runs models here"
    ordered(world, NEW, 2, **shadow(else_trial=True))
    state = ended(world, 2)
    assert (state["outcome"], state["release"], world.shadows) == ("SUCCEEDED", 2, [])


def test_shadow_that_cannot_begin_is_tried_again_and_says_why(world):
    def full(update):
        # The memory is used up between the order and the shadow.
        if update.record["state"] == "fetching":
            world.cannot_shadow = "ram: needs 2, has 1"
        return update.report.fault

    ordered(world, NEW, 2, **shadow())
    assert lived(world, full)
    assert world.durable()["state"] == "shadow"
    assert world.durable()["tries"] == 0
    world.cannot_shadow = ""
    assert ended(world, 2)["outcome"] == "SHADOWED"


def test_shadow_does_not_begin_again_when_its_order_has_expired(world):
    ordered(world, NEW, 2, **shadow())
    assert lived(world, in_shadow(world))
    world.wall = signing.EXPIRES + 1
    state = ended(world, 2)
    assert (state["outcome"], state["release"]) == ("CANCELED", 1)
    assert "expired" in state["reason"]
