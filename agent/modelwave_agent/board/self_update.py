"""The update of the agent itself on a board, as an update of the model `agent`, joined with the
module that has started it (boot.py).

A bank holds the package of an agent, from which its modules are imported. To put another agent in
its place is to reset the board. No model goes on trial while a new agent is proved or on trial, and
no new agent while a model is: each waits for the other like for a program that defers an update.
"""

import asyncio
import os
import sys

from modelwave_agent import own_bank
from modelwave_agent.banks import NAMES, Banks
from modelwave_agent.echo import ECHO_SECONDS
from modelwave_agent.journal import Journal
from modelwave_agent.ports import Hooks, Ports, Runtime
from modelwave_agent.update import Update
from modelwave_shared.agent_releases import AGENT, BOARD_PACKAGE, expected
from modelwave_shared.limits import MAX_BYTES, MAX_MODELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from modelwave_agent.board.boot import Start
    from modelwave_agent.runner import Agent
    from modelwave_agent.types import (
        Breathe,
        Document,
        Enrolment,
        Live,
        MayAnswer,
        Next,
        Record,
    )
    from modelwave_agent.upcoming import Upcoming

MAIN = "modelwave_agent/board/agent.mpy"
WATCH_SECONDS = 2


def offered(own: str = __file__) -> "dict[str, str]":
    """Returns what a release of the agent may need: {"mpy6": "6.3"} for the format of compiled
    modules that this firmware reads. {"rom": …} if the agent in the file `own` is in ROMFS or in
    the firmware: a package runs from the heap, which is then too small for it."""
    mpy = sys.implementation._mpy
    version = "%d.%d" % (mpy & 0xFF, mpy >> 8 & 3)
    is_frozen = own[:1] != "/" and own[-3:] == ".py"
    if is_frozen or own.startswith("/rom/"):
        return {"rom": version}
    return {"mpy%d" % (mpy & 0xFF): version}


class AgentBanks(Banks):
    running = ""  # the bank from which this agent is imported

    def clear(self, bank: int) -> None:
        if NAMES[bank] == self.running:
            raise OSError("bank %s is the agent that runs" % self.running)
        Banks.clear(self, bank)


class AgentRuntime(Runtime):
    """Looks at a package. To run it takes a reset, so the trial shows whether it works."""

    name = BOARD_PACKAGE

    def __init__(self, package: "Callable[[str], Any]", models: "dict[str, Runtime]") -> None:
        """`package`: boot.Package, which reads the file when the agent in it is started. `models`:
        a report names the runtime of one of them."""
        self.package = package
        for runtime in models.values():
            self.format, self.version = runtime.format, runtime.version
            self.accelerator = runtime.accelerator

    def free_ram(self) -> int:
        return MAX_BYTES  # the models' runtimes say what there is

    async def prove(
        self, model_path: str, golden_path: str, manifest: "Document", breathe: "Breathe"
    ) -> str:
        if manifest["format"] != BOARD_PACKAGE:
            return "its format is %s, a board takes %s" % (manifest["format"], BOARD_PACKAGE)
        try:
            _line(golden_path)
            package = self.package(model_path)
        except ValueError as error:
            return str(error)
        try:
            package.stat(MAIN)
        except OSError:
            return "the package has no " + MAIN
        return ""


class AgentPorts(Ports):
    """The ports of the model `agent`."""

    banks: AgentBanks
    start: "Start"
    is_begun = False  # `woken` was called

    def has(self, bank: int, flash: "int | None" = None, ram: "int | None" = None) -> "Document":
        found = Ports.has(self, bank, flash, ram)
        found["runtimes"] = offered()
        return found

    def woken(self, record: "Record") -> "Next":
        is_first, self.is_begun = not self.is_begun, True
        if is_first and self.start.on_trial and record["state"] == "trial":
            return "resumed", {}
        verdict, self.start.verdict = self.start.verdict, ""
        if verdict and record["state"] in ("trial", "fetching"):
            return "crashed", {"reason": verdict}
        return None

    def unusable(self, bank: int) -> str:
        lost, self.start.lost = self.start.lost, ""
        return lost

    def trial(self, wanted: "Document") -> "Document":
        return {"seconds": wanted["seconds"], "inferences": 0}  # an agent has none


class AgentHooks(Hooks):
    def __init__(self, itself: "SelfUpdate", may: "Callable[[Upcoming], MayAnswer]") -> None:
        self.itself = itself
        self.may = may

    async def serve(self, live: "Live") -> str:
        await self.itself.give_way()
        return ""

    async def healthy(self, live: "Live") -> str:
        return await self.itself.problem(live)

    def may_update(self, upcoming: "Upcoming") -> "MayAnswer":
        return own_bank.others_at_work(self.itself.models) or self.may(upcoming)


def joined(
    boot: "Any",
    folder: str,
    device: "Enrolment",
    models: "dict[str, Runtime]",
    updates: "dict[str, Update]",
    ports: Ports,
    may: "Callable[[Upcoming], MayAnswer]",
) -> "SelfUpdate":
    """Makes the update of the agent. `boot`: the boot module; `folder`: of BoardAgent; `models`,
    `updates`: by the models' names; `ports`: those of one model; `may`: asks the program. Raises
    ValueError for what does not go together, and OSError."""
    start: "Start" = boot.START
    if AGENT in models:
        raise ValueError('models: "%s" is the agent itself; give the model another name' % AGENT)
    if len(models) >= MAX_MODELS:
        raise ValueError(
            "models: %d, and the agent is one more: %d is most" % (len(models), MAX_MODELS)
        )
    if folder != start.folder:
        raise ValueError("folder: %s, but modelwave_boot.run has %s" % (folder, start.folder))
    place = folder + "/" + AGENT
    try:
        os.stat(place)
    except OSError:
        os.mkdir(place)
    own = AgentPorts(
        Journal(place, "journal"),
        AgentBanks(place),
        AgentRuntime(boot.Package, models),
        ports.fetcher,
        Hooks(),
        ports.clock,
        patcher=ports.patcher,
    )
    own.start, own.banks.running = start, start.place
    itself = SelfUpdate(start, Update(AGENT, device, own), updates)
    own.hooks = AgentHooks(itself, may)
    return itself


class SelfUpdate:
    """Joins the update of the agent with the boot module."""

    def __init__(self, start: "Start", update: "Update", models: "dict[str, Update]") -> None:
        """`models`: the other updates of this board."""
        self.start = start
        self.update = update
        self.models = models
        self.agent: "Agent | None" = None

    def offered(self) -> "dict[str, str]":
        return offered()

    def at_work(self) -> str:
        """Returns why no model may go on trial now, or ""."""
        return own_bank.at_work(self.update.record)

    async def give_way(self) -> None:
        """If another agent should run, resets the board, and does not return."""
        record = self.update.record
        if own_bank.place_of(record) == self.start.place:
            return
        self.update.ports.hands_over = record["state"] == "trial"
        self.start.reset()
        await asyncio.Event().wait()

    async def problem(self, live: "Live") -> str:
        """Returns what is wrong with this agent at the end of its trial, or ""."""
        assert self.agent is not None
        said = self.agent.said()
        wanted = _line(live.path[: -len("model")] + "golden")
        if said != wanted:
            return "it says that it is %s, released was %s" % (said, wanted)
        end = self.agent.clock.now() + ECHO_SECONDS
        while not self.agent.echo.is_heard:
            if self.agent.clock.now() >= end:
                return "no report of the new agent came back from the broker"
            await self.agent.clock.sleep(WATCH_SECONDS)
        return ""

    async def watch(self) -> None:
        """Tells the boot module how this agent is, until it is cancelled."""
        assert self.agent is not None
        start, is_told = self.start, False
        while True:
            if self.agent.echo.is_heard and not is_told:
                is_told = True
                start.reported()
            record = self.update.record
            is_settled = record["state"] != "trial" and own_bank.is_at_rest(self.update)
            if is_settled and not start.lost:
                if start.on_trial and own_bank.place_of(record) == start.place:
                    start.confirmed()
                await self.give_way()
            await self.agent.clock.sleep(WATCH_SECONDS)


def _line(golden_path: str) -> str:
    """Returns what the golden file says that the new agent is. Raises ValueError and OSError."""
    with open(golden_path, "rb") as file:
        return expected(file.read(256))
