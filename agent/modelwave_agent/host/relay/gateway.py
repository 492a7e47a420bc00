"""The gateway: its own presence at the broker, and a keeper for each board.

Its presence, with "offline" as last will, tells the controller whether boards are silent because
the gateway is down.
"""

import asyncio
import contextlib
import os
import random
from pathlib import Path

from modelwave_agent.host.clock import HostClock
from modelwave_agent.host.http import HostHttpFetcher
from modelwave_agent.host.link import PahoLink
from modelwave_agent.host.lock import locked, showing
from modelwave_agent.host.log import logger
from modelwave_agent.host.relay.board_log import BoardLog
from modelwave_agent.host.relay.carrying import CarriedBoard
from modelwave_agent.host.relay.config import BoardConfig, RelayConfig
from modelwave_agent.host.relay.keeper import BoardKeeper
from modelwave_agent.host.relay.ports import UsbPorts
from modelwave_agent.host.relay.session import Allowances, Served
from modelwave_agent.host.relay.store import FileStore
from modelwave_agent.ports import LinkLost
from modelwave_agent.runner import JITTER, RECONNECT_SECONDS, STEADY_SECONDS
from modelwave_shared import topics

SETTINGS = "[files] in relay.toml"
REPEAT_SECONDS = 900  # a broker may have lost the presence


class Gateway:
    def __init__(self, settings: RelayConfig) -> None:
        """Locks the state folder. Raises ConfigError, and OSError if it cannot be written."""
        self.settings = settings
        self.clock = HostClock()
        self._lock = locked(settings.state)
        self.store = FileStore(settings.state / "files", settings.keep_bytes)
        self._http = HostHttpFetcher(
            settings.files_ca,
            hosts=settings.file_hosts,
            private_networks=settings.private_networks,
            settings=SETTINGS,
        )
        usb = UsbPorts(self.clock)
        self.keepers = [self._keeper(board, usb) for board in settings.boards]
        self.presence = topics.presence(settings.fleet, settings.gateway)
        self.link = PahoLink(settings.broker, settings.gateway)
        self._connected = False

    def _keeper(self, board: BoardConfig, usb: UsbPorts) -> BoardKeeper | CarriedBoard:
        settings = self.settings
        if not board.carried:
            return BoardKeeper(settings.gateway, board, self._served(board), usb)
        folder = board_folder(settings.state, board.device)
        http = self._http if settings.file_hosts else None
        return CarriedBoard(
            settings.gateway, board, settings.root, folder, self.store, http, usb, self.clock
        )

    def _served(self, board: BoardConfig) -> Served:
        return Served(
            self.settings.fleet,
            board.device,
            PahoLink(board.broker, board.device, f"{board.device}: "),
            self.store,
            self._http,
            Allowances(self.clock),
            BoardLog(board.device, self.clock),
            self.clock,
        )

    def is_connected(self) -> bool:
        return self._connected

    async def run(self) -> None:
        """Runs until it is cancelled."""
        try:
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(showing(self.settings.state, self.is_connected))
                for keeper in self.keepers:
                    folder = board_folder(self.settings.state, keeper.board.device)
                    folder.mkdir(parents=True, exist_ok=True)
                    await stack.enter_async_context(showing(folder, keeper.is_online))
                await self._run_all()
        finally:
            os.close(self._lock)

    async def _run_all(self) -> None:
        tasks = [asyncio.create_task(keeper.run()) for keeper in self.keepers]
        tasks.append(asyncio.create_task(self._be_present()))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._leave()

    async def _be_present(self) -> None:
        failures = 0
        while True:
            start = self.clock.now()
            try:
                await self.link.connect(self.presence, b"offline")
                self._connected = True
                while True:
                    await self.link.publish(self.presence, b"online", True)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(REPEAT_SECONDS):
                            await self.link.receive()
            except LinkLost:
                was_connected, self._connected = self._connected, False
                steady = was_connected and self.clock.now() - start > STEADY_SECONDS
                failures = 0 if steady else failures + 1
                if failures:
                    self.link.turn()
            except Exception as error:
                logger.warning("the gateway's presence: %s: %s", type(error).__name__, error)
                self._connected, failures = False, failures + 1
            pause = RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)]
            await self.clock.sleep(pause * (1 + JITTER * (2 * random.random() - 1)))

    async def _leave(self) -> None:
        """Says "offline": a broker sends the last will only if the connection breaks."""
        if self._connected:
            with contextlib.suppress(LinkLost):
                await self.link.publish(self.presence, b"offline", True)
        self._connected = False
        await self.link.close()


def board_folder(state: Path, device: str) -> Path:
    """Returns the folder that shows whether a board is connected, in the gateway's state."""
    return state / "boards" / device
