"""The agent's core, run on a gateway for one board that has no agent.

It is the device in everything: with a device id, a state folder, and a connection to the broker of
its own. The report names the gateway (`extra.via`).
"""

import asyncio
from typing import TYPE_CHECKING

from modelwave_agent import own_bank
from modelwave_agent.host.carried.hooks import CarrierHooks
from modelwave_agent.host.carried.keeper import Keeper
from modelwave_agent.host.carried.ports import CarrierPorts
from modelwave_agent.host.keeping import KeepingAgent
from modelwave_agent.host.kept_windows import KeptObservations
from modelwave_agent.host.log import Changes, denials_told, logger
from modelwave_agent.host.maintenance import MaintenanceGate
from modelwave_agent.journal import Journal
from modelwave_agent.ports import BrokerLink, Clock
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared import checkout
from modelwave_shared.maintenance import READS_MAINTENANCE
from modelwave_shared.words import SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from modelwave_agent.runner import Listener
    from modelwave_agent.types import Document

NOT_PROVEN = "its golden set did not run on the board"


class CarriedAgent(KeepingAgent):
    """The agent of one carried board. `run` works until it is cancelled."""

    def __init__(
        self,
        device: Enrolment,
        models: "Mapping[str, CarrierPorts]",
        link: BrokerLink,
        clock: Clock,
        boots: Journal,
        walk: RootWalk,
        gateway: str,
        folder: str,
        metrics_seconds: float = 900,
        listeners: "Mapping[str, Listener] | None" = None,
        report_key: bytes = b"",
        zone: "tzinfo | None" = None,
    ) -> None:
        """`models`: the ports of each model, whose hooks are CarrierHooks; `gateway`: its device
        id; `folder`: of the board's own files here; `listeners`: as in Agent; `zone`: of the
        maintenance windows, None for the system's."""
        updates = {model: Update(model, device, ports) for model, ports in models.items()}
        super().__init__(
            device,
            updates,
            link,
            clock,
            boots,
            walk,
            metrics_seconds,
            dict(listeners or {}),
            version=checkout.described(),
            report_key=report_key,
        )
        self.observations = KeptObservations(metrics_seconds, clock, folder, device)
        link.via = gateway
        self.boards = {model: ports.board for model, ports in models.items()}
        hooks = {}
        for model, ports in models.items():
            assert isinstance(ports.hooks, CarrierHooks)
            hooks[model] = ports.hooks
            self._join(model, ports.hooks, zone)
        self.keeper = Keeper(self, hooks, clock)

    def _join(self, model: str, hooks: CarrierHooks, zone: "tzinfo | None") -> None:
        update = hooks.update = self.updates[model]
        gate = MaintenanceGate(update, self.clock, zone)
        others = {name: one for name, one in self.updates.items() if name != model}
        # A board is reset for one model at a time: a reset would end the trial of another one.
        hooks.closed = lambda: gate.closed() or own_bank.others_at_work(others)
        update.report.changed = Changes(update, update.report.changed, f"{self.device.name}: ")

    async def run(self) -> None:
        keeping = asyncio.create_task(self.keeper.run())
        try:
            await super().run()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    def poke(self) -> None:
        """Makes the agent ask the board at once: it was plugged in."""
        self.keeper.poke()

    async def _subscribe(self) -> None:
        with denials_told(f"{self.device.name}: "):
            await super()._subscribe()

    def note(self, problem: str) -> None:
        if problem:
            logger.warning("%s%s", problem, self.device.name)

    def state(self) -> "Document":
        document = super().state()
        document["reads"][READS_MAINTENANCE] = 1
        for model, said in document["models"].items():
            if said["outcome"] == SUCCEEDED and not self.boards[model].carrier.proves:
                said["reason"] = said["reason"] or NOT_PROVEN
        return document
