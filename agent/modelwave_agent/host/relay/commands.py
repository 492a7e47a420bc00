"""The commands of a gateway: `modelwave-agent relay`, `relay-check` and `relay-status`."""

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from modelwave_agent.host import lock, supervised
from modelwave_agent.host.relay import ports
from modelwave_agent.host.relay.config import BoardConfig, RelayConfig, read_config
from modelwave_agent.host.relay.gateway import Gateway, board_folder
from modelwave_agent.host.status import NOT_CONNECTED
from modelwave_shared.slots import slot


def run(config: Path, health: Path | None) -> int:
    """Runs the gateway until SIGINT or SIGTERM."""
    ports.require_installed()
    asyncio.run(_until_signal(Gateway(read_config(config)), health))
    return 0


async def _until_signal(gateway: Gateway, health: Path | None) -> None:
    async with supervised.supervised(gateway.is_connected, health):
        await supervised.until_signal(gateway.run())


def check(config: Path) -> int:
    """Shows what the settings say, and which boards are plugged in, without connecting."""
    settings = read_config(config)
    usb = ports.usb_serials()
    print(f"gateway {settings.gateway}, fleet {settings.fleet}")
    print(f"broker {settings.broker.described}, state in {settings.state}")
    print(f"files from {', '.join(settings.file_hosts) or 'the controller, in blocks'}")
    if not settings.boards:
        print("  no boards: give each a table [[board]], as relay.toml.example shows")
    for board in settings.boards:
        own_slot = slot(settings.fleet, board.device)
        print(f"  {board.device}: {board.kind}, slot {own_slot}, {_where(board, usb)}")
        commands = board.carried and board.carried.commands
        for problem in commands.problems() if commands else ():
            print(f"    {problem}")
    named = {board.usb_serial for board in settings.boards}
    for number, path in usb.items():
        if number not in named:
            print(f'  no board: usb_serial = "{number}" is plugged in at {path}')
    return 0


def _where(board: BoardConfig, usb: dict[str, str]) -> str:
    """How the board is reached. `usb`: as of ports.usb_serials."""
    smp = board.carried and board.carried.smp
    if smp and smp.address:
        return smp.address
    if not board.place:
        return "its commands know where it is"
    path = board.port if board.port and Path(board.port).exists() else usb.get(board.usb_serial)
    return f"{board.place}: " + (f"plugged in at {path}" if path else "not plugged in")


@dataclass(frozen=True)
class RelayStatus:
    """`boards`: whether each is connected; a board that is not is no trouble of the gateway's."""

    gateway: str
    running: bool
    connected: bool
    problems: list[str]
    boards: dict[str, bool]

    @property
    def code(self) -> int:
        if not self.running:
            return 2
        return 1 if self.problems else 0

    def lines(self) -> list[str]:
        runs = "runs" if self.running else "does not run"
        connected = " and is connected to the broker" if self.connected else ""
        lines = [f"the gateway {self.gateway} {runs}{connected}"]
        lines += [f"  {problem}" for problem in self.problems]
        for board, is_there in self.boards.items():
            lines.append(f"  {board}: {'connected' if is_there else 'not connected'}")
        return lines


def status(config: Path, health: Path | None, as_json: bool, now: float) -> int:
    """Shows how the gateway is; returns the exit code, as of host/status.py."""
    found = read_status(read_config(config), health, now)
    print(json.dumps(asdict(found), indent=2) if as_json else "\n".join(found.lines()))
    return found.code


def read_status(settings: RelayConfig, health: Path | None, now: float) -> RelayStatus:
    """`health`: the file of `relay --health-file`; `now` is in Unix seconds. Raises OSError if the
    state folder may not be read."""
    running = settings.state.exists() and lock.is_running(settings.state)
    connected = running and lock.is_connected(settings.state)
    problems = []
    if running and health is not None:
        problems += [problem] if (problem := supervised.problem_of(health, now)) else []
    elif running and not connected:
        problems.append(NOT_CONNECTED)

    def is_there(board: BoardConfig) -> bool:
        return running and lock.is_connected(board_folder(settings.state, board.device))

    boards = {board.device: is_there(board) for board in settings.boards}
    return RelayStatus(settings.gateway, running, connected, problems, boards)
