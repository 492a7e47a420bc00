"""Every status of a rollout, and every refusal of an operation on it, names what leads on: each
command that it prints works as printed."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import counted_twice
import pytest
from rollout_commands import Run
from rollout_world import READS_TODAY, TARGET, World, newest, quick, seen
from test_retry import finish_without, hold, lenient

from modelwave_controller.operations import rollouts
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.results.rollouts import Status
from modelwave_controller.rollout.state import REVERTED
from modelwave_shared.maintenance import READS_MAINTENANCE
from modelwave_shared.words import ORDER, READS, WRITES

COMMAND = re.compile("`modelwave ([^`]+)`")
OPERATIONS = ("pause", "resume", "promote", "approve", "abort", "revert", "retry")
REFUSED = 2


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        made.shelve(1)
        made.shelve(2)
        yield made


def new(world: World) -> None:
    world.start(1, quick(50, 100))


def waiting_for_its_start(world: World) -> None:
    request = Request(
        "digits", world.release(1), (), quick(50, 100), 0, start_at=world.now + 86400 * 7
    )
    rollouts.start(world.store, request, world.now)
    world.tick()


def running(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()


def opening(world: World) -> None:
    world.start(1, quick(100, devices_per_minute=12))
    world.tick()


def paused_while_it_opens(world: World) -> None:
    opening(world)
    rollouts.pause(world.store, "1", "night", world.now)


def held_while_it_opens(world: World) -> None:
    opening(world)
    world.now += 10
    world.tick()
    world.answer("FAILED", world.devices.values())
    world.tick()
    assert newest(world).status == "HELD"


def outside_of_its_windows(world: World) -> None:
    """Before the first stage; the windows are those of another day."""
    day = datetime.fromtimestamp(world.now, UTC) + timedelta(days=2)
    windows = {"windows": [f"{day:%a} 01:00-04:00".lower()]}
    stage = {"deadline_seconds": 8 * 86400}
    world.start(1, quick(50, 100, maintenance=windows, stage=stage))
    world.tick()
    assert "outside of its maintenance windows" in seen(world).why


def between_two_windows(world: World) -> None:
    """The first stage has passed."""
    outside_of_its_windows(world)
    for device in world.devices.values():
        device.says["reads"] = READS_TODAY | {READS_MAINTENANCE: 1}
    world.hear(world.devices.values())
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    for device in world.devices.values():
        device.says["reads"] = READS_TODAY
    world.hear(world.devices.values())
    world.tick()
    assert "outside of its maintenance windows" in seen(world).why
    assert len(newest(world).stages) == 1


def held(world: World) -> None:
    hold(world)


def failed_and_held(world: World) -> None:
    world.start(1, quick(50, 100, on_fail="hold"))
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()


def soaking(world: World) -> None:
    world.start(1, quick(50, 100, stage={"soak_seconds": 50}))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()


def waiting_for_approval(world: World) -> None:
    plan = quick(50, 100)
    first, last = plan.stages
    stages = (first, last.model_copy(update={"approval": "the dashboard"}))
    world.start(1, plan.model_copy(update={"stages": stages}))
    for _ in range(2):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert seen(world).waits is not None


def paused(world: World) -> None:
    running(world)
    rollouts.pause(world.store, "1", "night", world.now)


def resumed_after_the_pause_of_a_hold(world: World) -> None:
    hold(world)
    rollouts.pause(world.store, "1", "night", world.now)
    rollouts.resume(world.store, "1", "", world.now)


def aborted(world: World) -> None:
    running(world)
    rollouts.abort(world.store, "1", "rain", world.now)


def aborted_before_it_opened(world: World) -> None:
    new(world)
    rollouts.abort(world.store, "1", "rain", world.now)


def finished(world: World) -> None:
    finish_without(world, "SUCCEEDED")


def finished_without_some(world: World) -> None:
    world.start(1, lenient())
    world.tick()
    outcomes = {"d1": "ROLLED_BACK", "d2": "REJECTED", "d3": "FAILED", "d4": ""}
    for device in world.devices.values():
        world.answer(outcomes.get(device.name, "SUCCEEDED"), [device])
    world.tick()


def replaced(world: World) -> None:
    """Finished without some devices, and another rollout has ordered them something else."""
    finished_without_some(world)
    world.start(2, lenient())
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()


def replacing(world: World) -> None:
    """Finished without some devices, and another rollout is under way."""
    finished_without_some(world)
    world.start(2, lenient())


def reverting(world: World) -> None:
    finished(world)
    world.start(2, quick(100))
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()


def revert_asked(world: World) -> None:
    finished(world)
    rollouts.revert(world.store, "1", "it drifts", world.now)


def reverted(world: World) -> None:
    reverting(world)
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()


def reverted_without_some(world: World) -> None:
    """One is silent, one has rolled the release before back, one has rejected it."""
    reverting(world)
    digest = world.release(2)[TARGET].digest
    world.devices["d1"].models["digits"] |= {"release": 2, "sha256": digest}
    for device in world.devices.values():
        outcomes = {"d1": "ROLLED_BACK", "d2": "REJECTED"}
        if device.name != "d3":
            world.answer(outcomes.get(device.name, "SUCCEEDED"), [device])
    world.now += 100
    world.tick()


def reverted_to_nothing(world: World) -> None:
    finished_without_some(world)
    rollouts.revert(world.store, "1", "it drifts", world.now)
    world.tick()


STATES = (
    new,
    waiting_for_its_start,
    running,
    opening,
    paused_while_it_opens,
    held_while_it_opens,
    outside_of_its_windows,
    between_two_windows,
    held,
    failed_and_held,
    soaking,
    waiting_for_approval,
    paused,
    resumed_after_the_pause_of_a_hold,
    aborted,
    aborted_before_it_opened,
    finished,
    finished_without_some,
    replaced,
    replacing,
    reverting,
    revert_asked,
    reverted,
    reverted_without_some,
    reverted_to_nothing,
)


def texts_of(found: Status) -> list[str]:
    return [found.why, found.next, *found.warnings, *(one.then for one in found.problems)]


@pytest.mark.parametrize("state", STATES)
def test_every_command_that_a_status_or_a_refusal_names_works_as_printed(
    world: World, run: Run, state: Callable[[World], None]
) -> None:
    state(world)
    require_ways_out(world, run)


def test_a_rollout_that_is_held_before_its_first_stage_does_not_offer_to_revert_it(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READS, ORDER, 3)
    monkeypatch.setitem(WRITES, ORDER, 3)
    running(world)
    assert (newest(world).status, newest(world).stages) == ("HELD", [])
    require_ways_out(world, run)


def require_ways_out(world: World, run: Run) -> None:
    texts = []
    for rollout in world.state().rollouts:
        texts += texts_of(seen(world, str(rollout)))
        for operation in OPERATIONS:
            with unchanged(world):
                ran = run("rollout", operation, str(rollout))
            if ran.code:
                assert COMMAND.findall(ran.err), f"no way out: {ran.err}"
                texts.append(ran.err)
    named = {command for text in texts for command in COMMAND.findall(text)}
    for command in sorted(named - {"serve", "device forget"}):
        end = ("--timeout", "0s") if command.startswith("rollout watch") else ()
        with unchanged(world):
            ran = run(*command.split(), *end)
        assert ran.code != REFUSED, f"{command}: {ran.err}"


class unchanged:
    """Puts the database back at the end as it was at the beginning."""

    def __init__(self, world: World) -> None:
        self.file = world.home.path / "modelwave.db"
        world.store.close()
        self.held = self.file.read_bytes()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for file in self.file.parent.glob("modelwave.db-*"):
            file.unlink()
        self.file.write_bytes(self.held)


def test_a_reverted_rollout_names_the_way_out_for_those_that_did_not_get_back(
    world: World,
) -> None:
    reverted_without_some(world)
    assert newest(world).status == "REVERTED"
    assert seen(world).next == (
        "it is over, but 3 of 10 devices did not get back: `modelwave rollout retry 2` orders 1 "
        "anew; 1 rejected it, `modelwave rollout retry 2 --outcome REJECTED` if the cause is gone; "
        "1 rolled it back, `modelwave rollout start digits 1 --lift-ban REASON` lets them try it "
        "again"
    )
    rollouts.retry(world.store, "2", [], [], "", world.now)
    assert seen(world).next == "1 device to be ordered anew at the service's next ticks"


def test_a_finished_rollout_whose_devices_another_one_has_does_not_offer_to_retry(
    world: World,
) -> None:
    replaced(world)
    assert seen(world, "1").next == (
        "it is over, but 4 of 10 devices did not get to the release: 4 forgotten, or ordered "
        "something else since: `modelwave rollout list`"
    )


def test_those_that_got_back_and_try_the_order_for_all_again_are_counted_once(
    tmp_path: Path,
) -> None:
    """The world compares the two ways of counting when it ends."""
    with closing(World(tmp_path, devices=6)) as world:
        every = world.devices.values()
        for release, stages, outcome in ((1, (100,), "SUCCEEDED"), (2, (50, 100), "ROLLED_BACK")):
            world.start(release, quick(*stages))
            world.tick()
            world.answer(outcome, every)
            world.tick()
        world.answer("SUCCEEDED", every)
        world.tick()
        assert world.state().rollouts[2].status == REVERTED
        world.answer("DEFERRED", every)
        world.start(3, quick(100))
        world.tick()
        with world.store.read() as connection:
            counted_twice.require_the_same(connection)
