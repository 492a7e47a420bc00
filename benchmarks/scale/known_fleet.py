"""A database with many known devices and a rollout in the middle: the stage for all is open, and
half of the devices have answered. The rows are what reports would have left there."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from rollout_world import FLEET, TARGET, World, quick
from sqlalchemy import Table, insert, select, update

from modelwave_controller.rollout.events import Reported, dump_body
from modelwave_controller.storage import log, recounting
from modelwave_controller.storage.counted import Counted
from modelwave_controller.storage.tables import device_models, devices, events, heads
from modelwave_shared.slots import slot

ANSWERED = 0.5
DEADLINE_SECONDS = 7 * 86_400  # nothing is due meanwhile
_AT_ONCE = 10_000


def made(folder: Path, number: int) -> World:
    """Returns the world of such a fleet; its counters are those of its log."""
    folder.mkdir()
    world = World(folder, devices=1)
    with world.store.write() as connection:
        for table, changes in ((devices, _device), (device_models, _model)):
            _multiply(connection, table, number, changes)
        recounting.recount(connection)
    world.start(1, quick(100, stage={"deadline_seconds": DEADLINE_SECONDS}))
    world.tick()
    with world.store.write() as connection:
        _answer(connection, int(number * ANSWERED), world.issuer.root.epoch)
        recounting.recount(connection)
        rollout = log.without_answers(connection).rollouts[1]
        answered = Counted(connection, "digits").answers(rollout, 0).succeeded
        assert answered == int(number * ANSWERED)
    return world


def _device(number: int) -> dict[str, Any]:
    name = f"d{number}"
    return {"device": name, "target": TARGET, "slot": slot(FLEET, name)}


def _model(number: int) -> dict[str, Any]:
    return {"device": f"d{number}"}


def _multiply(connection: Any, table: Table, number: int, changes: Any) -> None:
    one = connection.execute(select(table)).one()._asdict()
    for numbers in _parts(range(1, number)):
        connection.execute(insert(table), [one | changes(each) for each in numbers])


def _answer(connection: Any, number: int, epoch: int) -> None:
    newest = heads.c.name == "event"
    first = connection.scalar(select(heads.c.value).where(newest)) + 1
    for numbers in _parts(range(number)):
        rows = [
            {
                "id": first + each,
                "rollout": 1,
                "at": 1.0,
                "kind": "reported",
                "body": dump_body(
                    Reported(device=f"d{each}", seq=1, outcome="SUCCEEDED", reason="", epoch=epoch)
                ),
            }
            for each in numbers
        ]
        connection.execute(insert(events), rows)
    connection.execute(update(heads).where(newest).values(value=first + number - 1))


def _parts(numbers: range) -> Iterator[range]:
    return (numbers[start : start + _AT_ONCE] for start in range(0, len(numbers), _AT_ONCE))
