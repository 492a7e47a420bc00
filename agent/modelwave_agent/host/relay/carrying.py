"""Carries one board that has no agent: runs the agent's core for it, and looks whether the board is
plugged in."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

from modelwave_agent import root_store
from modelwave_agent.banks import Banks
from modelwave_agent.block_fetcher import BlockFetcher
from modelwave_agent.host.carried.agent import CarriedAgent
from modelwave_agent.host.carried.board import Board
from modelwave_agent.host.carried.commands import CommandCarrier
from modelwave_agent.host.carried.hooks import CarrierHooks
from modelwave_agent.host.carried.port import Carrier, CarrierError
from modelwave_agent.host.carried.ports import CarrierPorts
from modelwave_agent.host.link import PahoLink
from modelwave_agent.host.log import logger
from modelwave_agent.host.patcher import HostPatcher
from modelwave_agent.host.relay.config import BoardConfig
from modelwave_agent.host.relay.ports import LOOK_SECONDS, UsbPorts
from modelwave_agent.host.relay.store import FileStore
from modelwave_agent.host.relay.store_fetcher import StoreFetcher
from modelwave_agent.journal import Journal
from modelwave_agent.ports import Clock, Fetcher
from modelwave_agent.record import said
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.types import Enrolment
from modelwave_shared import topics

AGAIN_SECONDS = 5  # after what should not have happened


class CarriedBoard:
    """One board. `run` carries it until it is cancelled."""

    def __init__(
        self,
        gateway: str,
        board: BoardConfig,
        root: dict[str, Any],
        folder: Path,
        store: FileStore,
        http: Fetcher | None,
        usb: UsbPorts,
        clock: Clock,
    ) -> None:
        """`root`: the enrolled one; `folder`: of this board's own files; `http`: None if its files
        come in blocks, over its connection to the broker."""
        assert board.carried is not None
        self.gateway = gateway
        self.board = board
        self.settings = board.carried
        self.root = root
        self.folder = folder
        self.store = store
        self.http = http
        self.usb = usb
        self.clock = clock
        self.agent: CarriedAgent | None = None
        self._path = ""  # of its device, while it is plugged in

    def is_online(self) -> bool:
        """Returns whether the board answers, and its agent is connected to the broker."""
        agent = self.agent
        if agent is None or not agent.connected.is_set():
            return False
        return not any(board.problem for board in agent.boards.values())

    async def run(self) -> None:
        while True:
            try:
                await self._look()
                await self._run_agent()
            except Exception as error:
                logger.warning("%s: the gateway failed: %s", self.board.device, said(error))
                await self.clock.sleep(AGAIN_SECONDS)

    async def _run_agent(self) -> None:
        self.agent = self.made()
        watching = asyncio.create_task(self._watch(self.agent))
        try:
            await self.agent.run()
        finally:
            watching.cancel()
            self.agent = None
            await asyncio.gather(watching, return_exceptions=True)

    def made(self) -> CarriedAgent:
        """Makes the agent. Raises OSError if the folder cannot be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        root, problem = root_store.newest(str(self.folder), self.root)
        device = Enrolment(self.board.device, self.settings.target, root)
        link = PahoLink(self.board.broker, self.board.device, f"{self.board.device}: ")
        listeners = {}
        source = self.http
        if source is None:
            source = blocks = BlockFetcher(link, device.fleet, device.name, self.clock)
            listeners[topics.file_block(device.fleet, device.name)] = blocks.take
        fetcher, turn = StoreFetcher(self.store, source), asyncio.Lock()
        models = {model: self._ports(model, fetcher, turn) for model in self.settings.models}
        return CarriedAgent(
            device,
            models,
            link,
            self.clock,
            Journal(str(self.folder), "device"),
            RootWalk(device, str(self.folder), self.clock, problem),
            self.gateway,
            str(self.folder),
            self.settings.metrics_seconds,
            listeners,
            self.settings.report_key,
            self.settings.zone,
        )

    def _ports(self, model: str, fetcher: Fetcher, turn: asyncio.Lock) -> CarrierPorts:
        folder = self.folder / model
        folder.mkdir(exist_ok=True)
        board = Board(self._carrier(folder), turn, Journal(str(folder), "known"))
        return CarrierPorts(
            Journal(str(folder), "journal"),
            Banks(str(folder)),
            board,
            fetcher,
            CarrierHooks(board, self.board.device, self.settings.health_seconds),
            self.clock,
            HostPatcher(),
        )

    def _carrier(self, folder: Path) -> Carrier:
        if self.settings.commands:
            journal = Journal(str(folder), "flashed")
            return CommandCarrier(self.settings.commands, journal, self._port)
        from modelwave_agent.host.carried.smp import SmpCarrier  # needs smpclient
        from modelwave_agent.host.carried.smp_lines import connected
        from modelwave_agent.host.carried.smp_session import Patience

        smp = self.settings.smp
        assert smp is not None
        return SmpCarrier(
            lambda: connected(smp.address or self._port(), self.board.baud, Patience()),
            smp.image,
            smp.slot_bytes,
            smp.ram_bytes,
        )

    # Whether it is plugged in.

    def _port(self) -> str:
        """Returns the path of its device, "" if relay.toml names none. Raises CarrierError."""
        if self._is_named and not self._path:
            raise CarrierError(f"{self.board.place} is not plugged in")
        return self._path

    @property
    def _is_named(self) -> bool:
        return bool(self.board.port or self.board.usb_serial)

    async def _look(self) -> bool:
        """Returns whether it was plugged in since the last look."""
        had = self._path
        if self.board.usb_serial:
            self._path = await self.usb.path(self.board.usb_serial) or ""
        else:
            self._path = self.board.port if self.board.port and _exists(self.board.port) else ""
        return bool(self._path) and not had

    async def _watch(self, agent: CarriedAgent) -> None:
        while self._is_named:
            await self.clock.sleep(LOOK_SECONDS)
            with contextlib.suppress(OSError):  # no thread may be left for it; it looks again
                if await self._look():
                    logger.info("%s: plugged in at %s", self.board.device, self._path)
                    agent.poke()


def _exists(path: str) -> bool:
    return os.path.exists(path)  # Path.exists raises for a folder that may not be read
