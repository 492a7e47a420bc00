"""The update of the agent itself, as an update of the model `agent`, joined with the launcher.

No model goes on trial while a new agent is proved or on trial, and no new agent while a model is:
each waits for the other like for a program that defers an update.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelwave_agent import own_bank
from modelwave_agent.echo import ECHO_SECONDS, Echo
from modelwave_agent.host.config import AgentConfig
from modelwave_agent.host.folders import make_folder
from modelwave_agent.host.hooks import CommandHooks
from modelwave_agent.host.maintenance import MaintenanceGate
from modelwave_agent.host.patcher import HostPatcher
from modelwave_agent.host.self_update import line
from modelwave_agent.host.self_update.line import Line
from modelwave_agent.host.self_update.own_ports import AgentBanks, AgentPorts, AgentRuntime
from modelwave_agent.host.settings_reader import ConfigError
from modelwave_agent.journal import Journal
from modelwave_agent.model_report import ModelReport
from modelwave_agent.own_bank import place_of
from modelwave_agent.ports import Clock, Fetcher
from modelwave_agent.types import Enrolment, Live
from modelwave_agent.upcoming import Upcoming
from modelwave_agent.update import Update
from modelwave_shared.agent_releases import AGENT
from modelwave_shared.limits import MAX_MODELS

if TYPE_CHECKING:
    from modelwave_agent.types import Record

WATCH_SECONDS = 1  # between two looks, until a report has come back


class AgentHooks(CommandHooks):
    """Asks the commands of agent.toml only whether an update may go on."""

    def __init__(self, itself: "SelfUpdate", may: tuple[str, ...], seconds: float) -> None:
        super().__init__((), (), may, seconds)
        self.itself = itself
        self.closed: Callable[[], str] = lambda: ""  # of the maintenance windows

    async def serve(self, live: Live) -> str:
        await self.itself.give_way()
        return ""

    async def healthy(self, live: Live) -> str:
        if not await self.itself.is_heard(ECHO_SECONDS):
            return "no report of the new agent came back from the broker"
        return ""

    async def may_update(self, upcoming: Upcoming) -> str | bool | None:
        return self.closed() or self.itself.others_at_work() or await super().may_update(upcoming)


class SelfUpdate:
    """Joins the update of the agent with the launcher that has started it."""

    def __init__(self, line_: Line, config: Path) -> None:
        self.line = line_
        self.place = line_.start.place
        self.config = config
        self.leave: Callable[[], object] = lambda: None  # ends this agent in order
        self.others: Mapping[str, Update] = {}
        self.echo = Echo()  # the agent's own takes its place
        self._update: Update | None = None
        self._clock: Clock = Clock()
        self._news = asyncio.Event()
        self._heard = asyncio.Event()

    def update(
        self,
        settings: AgentConfig,
        device: Enrolment,
        fetcher: Fetcher,
        clock: Clock,
        others: Mapping[str, Update],
    ) -> Update:
        """Makes the update of the agent; `others`: those of the models."""
        folder = settings.state / AGENT
        with contextlib.suppress(OSError):  # the journal says what is wrong with the folder
            make_folder(folder)
        hooks = AgentHooks(self, settings.may_update, settings.hook_seconds)
        ports = AgentPorts(
            Journal(str(folder), "journal"),
            AgentBanks(str(folder)),
            AgentRuntime(self.config),
            fetcher,
            hooks,
            clock,
            patcher=HostPatcher(),
        )
        ports.start = self.line.start
        update = Update(AGENT, device, ports)
        hooks.closed = MaintenanceGate(update, clock, settings.zone).closed
        self.join(update, others)
        return update

    def join(self, update: Update, others: Mapping[str, Update]) -> None:
        """`update`: of the agent, with its ports; `others`: those of the models."""
        self._update, self._clock, self.others = update, update.ports.clock, others

    @property
    def record(self) -> "Record":
        assert self._update is not None
        return self._update.record

    def at_work(self) -> str:
        """Returns why no model may go on trial now, or ""."""
        return own_bank.at_work(self.record)

    def others_at_work(self) -> str:
        """Returns why no new agent may go on trial now, or ""."""
        return own_bank.others_at_work(self.others)

    def hear(self, report: ModelReport) -> None:
        """Looks at once whenever the report of the agent's update changes."""
        changed = report.changed

        def heard() -> None:
            self._news.set()
            changed()

        report.changed = heard

    async def is_heard(self, seconds: float) -> bool:
        """Waits for a report to come back; False if none has after `seconds`."""
        return await self._clock.wait(self._heard, seconds)

    async def give_way(self) -> None:
        """If another agent should run, ends this one in order, and does not return."""
        record = self.record
        if place_of(record) == self.place:
            return
        assert self._update is not None
        self._update.ports.hands_over = record["state"] == "trial"
        order = self._update.work.progress.order
        seconds = order.document["trial"]["seconds"] if order else 0
        self.line.say(f"{line.SWITCH} {seconds}")
        self.leave()
        await asyncio.Event().wait()

    async def watch(self) -> None:
        """Tells the launcher how this agent is, until it is cancelled."""
        is_confirmed = not self.line.start.on_trial
        while True:
            if not self.line.say(line.ALIVE):
                self.leave()  # the next launcher starts an agent, which needs the state folder
                return
            if self.echo.is_heard and not self._heard.is_set():
                self._heard.set()
                self.line.say(line.REPORTED)
            settled = self.record["state"] != "trial"
            if settled and not is_confirmed and place_of(self.record) == self.place:
                is_confirmed = True
                self.line.say(line.CONFIRMED)
            assert self._update is not None
            if settled and own_bank.is_at_rest(self._update):
                await self.give_way()
            await self._next_look()

    async def _next_look(self) -> None:
        pause = line.ALIVE_SECONDS if self._heard.is_set() else WATCH_SECONDS
        await self._clock.wait(self._news, pause)
        self._news.clear()


def require_free_name(settings: AgentConfig) -> None:
    """Raises ConfigError if the models of this device leave no place for the agent."""
    if AGENT in settings.models:
        raise ConfigError(
            f'models: "{AGENT}" is the agent itself under `modelwave-agent supervise`; start this '
            "agent with `run`, or release the model under another name"
        )
    if len(settings.models) == MAX_MODELS:
        raise ConfigError(
            f"models: {MAX_MODELS}, and the agent is one more under `modelwave-agent supervise`, "
            "which is more than a report has; start this agent with `run`"
        )


def take_line() -> Line | None:
    """Returns the line to the launcher, and leaves nothing of it for hooks."""
    found = Line.of(os.environ)
    for name in (line.PIPE, line.START):
        os.environ.pop(name, None)
    return found
