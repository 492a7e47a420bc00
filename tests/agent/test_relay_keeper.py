"""Boards are met, lost and met again: keeper.py, with the real line on pseudo-terminals."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelwave_agent.host.clock import HostClock
from modelwave_agent.host.link import BrokerAddress
from modelwave_agent.host.relay import keeper as module
from modelwave_agent.host.relay import ports
from modelwave_agent.host.relay.board_log import BoardLog
from modelwave_agent.host.relay.config import MICROPYTHON, BoardConfig
from modelwave_agent.host.relay.keeper import BoardKeeper
from modelwave_agent.host.relay.ports import UsbPorts
from modelwave_agent.host.relay.session import Allowances, Served
from modelwave_agent.host.relay.store import FileStore
from modelwave_shared import line_messages as messages
from modelwave_shared import topics
from tests.agent.pty_boards import BAUD, PtyBoard
from tests.agent.relay_fakes import Broker, Server

list_ports = pytest.importorskip("serial.tools.list_ports")

SECONDS = 30


class World:
    def __init__(self, folder: Path, *names: str) -> None:
        self.clock = HostClock()
        self.store = FileStore(folder / "files", 100_000)
        self.boards = [PtyBoard(folder / name, name) for name in names]
        self.brokers = [Broker() for _ in names]
        self.keepers = [
            BoardKeeper("gw-1", self._config(board), self._served(board, broker), self._usb())
            for board, broker in zip(self.boards, self.brokers, strict=True)
        ]
        self.tasks = [asyncio.create_task(keeper.run()) for keeper in self.keepers]

    def _config(self, board: PtyBoard) -> BoardConfig:
        address = BrokerAddress("broker.test")
        return BoardConfig(board.device, MICROPYTHON, str(board.path), "", BAUD, address)

    def _usb(self) -> UsbPorts:
        return UsbPorts(self.clock)

    def _served(self, board: PtyBoard, broker: Broker) -> Served:
        log = BoardLog(board.device, self.clock)
        parts = (self.store, Server(), Allowances(self.clock), log, self.clock)
        return Served("demo", board.device, broker, *parts)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for board in self.boards:
            await board.unplug()


def run(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    names: tuple[str, ...],
    main: Callable[[World], Awaitable[None]],
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.02)

    async def limited() -> None:
        world = World(folder, *names)
        try:
            async with asyncio.timeout(SECONDS):
                await main(world)
        finally:
            await world.end()

    asyncio.run(limited())


def test_board_is_waited_for_served_lost_and_served_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main(world: World) -> None:
        (board,), (broker,), (keeper,) = world.boards, world.brokers, world.keepers
        await asyncio.sleep(0.2)
        for lives in (1, 2):
            board.plug_in()
            await board.start()
            assert board.gateway == "gw-1"
            assert await board.connect() == [0, "", []]
            assert keeper.is_online()
            await board.start()  # after a reset
            assert broker.did.count(("drop",)) == 2 * lives - 1
            await board.connect()
            dropped = asyncio.create_task(broker.dropped())
            await asyncio.sleep(0)
            await board.unplug()
            await dropped
            assert not keeper.is_online()

    run(monkeypatch, tmp_path, ("pico-1",), main)
    waits = [line for line in caplog.messages if line.endswith("it is waited for")]
    assert 1 <= len(waits) <= 3  # once each time
    assert waits[0].startswith("pico-1: ")


def test_other_board_at_the_port_is_told_and_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main(world: World) -> None:
        (board,), (broker,) = world.boards, world.brokers
        board.device = "pico-2"
        board.plug_in()
        for _ in range(3):
            await board.start()
            assert await board.connect() == [0, "the gateway knows this board as pico-1", []]
        assert broker.did == []
        board.device = "pico-1"
        await board.start()
        assert await board.connect() == [0, "", []]

    run(monkeypatch, tmp_path, ("pico-1",), main)
    told = [line for line in caplog.messages if "has the board pico-2 in place" in line]
    assert len(told) == 1


def test_what_was_told_of_ever_new_boards_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(world: World) -> None:
        (keeper,) = world.keepers
        for number in range(5 * module.MAX_TOLD):
            keeper._tell(f"the port has the board pico-{number}")
            assert len(keeper._told) <= module.MAX_TOLD

    run(monkeypatch, tmp_path, ("pico-1",), main)


def test_keeper_leaves_the_port_of_another_board_to_the_one_that_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when two boards have come by each other's paths."""

    async def main(world: World) -> None:
        one, two = world.boards
        one.plug_in()
        two.path.symlink_to(one.path)
        one.device, one.presence = two.device, two.presence
        monkeypatch.setattr(module, "AGAIN_SECONDS", 5)
        answer = [0, "not asked", []]
        while answer[1]:
            await one.start()
            answer = await one.connect()
        assert world.keepers[1].is_online()

    run(monkeypatch, tmp_path, ("pico-1", "pico-2"), main)


def test_board_is_found_by_its_usb_serial_number_whichever_path_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[SimpleNamespace] = []
    monkeypatch.setattr(list_ports, "comports", lambda: found)
    monkeypatch.setattr(ports, "LOOK_SECONDS", 0)

    async def main(world: World) -> None:
        board, keeper = world.boards[0], world.keepers[0]
        keeper.board = replace(keeper.board, port="", usb_serial="E66")
        for path in ("first", "second"):
            board.path = tmp_path / path
            board.plug_in()
            found.append(SimpleNamespace(device=str(board.path), serial_number="E66"))
            await board.start()
            assert await board.connect() == [0, "", []]
            dropped = asyncio.create_task(world.brokers[0].dropped())
            await asyncio.sleep(0)
            found.clear()
            await board.unplug()
            await dropped

    run(monkeypatch, tmp_path, ("pico-1",), main)


def test_board_that_does_not_read_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(world: World) -> None:
        for board in world.boards:
            board.plug_in()
            await board.start()
            await board.connect()
        deaf, good = world.boards
        topic = topics.heartbeat("demo", deaf.device)
        await deaf.say(messages.SUBSCRIBE, 1, [topic])
        await deaf.hears()
        await deaf.stop()
        for _ in range(200):
            world.brokers[0].sends.put_nowait((topic, bytes(8000)))
        for number in range(1, 20):
            await good.say(messages.PUBLISH, number, 1, topics.reported("demo", "pico-2"), b"{}")
            assert await good.hears() == (messages.ANSWER, [number, "", []])

    run(monkeypatch, tmp_path, ("pico-1", "pico-2"), main)


def test_fault_in_one_session_does_not_end_the_keeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(world: World) -> None:
        (board,), (broker,) = world.boards, world.brokers
        board.plug_in()
        await board.start()
        broker.fault = RuntimeError("a fault")
        await board.say(messages.CONNECT, board.presence, b"offline")
        await broker.dropped()
        broker.fault = None
        await board.start()
        assert await board.connect() == [0, "", []]

    run(monkeypatch, tmp_path, ("pico-1",), main)
