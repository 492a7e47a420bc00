"""A real agent does one update, and is disturbed at one point of it. It is started again as systemd
would; when the update is over, all that it has told and left must be true."""

import asyncio
import shutil
import signal
from typing import NamedTuple

from modelwave_shared.words import ROLLED_BACK, SUCCEEDED
from tests import signing
from tests.inject import surroundings
from tests.inject.agent import problems_of, running
from tests.inject.calls import Hit, Point, hit
from tests.inject.ear import Ear
from tests.inject.lives import Forker, Hangs, first_of
from tests.inject.surroundings import Device, Surroundings, release
from tests.inject.tracing import Log

OLD = release(1, surroundings.GOOD, b"the old one ")
NEW = release(2, surroundings.GOOD, b"the new one ")
BAD = release(3, surroundings.BAD, b"the bad one ")
SICK = release(4, surroundings.GOOD, b"a sick one ")
# A program that finds SICK unhealthy on trial.
HEALTH = ("[hooks]", """health = ["/bin/sh", "-c", "[ $MODELWAVE_RELEASE != 4 ]"]""")


class Scene(NamedTuple):
    """`before`: the releases that the device has taken; then `order` comes, ends with `outcome`,
    and `live` is live."""

    name: str
    before: tuple[signing.Release, ...]
    order: signing.Release
    outcome: str
    live: signing.Release
    settings: tuple[str, ...] = ()

    @property
    def seq(self) -> int:
        return len(self.before) + 1


SCENES = {
    scene.name: scene
    for scene in (
        Scene("update", (OLD,), NEW, SUCCEEDED, NEW),
        Scene("first", (), NEW, SUCCEEDED, NEW),
        Scene("failed proof", (OLD,), BAD, ROLLED_BACK, OLD),
        Scene("failed health", (OLD,), SICK, ROLLED_BACK, OLD, HEALTH),
        Scene("revert", (OLD, NEW), OLD, SUCCEEDED, OLD),
    )
}


class Prepared(NamedTuple):
    """A scene that was played undisturbed. `before`: the device that `order` comes to; `names`: of
    the files that it has at the end; `log`: of strace."""

    scene: Scene
    before: Device
    names: frozenset[str]
    log: str


async def prepared(around: Surroundings, forker: Forker, scene: Scene) -> Prepared:
    """Raises RuntimeError if the scene does not go well."""
    before = around.device(*scene.settings)
    ear = around.listen(before)
    for number, taken in enumerate(scene.before, 1):
        around.order(before, taken, number)
        await _live(forker, before, ear, number, SUCCEEDED)
    device = _beginning(around, scene, before)
    ear, log = around.listen(device), Log()
    await _live(forker, device, ear, scene.seq, scene.outcome, log)
    if ear.faults:
        raise RuntimeError(f"{scene.name}, undisturbed: {ear.faults}")
    return Prepared(scene, before, frozenset(device.names()), log.text)


async def play(
    around: Surroundings, made: Prepared, forker: Forker, point: Point
) -> tuple[list[str], Hit]:
    """A life that is disturbed at `point`, and one that is not. Returns the faults; if there are
    some, the device keeps its folder."""
    scene = made.scene
    device = _beginning(around, scene, made.before)
    ear, log = around.listen(device), Log()
    try:
        await _live(forker, device, ear, scene.seq, scene.outcome, log, point)
        await _live(forker, device, ear, scene.seq, scene.outcome)
        ear.faults += _left(made, device)
    except Hangs as error:
        ear.faults.append(str(error))
    around.broker.forget(device.name)
    if ear.faults:
        (device.folder / "strace").write_text(log.text)
    else:
        shutil.rmtree(device.folder)
    return ear.faults, hit(log.text, point)


def _beginning(around: Surroundings, scene: Scene, before: Device) -> Device:
    """A device like the one before the order, which has the order waiting."""
    device = around.device(*scene.settings)
    if before.state.exists():
        shutil.copytree(before.state, device.state)
    around.order(device, scene.order, scene.seq)
    return device


async def _live(
    forker: Forker,
    device: Device,
    ear: Ear,
    seq: int,
    outcome: str,
    log: Log | None = None,
    point: Point | None = None,
) -> None:
    """One life, which is ended in order when the order is over. Raises Hangs."""
    ear.forget()
    hearing = asyncio.ensure_future(ear.hear(seq, outcome))
    try:
        async with running(forker, device, log, point) as life:
            await first_of(outcome, life.code, hearing)
            life.send(signal.SIGTERM)
            await first_of("the end", life.code)
    finally:
        hearing.cancel()
    ear.faults += problems_of(life, point)


def _left(made: Prepared, device: Device) -> list[str]:
    """What is wrong with what the device holds at the end."""
    record, scene = device.record(), made.scene
    if problem := device.problem_of(record):
        return [problem]
    found = []
    if (record["state"], record["outcome"]) != ("idle", scene.outcome):
        found.append(f"the end is {record['state']} {record['outcome']} {record['reason']}")
    if record["banks"][record["live"]]["manifest"] != scene.live.digest:
        found.append("another release is live than must be")
    if left := device.names() - made.names:
        found.append(f"files are left over: {', '.join(sorted(left))}")
    return found
