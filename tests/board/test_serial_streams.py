"""The streams of a wire on a real MicroPython: its console on a pseudoterminal, and a UART."""

import asyncio
import hashlib
import json
import os
import subprocess
import tty
from pathlib import Path

from modelwave_agent.host.clock import HostClock
from tests import micropython
from tests.core.line_gateway import Broker, Gateway

PROGRAMS = Path(__file__).parent / "programs"
DATA = os.urandom(30_000)
SHA256 = hashlib.sha256(DATA)
SECONDS = 60


class Terminal:
    """The gateway's stream."""

    def __init__(self, file):
        self.file = file
        self.came = asyncio.Event()
        asyncio.get_running_loop().add_reader(file, self.came.set)

    async def read(self, n):
        while True:
            await self.came.wait()
            self.came.clear()
            try:
                return os.read(self.file, n)
            except BlockingIOError:
                pass
            except OSError:  # the board has ended
                return b""

    async def write(self, data):
        while data:
            try:
                data = data[os.write(self.file, data) :]
            except BlockingIOError:
                await asyncio.sleep(0.001)


async def served(command, broker):
    """What a gateway made of the board that runs `command`."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    try:
        board = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        stream = Terminal(master)
        gateway = Gateway(HostClock(), stream, 115_200, broker)
        try:
            async with asyncio.timeout(SECONDS):
                await gateway.run()
        finally:
            board.kill()
            board.wait()
            asyncio.get_running_loop().remove_reader(master)
        return gateway, board.returncode
    finally:
        os.close(master)


def test_console_carries_messages_files_and_text(tmp_path, compiled):
    broker = Broker()
    broker.files[SHA256.digest()] = DATA
    broker.retained["orders"] = b"an order " * 500
    config = {
        "path": [str(compiled)],
        "file": [SHA256.hexdigest(), len(DATA)],
        "topic": "orders",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    program = PROGRAMS / "serial_console.py"
    command = micropython.command(program, tmp_path / "config.json", heap="112k")  # 80k does
    gateway, status = asyncio.run(served(command, broker))
    said = b"".join(gateway.said).decode()
    published = dict(broker.published)
    assert "done" in published, (said, gateway.line.ended, status)
    assert json.loads(published["done"]) == {
        "payload": "an order " * 500,
        "sha256": SHA256.hexdigest(),
    }, said
    assert "a board starts" in said
    assert "connected by way of gw-1" in said
    assert "of a download" in said
    assert (broker.wills, gateway.problems, status) == (0, [], 0)


def test_uart_carries_messages_through_small_buffers(tmp_path):
    done = micropython.run(tmp_path, PROGRAMS / "serial_uart.py", heap="1m")
    assert done.stdout.splitlines()[-1] == "1 passed, 0 failed", done.stdout + done.stderr
