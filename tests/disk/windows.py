"""Scenes of a device that measures without a connection: its windows outlive a power cut, and each
of them counts once.

Each window has a class of its own, so the controller's sums tell whether a window was lost, or came
twice. Of a window that takes two documents both have to come.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

from modelwave_agent.host import kept_windows
from modelwave_agent.host.keeping import KeepingAgent
from modelwave_agent.host.kept_windows import NAME
from modelwave_agent.host.shadow_windows import HostObservations
from modelwave_agent.measures import Sample
from modelwave_agent.ports import LinkLost
from modelwave_agent.runner import Agent
from modelwave_agent.update import Update
from modelwave_shared import reports, topics
from modelwave_shared.words import METRICS
from tests.agent import fakes
from tests.disk import device
from tests.disk.device import MODEL, STATE, Device, Life, record_of
from tests.disk.medium import Disk, State
from tests.disk.sweep import Count, Sweep

SECONDS = 600  # of a window; the fake clock lets them pass at once
BETWEEN_SECONDS = 10**6  # from the begin of one life to that of the next one
LIMIT_BYTES = 4096  # of the file
INFERENCES = 3  # of each window
TOPIC = topics.metrics("demo", "pi-1")
# What makes a window too long for one document.
CLASSES = [f"one-of-many-{number:04}" for number in range(15)]
NUMBERS = 8  # of their names the part before NAMED is the window, as of a class of its own
NAMED = "-n-"

Told = tuple[tuple[Any, ...], str]  # (install, boot, n) and the document, but for its age


class Seen(NamedTuple):
    """What the controller has, and what the device must not lose any more."""

    life: int = 0
    told: frozenset[Told] = frozenset()
    ended: frozenset[tuple[str, int]] = frozenset()  # windows, with their ends in Unix seconds
    kept: frozenset[str] = frozenset()  # windows that were written

    @property
    def phase(self) -> int:
        return hash((self.life, self.told))

    def with_(self, other: "Seen") -> "Seen":
        return self._replace(ended=self.ended | other.ended, kept=self.kept | other.kept)

    def counted(self) -> Counter[str]:
        """Returns the inferences of each window that the controller has counted, and of each one
        that takes two documents the numbers."""
        found: Counter[str] = Counter()
        for _, text in self.told:
            document = json.loads(text)
            label = _label(document)
            found[label] += document["inferences"]
            found[f"{label}, numbers"] += len(document.get("numbers", ()))
        return found

    def differing(self, script: "Script") -> Iterator[tuple[str, str]]:
        """Yields each window that does not have what was measured, and how that differs."""
        counted = self.counted()
        inferences = 1 + len(CLASSES) if script.is_long else INFERENCES
        for label, _ in self.ended:
            has = counted[label], counted[f"{label}, numbers"]
            wanted = inferences, NUMBERS * script.is_long
            if has != wanted:
                is_more = any(one > other for one, other in zip(has, wanted, strict=True))
                yield label, "counted more than once" if is_more else "not whole"


class Script(NamedTuple):
    """What happens in a life. `alone`: windows that end before there is a connection; `then`: those
    that end later; `loses`: the connection breaks at that publication, when the broker has it."""

    name: str
    alone: int = 0
    then: int = 1
    loses: int = 0
    is_long: bool = False  # a window takes two documents
    limit: int = LIMIT_BYTES
    before: int = 0  # windows that an earlier life has left
    is_new: bool = False  # there was no earlier life
    is_cut: bool = False  # it ends with its last window, by a power cut

    def start(self) -> State:
        """Returns the disk on which the scene begins."""
        return device.seen(self._earlier()) if not self.is_new else ()

    def seen(self) -> Seen:
        """Returns what was before the scene begins."""
        found: Seen = self._earlier().moments[-1].facts if not self.is_new else Seen()
        return found

    def _earlier(self) -> Life:
        """The life before the scene, which never has a connection."""
        script = self._replace(alone=self.before, then=0, loses=0, is_cut=True)
        life = lived(script, Disk((), Seen()), Seen())
        assert life.faults == [], life.faults
        return life


class Measuring(Device):
    """The world of a script in one life."""

    agents, clocks = KeepingAgent, fakes.FakeClock

    def __init__(self, script: Script, disk: Disk, seen: Seen) -> None:
        self.disk = disk
        fakes.World.__init__(self, STATE)
        self.script = script
        self.notes: Any = seen
        self.measured = self.published = 0
        self.is_ending = False
        self.note(life=seen.life + 1)
        self.wall += self.notes.life * BETWEEN_SECONDS

    def boot(self) -> tuple[Agent, Update]:
        agent, update = super().boot()
        agent.link = self.link = MeasuringLink(self)
        agent.metrics_seconds = SECONDS
        self.agent, clock = agent, agent.clock
        clock.wall = lambda: self.wall + int(clock.now())
        with mock.patch.object(HostObservations, "limit", self.script.limit):
            self.windows = HostObservations(SECONDS, clock, STATE, agent.device)
        agent.observations = self.windows
        self.windows.take = self.measure
        keep = agent._keep

        def noted() -> None:
            keep()
            if not self.windows.trouble:
                labels = {_label(one.document) for one in self.windows.waiting}
                self.note(kept=self.notes.kept | labels)

        agent._keep = noted
        return agent, update

    def measure(self) -> None:
        """A window ends, in which the program has run the model."""
        script, is_connected = self.script, self.agent.connected.is_set()
        is_due = self.measured < script.alone or (
            is_connected and self.measured < script.alone + script.then
        )
        if not (is_due or self.is_ending):
            return
        self.measured += 1
        label = self.label()
        named = [f"{label}{NAMED}{at}" for at in range(NUMBERS * script.is_long)]
        for name in [label, *CLASSES] if script.is_long else [label] * INFERENCES:
            sample = Sample(None, name, None, dict.fromkeys(named, 1.5))
            self.windows.add(MODEL, 1, (1, 0, 0, 0), sample)
        end = (label, self.agent.clock.wall())
        self.note(ended=self.notes.ended | {end})

    def label(self) -> str:
        return f"w{self.notes.life}-{self.measured}"

    def is_done(self) -> bool:
        windows, script = self.windows, self.script
        if self.measured < script.alone + script.then or windows.trouble:
            return False
        if script.is_cut:
            return True
        waits = windows.waiting or windows.unsent or windows.sending or windows._stored
        return bool(self.reports) and not waits

    def take(self, payload: bytes) -> None:
        """The controller has a window."""
        self.published += 1
        document = reports.read(METRICS, payload)
        age = document.pop("age_seconds")
        number = (document.get("install"), document["boot"], document["n"])
        text = json.dumps(document, sort_keys=True)
        for other, known in self.notes.told:
            if other == number and known != text:
                self.fault("two windows have the same number")
        self.note(told=self.notes.told | {(number, text)})
        label = _label(document)
        if abs(self.agent.clock.wall() - age - dict(self.notes.ended)[label]) > 1:
            self.fault(f"{label} says that it ended at another time")

    def check(self, is_done: bool) -> None:
        for label, told in self.notes.differing(self.script):
            is_open = label == self.label() and self.is_ending  # it waits for the next life
            if told != "not whole" or (is_done and label in self.notes.kept and not is_open):
                self.fault(f"{label} was written, and is {told}")
        held = _labels(self.disk.seen())
        if self.is_ending and not self.windows.trouble and held != {self.label()}:
            self.fault(f"a clean stop leaves {held}")


class MeasuringLink(fakes.FakeLink):
    """A broker that is not there at first."""

    async def connect(self, will_topic: str, will: bytes) -> None:
        script = self.world.script
        if self.world.measured < script.alone or script.is_cut:
            raise LinkLost("there is none yet")
        await super().connect(will_topic, will)

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        world = self.world
        if topic == TOPIC:  # at once, as time passes with each wait
            world.call(lambda: world.take(payload))
        await super().publish(topic, payload, retain)
        if topic == TOPIC and world.published == world.script.loses:
            raise LinkLost("it breaks before the broker has acknowledged")


def _label(document: Any) -> str:
    """Returns the window of a document."""
    names = [*document.get("classes", ()), *document.get("numbers", ())]
    return next(name.partition(NAMED)[0] for name in names if name.startswith("w"))


def _labels(state: State) -> set[str]:
    """Returns the windows that the disk holds."""
    record = record_of(dict(state), f"/state/{NAME}") or {"windows": []}
    return {_label(document) for document, _ in record["windows"]}


def problems(script: Script, state: State, seen: Seen) -> list[str]:
    """What is wrong with a state that a cut has left."""
    lost = seen.kept - _labels(state)
    return [
        f"{label} was written, and is {told}"
        for label, told in seen.differing(script)
        if label in lost
    ]


async def _lived(world: Measuring, turns: int) -> bool:
    """A life, which ends by a clean stop."""
    asyncio.get_running_loop().set_exception_handler(fakes._unless_power_cut)
    life = None
    try:
        agent, _ = world.boot()
        life = asyncio.create_task(agent.run())
        for _ in range(turns):
            if life.done() or world.is_done():
                break
            await asyncio.sleep(0)
        is_done = not life.done() and world.is_done()
        world.is_ending = is_done and not world.script.is_cut
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        if not life.cancelled() and life.exception():
            world.fault(f"it ends with {life.exception()!r}")
    finally:
        world.off = True
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    return is_done


def lived(script: Script, disk: Disk, seen: Seen) -> Life:
    with device.around(disk), mock.patch.object(kept_windows, "logger"):
        world = Measuring(script, disk, seen)
        turns = device.HOPELESS_TURNS if disk.is_hopeless else device.TURNS
        is_done = device.LOOP.run_until_complete(_lived(world, turns))
    if not is_done:
        world.fault("the device never came to an end")
    world.check(is_done and not script.is_cut)
    return Life(disk.moments, world.faults, is_done)


SCRIPTS = {
    script.name: script
    for script in (
        Script("windows", alone=2, is_new=True),
        Script("windows of before", before=2),
        Script("windows, and no answer", alone=2, loses=2),
        Script("long windows", alone=1, before=1, is_long=True, limit=2 * LIMIT_BYTES),
        Script("more windows than room", alone=6, limit=1024),
    )
}


def sweep(script: Script, count: Count, is_long: bool = False) -> Sweep:
    return Sweep(
        script.name,
        lambda disk, seen: lived(script, disk, seen),
        lambda state, seen: problems(script, state, seen),
        count,
        is_long,
    )
