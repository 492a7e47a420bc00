"""What happens on the device of the sweep: each scene begins with a whole disk, and has an end that
is reached whatever a power cut leaves."""

import random
from collections.abc import Awaitable, Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

from modelwave_agent.ports import FetchError
from modelwave_shared import words
from tests import signing
from tests.agent import root_chain
from tests.agent.fakes import CHUNK_BYTES, TOPIC, settled
from tests.disk import device
from tests.disk.device import FOLDER, Device, Facts
from tests.disk.medium import State
from tests.disk.sweep import Count, Sweep

OLD = signing.Release(1, b"old model " * 120)
GOOD = signing.Release(2, b"new model " * 150)
BAD = signing.Release(3, b"BAD model " * 130)
CRASHES = signing.Release(4, b"CRASH model " * 100)  # not in its golden set
LARGE = signing.Release(5, b"large model " * 900)
LAST = signing.Release(6, b"last model " * 140)
ALL = (OLD, GOOD, BAD, CRASHES, LARGE, LAST)
FILES: dict[str, bytes] = {}
for _release in ALL:
    FILES.update(_release.files)

HISTORY = "history "  # the begin of the names of scenes at random

Passing = Callable[[Device, Any, Awaitable[None]], Awaitable[None]]


async def nothing(world: Device, intake: Any, fetched: Awaitable[None]) -> None:
    """Nothing comes between the device and the server."""
    await fetched


class Scene:
    """`before`: releases that were taken one after the other. `retained`: what the broker has then;
    each phase of the world has its own. `ends`: outcome and number of the release that is live."""

    files = FILES

    def __init__(
        self,
        name: str,
        before: list[Any],
        retained: list[dict[str, bytes]],
        ends: tuple[str, int],
        bans: Any = (),
        banned_at_end: Any = None,
        epoch: int = 0,
        seq: int = 0,
        interferes: Passing = nothing,
        root: int = 1,
        at_start: Callable[[State], State] = lambda state: state,
    ) -> None:
        self.name, self.before, self.retained, self.ends = name, before, retained, ends
        self.bans = frozenset(one.digest for one in bans)
        ends_banned = bans if banned_at_end is None else banned_at_end
        self.banned_at_end = {one.digest for one in ends_banned}
        self.epoch, self.interferes, self.root = epoch, interferes, root
        self.seq = seq or len(before) + len(retained)
        self._at_start = at_start
        self.damaged = GOOD.digest if at_start is _with_damage else ""

    def start(self) -> State:
        return self._at_start(_after(tuple(self.before)))

    def done(self, world: Device) -> Callable[[Any], bool]:
        is_settled = settled(world, self.seq)

        def done(update: Any) -> bool:
            if not is_settled(update) or world.last_report()["epoch"] != self.epoch:
                return False
            live = update.live()
            if (live.release if live else 0) != self.ends[1]:
                return False
            return bool(world.reports[-1]["extra"]["root"] == self.root)

        return done

    def check_end(self, world: Device) -> None:
        state = world.last_report()
        if _has_no_flash(world, state):
            return
        if (state["outcome"], state["release"]) != self.ends:
            world.fault(f"ended as {state['outcome']} {state['release']}: {state['reason']}")
        record = world.durable()
        if set(record["blacklist"]) != self.banned_at_end:
            world.fault(f"{len(record['blacklist'])} bans at the end")


def _has_no_flash(world: Device, state: dict[str, Any]) -> bool:
    """Whether the order was refused for want of flash on a disk that has none, and banned nothing
    new: that is a true end."""
    if not world.disk.is_hopeless or state["outcome"] != REJECTED:
        return False
    is_true = state["reason"].startswith("fit: flash: ") and state["reason"].endswith(" has 0)")
    return is_true and set(world.durable()["blacklist"]) == world.notes.banned


@cache
def _after(before: tuple[Any, ...]) -> State:
    """The disk once these releases were ordered and taken, or refused."""
    state: State = ()
    for seq, release in enumerate(before, 1):
        ends = ("", OLD.document["release"] if release is BAD else release.document["release"])
        scene = Scene("before", [], [{TOPIC: signing.order(release, seq)}], ends, seq=seq)
        scene.check_end = lambda world: None  # type: ignore[method-assign]
        life = device.live(scene, state, Facts())
        assert life.faults == [], life.faults
        state = device.seen(life)
    return state


def order(release: Any, seq: int, **changes: Any) -> dict[str, bytes]:
    return {TOPIC: signing.order(release, seq, **changes)}


async def breaks_off(world: Device, intake: Any, fetched: Awaitable[None]) -> None:
    """The server sends a part, twice, and then the rest."""
    write, begun = intake.write, intake.offset

    def part(data: bytes) -> None:
        if begun < 7 * CHUNK_BYTES and intake.offset - begun >= 3 * CHUNK_BYTES:
            raise FetchError("the server ended in the middle")
        write(data)
        if intake.path.endswith(".model"):
            world.note(received=intake.offset)

    intake.write = part
    try:
        await fetched
    finally:
        intake.write = write


async def is_superseded(world: Device, intake: Any, fetched: Awaitable[None]) -> None:
    """In the middle of the download another order comes."""
    write = intake.write

    def then_another(data: bytes) -> None:
        write(data)
        if world.phase == 0 and intake.offset >= 2 * CHUNK_BYTES:
            world.phase = 1
            world.note(phase=1)
            world.retained = dict(world.scene.retained[1])
            world.deliver(TOPIC, world.retained[TOPIC])

    intake.write = then_another
    try:
        await fetched
    finally:
        intake.write = write


def _with_engines(state: State) -> State:
    """In the spare bank there is an engine that TensorRT has built."""
    held = dict(state)
    spare = 1 - device.record_of(held)["live"]
    place = f"{FOLDER.removeprefix('/forgets')}/{'ab'[spare]}.engine"
    held |= {place: None, f"{place}/key": None, f"{place}/key/plan": b"engine" * 100}
    return tuple(sorted(held.items()))


def _with_damage(state: State) -> State:
    """The live model's file is not as it was signed."""
    held = dict(state)
    place = f"/state/digits/{'ab'[device.record_of(held)['live']]}.model"
    data = held[place]
    assert data
    held[place] = data[:700] + b"?" + data[701:]
    return tuple(sorted(held.items()))


def _roots() -> dict[str, bytes]:
    broker = SimpleNamespace(retained={})
    second = root_chain.document(2, root_keys=root_chain.NEW_ROOT_KEYS)
    keys = root_chain.NEW_ROOT_KEYS
    root_chain.publish(broker, second, *signing.ROOT_KEYS[:2], *keys[:2])
    third = root_chain.document(3, root_chain.NEW_KEY, keys, epoch=1)
    root_chain.publish(broker, third, *keys[1:])
    return broker.retained | order(GOOD, 1, key=root_chain.NEW_KEY, epoch=1)


SHADOW = signing.SHADOW
SUCCEEDED, ROLLED_BACK, REJECTED = words.SUCCEEDED, words.ROLLED_BACK, words.REJECTED
SCENES = {
    scene.name: scene
    for scene in (
        Scene("first", [], [order(GOOD, 1)], (SUCCEEDED, 2)),
        Scene("update", [OLD], [order(GOOD, 2)], (SUCCEEDED, 2)),
        Scene("failed health", [OLD], [order(BAD, 2)], (ROLLED_BACK, 1), bans=[BAD]),
        Scene("first fails", [], [order(BAD, 1)], (ROLLED_BACK, 0), bans=[BAD]),
        Scene("revert", [OLD, GOOD], [order(OLD, 3)], (SUCCEEDED, 1)),
        Scene("third", [OLD, GOOD], [order(LAST, 3)], (SUCCEEDED, 6), at_start=_with_engines),
        Scene("resumed", [OLD], [order(LARGE, 2)], (SUCCEEDED, 5), interferes=breaks_off),
        Scene(
            "superseded",
            [OLD],
            [order(LARGE, 2), order(GOOD, 3)],
            (SUCCEEDED, 2),
            interferes=is_superseded,
        ),
        Scene("root walk", [OLD], [_roots()], (SUCCEEDED, 2), epoch=1, root=3, seq=1),
        Scene("shadow", [OLD], [order(GOOD, 2, **SHADOW)], (words.SHADOWED, 1)),
        Scene(
            "shadow crashes", [OLD], [order(CRASHES, 2, **SHADOW)], (ROLLED_BACK, 1), bans=[CRASHES]
        ),
        Scene("banned", [OLD, BAD], [order(BAD, 3)], (REJECTED, 1), banned_at_end=[BAD]),
        Scene(
            "ban lifted",
            [OLD, BAD],
            [order(BAD, 3, extra={"lift_ban": True})],
            (ROLLED_BACK, 1),
            banned_at_end=[BAD],
        ),
        Scene("repeated", [OLD], [order(OLD, 2)], (SUCCEEDED, 1)),
        Scene(
            "damaged", [OLD, GOOD], [order(GOOD, 2)], (SUCCEEDED, 2), seq=2, at_start=_with_damage
        ),
    )
}


def history(seed: int) -> Scene:
    """A scene at random: releases that a device has taken, and an order for one more."""
    rng = random.Random(seed)
    good = (OLD, GOOD, LARGE, LAST)
    before = [rng.choice(good)]
    while rng.random() < 0.6:
        before.append(rng.choice([one for one in good if one is not before[-1]]))
    release, runs = rng.choice((*good, BAD)), before[-1].document["release"]
    seq, is_beside = len(before) + 1, rng.random() < 0.25
    interferes = rng.choice((nothing, breaks_off))
    name = f"{HISTORY}{seed}"
    if release is BAD:
        ends, bans = (ROLLED_BACK, runs), [BAD]
        return Scene(name, before, [order(BAD, seq)], ends, bans, interferes=interferes)
    if is_beside and release is not before[-1]:
        ends = (words.SHADOWED, runs)
        return Scene(name, before, [order(release, seq, **SHADOW)], ends, interferes=interferes)
    ends = (SUCCEEDED, release.document["release"])
    return Scene(name, before, [order(release, seq)], ends, interferes=interferes)


def sweep(scene: Scene, count: Count, is_long: bool = False) -> Sweep:
    """A sweep of the scene, which adds to `count`."""
    return Sweep(
        scene.name,
        lambda disk, facts: device.lived(scene, disk, facts),
        lambda state, facts: device.problems(state, facts, scene.damaged),
        count,
        is_long,
    )
