"""What a host runs around an update of one model: its commands, its program's function, its
maintenance window, and the wait for an update of the agent itself."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from modelwave_agent.host.config import AgentConfig
from modelwave_agent.host.hooks import CommandHooks, MayUpdate
from modelwave_agent.host.maintenance import MaintenanceGate
from modelwave_agent.host.self_update.itself import SelfUpdate
from modelwave_agent.types import Live
from modelwave_agent.upcoming import Upcoming

if TYPE_CHECKING:
    from modelwave_agent.host.hooks import MayUpdateFunction


class ProgramHooks(CommandHooks):
    """The commands of one model and its function `may_update`, and whether a model of it has been
    served yet. `tell` is called when another one serves."""

    def __init__(
        self,
        settings: AgentConfig,
        tell: Callable[[], None],
        may_update: "MayUpdateFunction | None",
        itself: SelfUpdate | None,
    ) -> None:
        super().__init__(settings.swap, settings.health, settings.may_update, settings.hook_seconds)
        self.served = False
        self.tell = tell
        self.asked = MayUpdate(may_update, settings.hook_seconds) if may_update else None
        self.maintenance: MaintenanceGate | None = None
        self.itself = itself

    async def may_update(self, upcoming: Upcoming) -> str | bool | None:
        if self.maintenance and (closed := self.maintenance.closed()):
            return closed
        if self.itself and (at_work := self.itself.at_work()):
            return at_work
        answer = await super().may_update(upcoming)
        return await self.asked(upcoming) if self.asked and not answer else answer

    async def serve(self, live: Live) -> str:
        self.served = True
        self.tell()
        return await super().serve(live)
