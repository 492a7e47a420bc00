"""An agent whose windows outlive it (kept_windows.py)."""

import asyncio
from typing import Any

from modelwave_agent.host.kept_windows import KeptObservations
from modelwave_agent.runner import Agent


class KeepingAgent(Agent):
    """Keeps windows whenever one has ended and could not be sent, and when it ends itself; sends
    what earlier lives have left once it is connected."""

    observations: KeptObservations

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._turn = asyncio.Lock()  # of sending: two would send the same window
        self._has_connected = False

    async def _connect(self) -> None:
        await super()._connect()
        if not self._has_connected:
            self._has_connected = True
            # Else the clock may come right until the next window ends.
            if self.observations.is_dated():
                await self._send_windows()

    async def _send_windows(self) -> None:
        async with self._turn:
            await super()._send_windows()
            self._keep()

    async def _leave(self) -> None:
        self.observations.close(self.clock.now())
        self._keep()
        await super()._leave()

    def _keep(self) -> None:
        self.observations.keep(self.numbering.numbered)
        first = next(iter(self.updates.values()))
        first.report.trouble("windows", self.observations.trouble)
