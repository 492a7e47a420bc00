"""A controller that is behind its devices, because its database was lost or restored: it says so,
signs no number twice, and one command and one rollout bring the devices on."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import FLEET as FLEET_NAME
from rollout_world import Device, World, newest, quick, seen
from sqlalchemy import select

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import overview, recover, rollouts
from modelwave_controller.operations.recover import MARGIN, MAX_FLOOR
from modelwave_controller.results.upkeep import Numbers
from modelwave_controller.rollout.events import FLEET, Restored
from modelwave_controller.rollout.state import FINISHED, NEW
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import floors, log, tables
from modelwave_controller.storage.ahead import MAX_JUMP
from modelwave_controller.storage.store import Store
from modelwave_shared.limits import MAX_SEQ

EPOCH = 0  # of a first root


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=3)) as made:
        made.shelve(1)
        made.shelve(2)
        yield made


def roll_out(world: World, release: int) -> set[int]:
    """Rolls a release out to all, whose devices take only newer orders. Returns the numbers of the
    orders that they took."""
    world.start(release, quick(100))
    taken = set()
    for _ in range(3):
        world.tick()
        taken |= {
            order["seq"] for device in world.devices.values() if (order := obey(world, device))
        }
    assert newest(world).status == FINISHED, seen(world)
    return taken


def obey(world: World, device: Device) -> dict[str, Any] | None:
    """The device takes the order that the broker has for it, if it may, and reports."""
    order, held = world.ordered(device), device.models["digits"]
    device.says["refused"] = ""
    if order is None or (order["epoch"], order["seq"]) == (held["epoch"], held["seq"]):
        return None
    if (order["epoch"], order["seq"]) < (held["epoch"], held["seq"]):
        device.says["refused"] = f"order {order['seq']} is older than order {held['seq']}"
        world.hear([device])
        return None
    device.take(order, "SUCCEEDED")
    world.hear([device])
    return order


def all_at(world: World, seq: int) -> None:
    for device in world.devices.values():
        device.models["digits"] |= {"epoch": EPOCH, "seq": seq}
    world.hear(world.devices.values())


def lose_the_database(world: World) -> None:
    world.store.close()
    for file in world.home.path.glob("modelwave.db*"):
        file.unlink()
    open_anew(world)


def open_anew(world: World) -> None:
    world.store = Store(world.home.database_url)
    world.ticker = Ticker(world.store, world.issuer)
    world.writer.store = world.store
    world._ticked = None
    world.hear(world.devices.values())


def put_back(world: World, copy: Path, made_at: float) -> None:
    """Restores the database, as `modelwave restore` does."""
    world.store.close()
    shutil.copyfile(copy, world.home.path / "modelwave.db")
    with closing(Store(world.home.database_url)) as store, store.write() as connection:
        restored = Restored(made_at=made_at, models=["digits"])
        log.append(connection, FLEET, made_at, [restored])
    open_anew(world)


def copy_of(world: World, folder: Path) -> Path:
    world.store.close()  # which leaves one file
    shutil.copyfile(world.home.path / "modelwave.db", folder / "copy.db")
    open_anew(world)
    return folder / "copy.db"


def numbers(world: World) -> Numbers:
    with world.store.read() as connection:
        return recover.of_model(connection, "digits", world.home.root.epoch)


def order_numbers(world: World) -> list[int]:
    with world.store.read() as connection:
        return list(connection.scalars(select(tables.orders.c.seq)))


# Lost.


def test_a_rollout_that_every_device_would_refuse_does_not_start(world: World) -> None:
    all_at(world, 57)
    lose_the_database(world)
    refusal = (
        "3 of 3 devices of digits have orders up to 57 and refuse older ones, and its database has "
        "none: run `modelwave recover digits`"
    )
    with pytest.raises(OperatorError) as caught:
        world.start(1)
    assert str(caught.value) == refusal
    assert world.state().rollouts == {}


def test_after_a_lost_database_one_command_and_one_rollout_bring_the_devices_on(
    world: World,
) -> None:
    used = roll_out(world, 1) | roll_out(world, 2)
    lose_the_database(world)
    floor = recover.recover(world.store, "digits", EPOCH, None, world.now, "ann@here")
    assert floor == max(used) + MARGIN
    new = roll_out(world, 1)
    assert min(new) == floor + 1
    assert not used & new
    assert {d.models["digits"]["outcome"] for d in world.devices.values()} == {"SUCCEEDED"}


def test_recover_names_the_release_that_the_devices_run(world: World, run: Run) -> None:
    roll_out(world, 1)
    running = world.devices["d0"].models["digits"]["sha256"]
    assert numbers(world).runs == []
    lose_the_database(world)
    (found,) = numbers(world).runs
    assert (found.target, found.release, found.sha256, found.devices) == (
        "linux-cpu",
        1,
        running,
        3,
    )
    out = run("recover").out
    assert "3 devices of linux-cpu run release 1, which this database did not bring there" in out
    assert "`modelwave rollout start digits 1 --target linux-cpu`" in out
    recover.recover(world.store, "digits", EPOCH, None, world.now)
    roll_out(world, 1)
    assert numbers(world).runs == []


# Restored.


def copy_of_an_open_rollout(world: World, folder: Path) -> Path:
    """Of a database in which the first stage of rollout 2 is open."""
    roll_out(world, 1)
    world.start(2, quick(50, 100))
    world.tick()
    return copy_of(world, folder)


def test_while_a_restored_rollout_stands_recover_names_what_ends_it_before_the_start(
    world: World, run: Run, tmp_path: Path
) -> None:
    copy = copy_of_an_open_rollout(world, tmp_path)
    world.shelve(3)
    rollouts.abort(world.store, "2", "", world.now)
    roll_out(world, 3)
    for device in world.devices.values():
        device.models["digits"] |= {"release": 3}
    put_back(world, copy, world.now)
    shown = run("recover", "digits", "--yes").out
    start = "`modelwave rollout start digits 3 --target linux-cpu`"
    assert f"To keep it, first `modelwave rollout abort 2`, then {start}" in shown
    command = start.strip("`").split()[1:]
    assert run(*command).code == 2
    run("rollout", "abort", "2")
    assert f"To keep it, {start}" in run("recover", "digits").out
    assert run(*command).code == 0


def test_recover_names_the_rollouts_that_go_on_then_as_somebody_may_have_ended_them_since(
    world: World, run: Run, tmp_path: Path
) -> None:
    copy = copy_of_an_open_rollout(world, tmp_path)
    rollouts.revert(world.store, "2", "it is worse", world.now)
    world.tick()
    put_back(world, copy, world.now)
    assert "rollout 2 is under way in this database, and goes on" in run("recover", "digits").out
    run("rollout", "abort", "2")
    assert "under way" not in run("recover", "digits").out
    assert "under way" not in run("recover", "digits", "--yes").out


def test_after_a_restore_no_order_is_signed_before_recover(world: World, tmp_path: Path) -> None:
    """The rollout under way would otherwise open its next stage with numbers that were used."""
    roll_out(world, 1)
    world.start(2, quick(34, 100))
    copy = copy_of(world, tmp_path)
    before = order_numbers(world)
    world.tick()  # these orders are not in the copy
    for device in world.devices.values():
        obey(world, device)
    lost = set(order_numbers(world)) - set(before)
    assert lost
    put_back(world, copy, world.now)
    world.tick()
    assert order_numbers(world) == before
    with world.store.read() as connection:
        assert overview.fleet(connection, FLEET_NAME, world.now).restored == ["digits"]
    found = seen(world)
    assert (found.status, found.why) == (
        NEW,
        "the database was restored from a backup, and devices may have newer orders than it has; "
        "no stage has opened yet",
    )
    assert "until `modelwave recover`" in found.next
    recover.recover(world.store, "digits", EPOCH, None, world.now)
    for _ in range(4):
        world.tick()
        for device in world.devices.values():
            obey(world, device)
    assert newest(world).status == FINISHED
    assert not lost & (set(order_numbers(world)) - set(before))


def test_after_a_restore_no_rollout_starts_before_recover(world: World, tmp_path: Path) -> None:
    """Also if no device is known to be ahead: those that are may not have reported yet."""
    roll_out(world, 1)
    put_back(world, copy_of(world, tmp_path), world.now)
    with pytest.raises(OperatorError, match=r"restored from a backup.*`modelwave recover digits`"):
        world.start(2)
    given = numbers(world).given
    assert recover.recover(world.store, "digits", EPOCH, None, world.now) == given + MARGIN
    assert min(roll_out(world, 2)) > given + MARGIN


def test_numbers_that_only_a_device_off_line_has_taken_are_passed_over(
    world: World, tmp_path: Path
) -> None:
    roll_out(world, 1)
    copy = copy_of(world, tmp_path)
    roll_out(world, 2)  # a device has taken an order of it, but its report was lost
    taken = numbers(world).given
    for device in world.devices.values():
        device.models["digits"]["seq"] = 1
    put_back(world, copy, world.now)
    assert recover.recover(world.store, "digits", EPOCH, None, world.now) > taken


# The status of a rollout that is refused.


def test_a_refusal_by_number_is_shown_as_one_and_not_as_silence(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    given = numbers(world).given
    all_at(world, 57)
    for device in world.devices.values():
        obey(world, device)
    found = seen(world)
    assert [problem.outcome for problem in found.problems] == ["refused"] * 3
    assert found.problems[0].reason == (
        f"its order 57 is newer than this controller's {given}: this controller is behind, "
        "`modelwave recover digits`"
    )
    assert (
        f"3 of 3 devices of digits have orders up to 57 and refuse older ones, and this "
        f"controller's newest is {given}: `modelwave recover digits`"
    ) in found.warnings


def test_a_finished_rollout_warns_of_devices_that_come_back_ahead(world: World) -> None:
    """Its way out is `recover`: each `rollout retry` would only use up a number."""
    roll_out(world, 1)
    all_at(world, 57)
    found = seen(world)
    assert found.status == FINISHED
    assert [w for w in found.warnings if "`modelwave recover digits`" in w], found.warnings
    with pytest.raises(OperatorError, match="run `modelwave recover digits`"):
        rollouts.retry(world.store, "digits", ["d0"], [], "", world.now)


def test_devices_that_have_taken_the_order_are_no_problem(world: World) -> None:
    roll_out(world, 1)
    world.start(2, quick(100))
    world.tick()
    found = seen(world)
    assert found.problems == []
    assert not any("recover" in warning for warning in found.warnings)


# Forged reports.


def forge(world: World, seq: int) -> None:
    world.devices["d1"].models["digits"] |= {"epoch": EPOCH, "seq": seq}
    world.hear([world.devices["d1"]])


def test_a_number_beyond_belief_is_refused_unless_it_is_given(world: World) -> None:
    roll_out(world, 1)
    given = numbers(world).given
    forge(world, MAX_SEQ)
    with pytest.raises(OperatorError) as caught:
        recover.recover(world.store, "digits", EPOCH, None, world.now)
    assert f"d1 reports order {MAX_SEQ}, more than 1,000,000 above this" in str(caught.value)
    assert "--to N" in str(caught.value)
    with world.store.read() as connection:
        assert floors.of(connection, "digits", 0) == 0
    assert recover.recover(world.store, "digits", EPOCH, given + 5, world.now) == given + 5
    world.start(2, quick(100))
    world.tick()
    assert {name for name, device in world.devices.items() if obey(world, device)} == {"d0", "d2"}


@pytest.mark.parametrize(("above", "believed"), [(MAX_JUMP, True), (MAX_JUMP + 1, False)])
def test_the_bound_of_belief(world: World, above: int, believed: bool) -> None:
    roll_out(world, 1)
    forge(world, numbers(world).given + above)
    if believed:
        recover.recover(world.store, "digits", EPOCH, None, world.now)
    else:
        with pytest.raises(OperatorError, match="forged"):
            recover.recover(world.store, "digits", EPOCH, None, world.now)


def test_one_device_beyond_belief_does_not_keep_the_others_from_their_rollout(
    world: World,
) -> None:
    roll_out(world, 1)
    forge(world, MAX_SEQ)
    world.start(2)
    for name in ("d0", "d2"):
        world.devices[name].models["digits"]["seq"] = MAX_SEQ
        world.hear([world.devices[name]])
    rollouts.abort(world.store, "2", "", world.now)
    with pytest.raises(OperatorError, match="3 of 3 devices"):
        world.start(2)


@pytest.mark.parametrize("to", [-1, 0, MAX_FLOOR + 1, MAX_SEQ])
def test_a_floor_leaves_numbers_for_orders_and_is_never_lowered(world: World, to: int) -> None:
    roll_out(world, 1)
    with pytest.raises(OperatorError, match="--to"):
        recover.recover(world.store, "digits", EPOCH, to, world.now)
    with world.store.write() as connection:
        floors.raise_to(connection, "digits", 900, 0)
        floors.raise_to(connection, "digits", 800, 0)
        assert floors.of(connection, "digits", 0) == 900


def test_a_number_that_no_controller_reaches_is_not_followed() -> None:
    """With the order key a thief signs any number, and what is signed is believed."""
    found = Numbers("digits", 7, 3, 0, 0, "", 0, MAX_FLOOR + 1, None, [])
    for to in (None, MAX_FLOOR + 2):
        with pytest.raises(OperatorError, match="`modelwave key epoch`"):
            recover.floor_for(found, to)
    assert recover.floor_for(replace(found, at_broker=900), None) > 900


def test_orders_of_another_epoch_are_not_ahead(world: World) -> None:
    """A root of a higher epoch begins the numbers anew."""
    all_at(world, 57)
    assert numbers(world).ahead == 3
    with world.store.read() as connection:
        assert recover.of_model(connection, "digits", EPOCH + 1).ahead == 0


# The command.


def test_recover_shows_and_changes_nothing_until_it_is_confirmed(world: World, run: Run) -> None:
    all_at(world, 57)
    lines = run("recover").lines()
    assert lines[0].split("  ")[0] == "model"
    assert lines[1].split() == ["digits", "0", "–", "3", "3", "57", "d0"]
    assert "`modelwave recover digits --yes` lets the next order be 1058" in run("recover").out
    assert run("recover", "digits").lines()[:2] == lines[:2]
    (found,) = run("recover", "--json").json()
    assert (found["given"], found["highest"], found["restored_at"]) == (0, 57, None)
    with world.store.read() as connection:
        assert floors.of(connection, "digits", 0) == 0
    assert run("recover", "digits", "--yes").out.startswith("the next order of digits is 1058\n")
    again = run("recover", "digits", "--yes")
    assert (again.code, "nothing to recover" in again.err) == (2, True)
    (event,) = [e for e in events(world) if e.rollout == FLEET]
    assert (event.body.kind, event.body.floor) == ("recovered", 1057)  # type: ignore[union-attr]


def events(world: World) -> list[Any]:
    with world.store.read() as connection:
        return list(log.events_after(connection))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--yes",), "MODEL"),
        (("--to", "5"), "MODEL"),
        (("letters",), "MODEL"),
        (("letters", "--yes"), "MODEL"),
        (("digits", "--yes", "--to", "-3"), "--to"),
        (("digits", "--yes", "--to", "many"), "--to"),
    ],
)
def test_a_wrong_argument_of_recover_is_named(
    run: Run, arguments: tuple[str, ...], named: str
) -> None:
    ran = run("recover", *arguments)
    assert ran.code == 2
    assert named in ran.err


def test_recover_of_an_empty_home_shows_nothing(world: World, run: Run) -> None:
    world.devices.clear()
    lose_the_database(world)
    assert len(run("recover").lines()) == 1
