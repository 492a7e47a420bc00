"""A database with many known devices and a rollout in the middle: its first stage is open, and some
of those whom it is for have answered. One device of each kind sends its messages, and SQL makes the
rows of all others of its rows: a million devices take a minute."""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from rollout_world import FLEET, NO_BROKER, Device, World
from rollout_world import quick as quick
from sqlalchemy import Connection, text

from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.slot_sets import numbers_in
from modelwave_controller.storage import tables
from modelwave_shared import topics
from modelwave_shared.slots import slot
from modelwave_shared.words import SUCCEEDED

OLD, NEW = 1, 2  # releases
WINDOW_SECONDS = 900
AGE_SECONDS = 90
_LAST_WINDOW_SECONDS = WINDOW_SECONDS + 60  # from the start of the stage
_AT_ONCE = 50_000


def made(
    folder: Path,
    number: int,
    plan: Plan,
    answered: float = 1.0,
    windows: int = 0,
    url: str = "",
    broker_port: int = NO_BROKER,
) -> World:
    """Returns the world of such a fleet, d0 to d<number - 1>. `answered` is the share of those whom
    the first stage is for; each device has sent so many `windows`, the last one in the stage."""
    folder.mkdir()
    world = World(folder, url, devices=0, broker_port=broker_port)
    # The last window is the newest thing that happens, and that is now.
    world.now = time.time() - (_LAST_WINDOW_SECONDS if windows else 0)
    world.tick()
    first = running("d0")
    send(world, first.name, OLD, range(1, windows))
    world.hear([first])
    others = [f"d{each}" for each in range(1, number)]
    _repeat(world, first.name, others, ("devices", "device_models", "presence"), windows)
    world.start(NEW, plan)
    world.tick()
    [canary, *canaries], controls = _arms(world, [first.name, *others], answered)
    one = running(canary)
    one.n = first.n
    order = world.ordered(one)
    assert order is not None, "the first stage is for it"
    answer(one, order)
    if windows:
        world.now += _LAST_WINDOW_SECONDS
        world.tick()
    send(world, canary, NEW, [windows] if windows else [])
    world.hear([one])
    _repeat(world, canary, canaries, ("devices", "device_models"), windows)
    _repeat_answer(world, canary, canaries)
    if windows and controls:
        control, *rest = controls
        send(world, control, OLD, [windows])
        world.hear([])
        _repeat(world, control, rest, (), windows)
    return world


def running(name: str) -> Device:
    """Returns a device that runs the old release."""
    device = Device(name)
    device.models["digits"] |= {"release": OLD, "sha256": f"{OLD:064x}"}
    return device


def answer(device: Device, order: dict[str, Any]) -> None:
    """The device has installed the new release."""
    device.take(order, SUCCEEDED)
    device.models["digits"]["release"] = NEW


def send(world: World, name: str, release: int, numbers: Sequence[int]) -> None:
    """The device is online, and has sent these windows, of which the last one has just ended."""
    world.inbox.put(topics.presence(FLEET, name), b"online")
    for each in numbers:
        document = {
            "boot": 1,
            "n": each,
            "install": "a" * 16,
            "model": "digits",
            "release": release,
            "window": each,
            "seconds": WINDOW_SECONDS - 60,
            "age_seconds": (numbers[-1] - each) * WINDOW_SECONDS + AGE_SECONDS,
            "inferences": 100,
            "failures": 1,
            "labelled": 100,
            "correct": 90,
        }
        world.inbox.put(topics.metrics(FLEET, name), json.dumps(document).encode())


def _arms(world: World, names: list[str], answered: float) -> tuple[list[str], list[str]]:
    """Returns who answers, and who is not asked."""
    [rollout] = world.state().rollouts.values()
    slots = {n for order in rollout.stages[0].orders for n in numbers_in(order.slots)}
    asked, others = [], []
    for name in names:
        (asked if slot(FLEET, name) in slots else others).append(name)
    return asked[: max(1, int(len(asked) * answered))], others


def _repeat(
    world: World, name: str, others: list[str], changed: Iterable[str], windows: int
) -> None:
    """Gives the other devices the rows of this one in the tables that are `changed`, and, if there
    are `windows`, in those of windows, in place of their own."""
    names = [*changed, *(("metrics", "windows") if windows else ())]
    with world.store.write() as connection:
        _note(connection, others)
        for table in names:
            connection.execute(
                text(f"DELETE FROM {table} WHERE device IN (SELECT device FROM these)")
            )
            columns = [column.name for column in tables.metadata.tables[table].columns]
            new = [f"s.{one}" if one in ("device", "slot") else f"t.{one}" for one in columns]
            connection.execute(
                text(
                    f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(new)} "
                    f"FROM {table} t CROSS JOIN these s WHERE t.device = :name"
                ),
                {"name": name},
            )
        connection.execute(text("DROP TABLE these"))
        connection.execute(text("DELETE FROM reporting"))
        connection.execute(
            text(
                "INSERT INTO reporting (model, target, slot, reads, devices) "
                "SELECT model, target, slot, reads, count(*) FROM devices JOIN device_models "
                "ON devices.device = device_models.device GROUP BY model, target, slot, reads"
            )
        )


def _repeat_answer(world: World, name: str, others: list[str]) -> None:
    with world.store.write() as connection:
        _note(connection, others)
        connection.execute(
            text(
                "INSERT INTO events (id, rollout, at, kind, body) SELECT "
                "heads.value + row_number() OVER (ORDER BY s.device), e.rollout, e.at, e.kind, "
                "replace(e.body, :quoted, '\"' || s.device || '\"') "
                "FROM events e CROSS JOIN these s CROSS JOIN heads "
                "WHERE heads.name = 'event' AND e.kind = 'reported'"
            ),
            {"quoted": f'"{name}"'},
        )
        connection.execute(
            text(
                "INSERT INTO answered "
                "(device, rollout, wave, epoch, seq, outcome, reason, later, inside) "
                "SELECT s.device, rollout, wave, epoch, seq, outcome, reason, later, inside "
                "FROM answered t CROSS JOIN these s WHERE t.device = :name"
            ),
            {"name": name},
        )
        for counter in (
            "UPDATE answer_counts SET devices = devices + :n",
            "UPDATE heads SET value = value + :n WHERE name IN ('event', 'counted')",
        ):
            connection.execute(text(counter), {"n": len(others)})
        connection.execute(text("DROP TABLE these"))


def _note(connection: Connection, names: list[str]) -> None:
    """Makes the table `these` of devices."""
    connection.execute(text("CREATE TEMPORARY TABLE these (device TEXT PRIMARY KEY, slot INTEGER)"))
    for start in range(0, len(names), _AT_ONCE):
        rows = [{"device": n, "slot": slot(FLEET, n)} for n in names[start : start + _AT_ONCE]]
        connection.execute(text("INSERT INTO these VALUES (:device, :slot)"), rows)
