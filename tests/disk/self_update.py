"""Scenes of an agent that updates itself: the launcher's rules, the ports and the installation are
the real ones, and write to the disk. The processes are simulated (tests/agent/agent_starts.py)."""

import asyncio
import contextlib
from functools import cache
from pathlib import Path
from typing import Any

from modelwave_agent import record as records
from modelwave_agent import root_store
from modelwave_agent.banks import NAMES
from modelwave_agent.host.folders import make_folder
from modelwave_agent.host.self_update.choice import OWN, End, Failures, Start, next_start
from modelwave_agent.host.self_update.environments import COMPLETE
from modelwave_agent.host.self_update.itself import AgentHooks, SelfUpdate
from modelwave_agent.host.self_update.launcher import Launcher
from modelwave_agent.host.self_update.own_ports import AgentBanks, AgentPorts
from modelwave_agent.journal import Journal
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.runner import Agent
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared.agent_releases import AGENT_BUNDLE
from tests.agent import fakes
from tests.agent.agent_starts import MAX_RUNS, Line, agent_release, run_agent
from tests.disk import device
from tests.disk.device import (
    FOLDER,
    HOPELESS_TURNS,
    STATE,
    TURNS,
    Device,
    Facts,
    Fetcher,
    Life,
    Link,
)
from tests.disk.environment import MARK, MODULES, installed, site_of, wheelhouse
from tests.disk.medium import ROOT, Disk, State
from tests.disk.scenes import ROLLED_BACK, SUCCEEDED, Scene, order
from tests.disk.sweep import Count, Sweep

OLD = agent_release(1, wheelhouse(b"OLD "))
NEW = agent_release(2, wheelhouse(b"NEW "))
CRASHES = agent_release(4, wheelhouse(b"CRASHES "))  # ends at its start
OTHER = agent_release(5, wheelhouse(b"BAD "))  # says that it is another


FILES = {sha: data for one in (OLD, NEW, CRASHES, OTHER) for sha, data in one.files.items()}


class AgentScene(Scene):
    files = FILES

    def start(self) -> State:
        return _after(tuple(self.before))


@cache
def _after(before: tuple[Any, ...]) -> State:
    """The disk once these releases were ordered and taken."""
    state: State = ()
    for seq, release in enumerate(before, 1):
        ends = (SUCCEEDED, release.document["release"])
        life = lived(AgentScene("before", [], [order(release, seq)], ends, seq=seq), Disk(state))
        assert life.faults == [], life.faults
        state = device.seen(life)
    return state


class Starter(Launcher):
    """What the launcher reads."""

    def __init__(self) -> None:
        self.folder = Path(FOLDER)


class Installer(fakes.FakeRuntime):
    name = format = AGENT_BUNDLE
    version = "1"

    async def prove(self, model_path: str, golden_path: str, manifest: Any, breathe: Any) -> str:
        folder = Path(model_path).with_suffix(".venv")
        self.world.call(lambda: installed(Path(model_path), folder))
        return "it says that it is another" if _mark(folder).startswith(b"BAD") else ""


class EnvironmentBanks(AgentBanks):
    def __init__(self, world: "Launched") -> None:
        super().__init__(FOLDER)
        self.world = world

    def clear(self, bank: int) -> None:
        self.world.note(received=0)
        super().clear(bank)


class Launched(Device):
    """A device with a launcher, in one life."""

    def __init__(self, scene: Any, disk: Disk, facts: Facts) -> None:
        super().__init__(scene, disk, facts)
        self.runs: list[Start] = []

    def boot_agent(self, start: Start) -> tuple[Agent, SelfUpdate]:
        with contextlib.suppress(OSError):  # as itself.py does it
            make_folder(Path(FOLDER))
        itself = SelfUpdate(Line(start), Path())
        clock = fakes.FakeClock(self)
        ports = AgentPorts(
            Journal(FOLDER, "journal"),
            EnvironmentBanks(self),
            Installer(self),
            Fetcher(self),
            AgentHooks(itself, (), 1),
            clock,
        )
        ports.start = start
        root, problem = root_store.newest(STATE, fakes.ROOT)
        enrolment = Enrolment(fakes.DEVICE.name, fakes.DEVICE.target, root)
        self.update = update = Update(device.MODEL, enrolment, ports)
        itself.join(update, {})
        walk = RootWalk(enrolment, STATE, clock, problem)
        boots = Journal(STATE, "device")
        agent = Agent(enrolment, {device.MODEL: update}, Link(self), clock, boots, walk)
        agent.optional = tuple(one for one in agent.optional if one.topic != agent.reported)
        itself.echo = agent.echo
        itself.hear(update.report)
        return agent, itself

    def kind(self, place: str) -> bytes:
        """Which agent it is: seen by the test, so that no error of the disk comes in between."""
        site = site_of(Path(f"{FOLDER}/{place}.venv"))
        mark = dict(self.disk.seen()).get(f"{site}/{MARK}".removeprefix(ROOT)) or b""
        return mark.split(b" ")[0] if place else b""

    def check_start(self, start: Start, record: Any) -> None:
        self.runs.append(start)
        if start.place == OWN:
            return
        bank = NAMES.index(start.place)
        entry = record["banks"][bank]
        if entry is None or not (entry["confirmed"] or start.on_trial):
            self.fault(f"{start} starts what is neither confirmed nor on trial")
        elif missing := _missing(dict(self.disk.seen()), bank, entry):
            self.fault(f"{start} starts an environment without {missing}")

    async def live(self) -> bool:
        """A life of the device, with its launcher."""
        asyncio.get_running_loop().set_exception_handler(fakes._unless_power_cut)
        failures, starter = Failures(), Starter()
        end: End | None = None
        is_done = self.scene.done(self)
        turns = HOPELESS_TURNS if self.disk.is_hopeless else TURNS
        for _ in range(MAX_RUNS):
            record = starter._record()
            start = next_start(record, end, starter._is_usable, failures)
            self.check_start(start, record)
            end, reached = await run_agent(self, start, lambda _: is_done(self.update), turns)
            if reached or self.off:
                return bool(reached)
            failures.note(end)
        return False


def _mark(folder: Path) -> bytes:
    path = site_of(folder) / MARK
    return path.read_bytes() if path.exists() else b""


def _missing(held: dict[str, bytes | None], bank: int, entry: Any) -> str:
    """Returns what the environment of a bank lacks, "" if it is whole."""
    folder = f"{FOLDER}/{NAMES[bank]}.venv".removeprefix(ROOT)
    site = str(site_of(Path(folder)))
    wanted = {f"{site}/{name}": data for name, data in MODULES.items()}
    wanted[f"{folder}/{COMPLETE}"] = entry["files"][0]["sha256"].encode()
    return next((place for place, data in wanted.items() if held.get(place) != data), "")


def problems(state: State, facts: Facts) -> list[str]:
    """What is wrong with a state that a cut has left."""
    found, held = device.problems(state, facts), dict(state)
    record = device.record_of(held) or records.new_record()
    live = record["banks"][record["live"]]
    if facts.confirmed[1] and live and (missing := _missing(held, record["live"], live)):
        found.append(f"the confirmed agent has no {missing}")
    return found


def lived(scene: Scene, disk: Disk, facts: Facts = Facts()) -> Life:
    with device.around(disk):
        world = Launched(scene, disk, facts)
        is_done = device.LOOP.run_until_complete(world.live())
    if not is_done:
        world.fault("the device never came to an end")
    else:
        scene.check_end(world)
    return Life(disk.moments, world.faults, is_done)


AGENT_SCENES = {
    scene.name: scene
    for scene in (
        AgentScene("first agent", [], [order(NEW, 1)], (SUCCEEDED, 2)),
        AgentScene("agent update", [OLD], [order(NEW, 2)], (SUCCEEDED, 2)),
        AgentScene("agent revert", [OLD, NEW], [order(OLD, 3)], (SUCCEEDED, 1)),
        AgentScene("agent crashes", [OLD], [order(CRASHES, 2)], (ROLLED_BACK, 1), bans=[CRASHES]),
        AgentScene("other agent", [OLD], [order(OTHER, 2)], (ROLLED_BACK, 1), bans=[OTHER]),
    )
}


def sweep(scene: Scene, count: Count, is_long: bool = False) -> Sweep:
    return Sweep(
        scene.name, lambda disk, facts: lived(scene, disk, facts), problems, count, is_long
    )
