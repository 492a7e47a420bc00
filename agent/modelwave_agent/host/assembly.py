"""Puts the agent of a host together from its settings (config.py)."""

import contextlib
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelwave_agent.host.banks import HostBanks
from modelwave_agent.host.clock import HostClock
from modelwave_agent.host.config import AgentConfig
from modelwave_agent.host.folders import make_folder
from modelwave_agent.host.http import HostHttpFetcher
from modelwave_agent.host.keeping import KeepingAgent
from modelwave_agent.host.link import PahoLink
from modelwave_agent.host.log import Changes, denials_told, logger
from modelwave_agent.host.maintenance import MaintenanceGate
from modelwave_agent.host.offers import HostPorts, reported
from modelwave_agent.host.patcher import HostPatcher
from modelwave_agent.host.program_hooks import ProgramHooks
from modelwave_agent.host.proving import DeviceRuntimes
from modelwave_agent.host.self_update.itself import SelfUpdate
from modelwave_agent.host.shadow import HostShadow
from modelwave_agent.host.shadow_windows import HostObservations
from modelwave_agent.journal import Journal
from modelwave_agent.model_report import ModelReport
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared import checkout, host_platform
from modelwave_shared.agent_releases import AGENT
from modelwave_shared.maintenance import READS_MAINTENANCE

if TYPE_CHECKING:
    from modelwave_agent.types import Document


class ReportingAgent(KeepingAgent):
    """An agent whose report also says what only hosts have: it judges maintenance windows, by the
    host's local time, and offers runtimes under several names."""

    runtimes: DeviceRuntimes
    observations: HostObservations
    platform: "dict[str, str]" = {}  # what a release of the agent may need, if it updates itself

    async def _subscribe(self) -> None:
        with denials_told():
            await super()._subscribe()

    def note(self, problem: str) -> None:
        if problem:
            logger.warning("%s%s", problem, self.device.name)
        else:
            logger.info("reports: the broker sends them back again")

    async def _take_root(self, message: bytes) -> None:
        version, problem = self.device.root_version, self.walk.problem
        await super()._take_root(message)
        if self.device.root_version > version:
            logger.info("root %d is trusted from now on", self.device.root_version)
        elif self.walk.problem and self.walk.problem != problem:
            logger.warning("%s: root %d stays in use", self.walk.problem, version)

    def state(self) -> "Document":
        document = super().state()
        document["reads"][READS_MAINTENANCE] = 1
        document["extra"]["runtimes"] = reported(self.runtimes.installed, self.platform)
        return document


def assembled(
    settings: AgentConfig,
    device: Enrolment,
    root_problem: str,
    hooks: Mapping[str, ProgramHooks],
    shadows: Mapping[str, HostShadow],
    itself: SelfUpdate | None,
) -> ReportingAgent:
    """Returns the agent of `device`. `root_problem`: what is wrong with the newest root that the
    device has kept, or "". `hooks` and `shadows` are by model. `itself`: the update of this agent,
    if a launcher has started it. Raises ProofError if no runtime is installed."""
    clock = HostClock()
    fetcher = _fetcher(settings, device)
    runtimes = _runtimes(settings)
    updates = {}
    for model in settings.models:
        ports = _ports(settings, model, runtimes, fetcher, clock, hooks[model], shadows[model])
        updates[model] = Update(model, device, ports)
        hooks[model].maintenance = MaintenanceGate(updates[model], clock, settings.zone)
    if itself:
        updates[AGENT] = itself.update(settings, device, fetcher, clock, dict(updates))
    link = PahoLink(settings.broker, settings.device)
    state = str(settings.state)
    agent = ReportingAgent(
        device,
        updates,
        link,
        clock,
        Journal(state, "device"),
        RootWalk(device, state, clock, root_problem),
        settings.metrics_seconds,
        version=checkout.described(),
        report_key=settings.report_key,
    )
    agent.runtimes = runtimes
    agent.view.frozen_seconds = settings.frozen_seconds
    agent.observations = HostObservations(settings.metrics_seconds, clock, state, device)
    if agent.numbering.trouble:
        logger.warning("%s: no order is taken until it can be written", agent.numbering.trouble)
    for update in updates.values():
        update.report.changed = Changes(update, update.report.changed)
    if itself:
        agent.platform = host_platform.offered()
        itself.echo = agent.echo
        itself.hear(updates[AGENT].report)
    report = updates[settings.models[0]].report
    for setting, authorities in (
        ("broker.ca", link.authorities),
        ("download.ca", fetcher.authorities),
    ):
        if authorities:
            authorities.tell = functools.partial(_tell_of, report, setting)
    return agent


def _ports(
    settings: AgentConfig,
    model: str,
    runtimes: DeviceRuntimes,
    fetcher: HostHttpFetcher,
    clock: HostClock,
    hooks: ProgramHooks,
    shadow: HostShadow,
) -> HostPorts:
    folder = settings.state / model
    with contextlib.suppress(OSError):  # the journal says what is wrong with the folder
        make_folder(folder)
    return HostPorts(
        Journal(str(folder), "journal"),
        HostBanks(str(folder), settings.flash_bytes),
        runtimes,
        fetcher,
        hooks,
        clock,
        shadow,
        HostPatcher(),
    )


def _fetcher(settings: AgentConfig, device: Enrolment) -> HostHttpFetcher:
    fetcher = HostHttpFetcher(
        settings.download_ca,
        redirect_hosts=settings.redirect_hosts,
        hosts=settings.file_hosts,
        private_networks=settings.private_networks,
    )
    fetcher.enrolment = device
    return fetcher


def _runtimes(settings: AgentConfig) -> DeviceRuntimes:
    return DeviceRuntimes(
        settings.runtime,
        settings.ram_bytes,
        settings.proof_seconds,
        settings.kernels,
        settings.engine_seconds,
        settings.flash_bytes,
    )


def _tell_of(report: ModelReport, setting: str, problem: str) -> None:
    """Puts a problem of the file that `setting` names into the device's report."""
    report.trouble(setting, f"{setting}: {problem}" if problem else "")
