"""Keeps one board served: waits for its port, meets the board on it, and begins again whenever the
board was reset or unplugged.

What goes wrong with one board is told once, and is no trouble of the others.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

from modelwave_agent.host.apart import apart
from modelwave_agent.host.relay.config import BoardConfig
from modelwave_agent.host.relay.ports import LOOK_SECONDS, Port, PortError, UsbPorts
from modelwave_agent.host.relay.session import BoardSession, Served
from modelwave_agent.line import Line
from modelwave_agent.ports import LinkLost
from modelwave_shared import line_messages as messages

FRAMES = 8  # that the gateway takes at once
MAX_TOLD = 8  # lines that are not told again; a board may have a new name each time
AGAIN_SECONDS = 5  # after what should not have happened, or a board that is another one


class OtherBoard(Exception):
    """Another board is at the port. Whoever waits for that one must be able to open it."""


class BoardKeeper:
    def __init__(
        self,
        gateway: str,
        board: BoardConfig,
        served: Served,
        usb: UsbPorts,
        open_port: Callable[[str, int], Port] = Port,
    ) -> None:
        self.gateway = gateway
        self.board = board
        self.served = served
        self.usb = usb
        self.clock = served.clock
        self.log = served.log
        self._open_port = open_port
        self._told: set[str] = set()
        self._session: BoardSession | None = None

    def is_online(self) -> bool:
        """Returns whether the board speaks with the broker now."""
        return self._session is not None and self._session.is_connected

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            try:
                await self._serve_once()
                await self.clock.sleep(LOOK_SECONDS)
            except OtherBoard as error:
                self._tell(f"{error}; the port is left for a while")
                await self.clock.sleep(AGAIN_SECONDS)
            except Exception as error:
                self.log.warning(f"the gateway failed: {type(error).__name__}: {error}")
                await self.clock.sleep(AGAIN_SECONDS)

    async def _serve_once(self) -> None:
        port = await self._port()
        try:
            await self._serve(port)
        finally:
            await port.close()

    async def _port(self) -> Port:
        """Waits for the board's port, and opens it."""
        while True:
            try:
                path = self.board.port or await self.usb.path(self.board.usb_serial)
                if not path:
                    raise PortError(f"{self.board.place} is not plugged in")
                port = await apart(partial(self._open_port, path, self.board.baud))
            except PortError as error:
                self._tell(f"{error}; it is waited for")
                await self.clock.sleep(LOOK_SECONDS)
            else:
                self._tell(f"{path} is open")
                return port

    def _tell(self, text: str) -> None:
        """Logs what is said once until the board is there."""
        if text not in self._told:
            if len(self._told) >= MAX_TOLD:
                self._told.clear()
            self._told.add(text)
            self.log.info(text)

    async def _serve(self, port: Port) -> None:
        """Serves whoever is at the port, until it ends."""
        line = Line(port, self.clock, self.board.baud, FRAMES, self.log.console)
        reading = asyncio.create_task(line.run())
        try:
            while not reading.done():
                await self._meet(line)
        except LinkLost:
            pass  # the port has ended
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _meet(self, line: Line) -> None:
        """Serves one session. Raises LinkLost if the port has ended, and OtherBoard."""
        device = await line.meet_as_gateway(self.gateway)
        if device != self.board.device:
            await self._refuse(line)
            raise OtherBoard(f"{self.board.place} has the board {device} in place of this one")
        self._told.clear()
        self._session = BoardSession(line, self.served)
        try:
            self.log.info("the board is there")
            await self._session.run()
        except LinkLost as error:
            self.log.info(f"the session has ended: {error}")
        finally:
            self._session = None

    async def _refuse(self, line: Line) -> None:
        problem = f"the gateway knows this board as {self.board.device}"
        with contextlib.suppress(LinkLost, TimeoutError):
            async with asyncio.timeout(AGAIN_SECONDS):
                await line.receive()
                await line.send(messages.pack(messages.ANSWER, 0, problem, []))
                await line.settle()
