"""UartStream over a UART as machine.UART is one: it takes and gives what there is, and never waits.

micropython serial_uart.py
"""

import asyncio
import io
import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

from tests.board.programs import cases  # noqa: E402
from tests.core.line_gateway import Broker, Gateway  # noqa: E402

from modelwave_agent.board.clock import BoardClock  # noqa: E402
from modelwave_agent.board.serial_link import SerialLink  # noqa: E402
from modelwave_agent.board.serial_stream import UartStream  # noqa: E402

POLL, READABLE, WRITABLE = 3, 1, 4  # MP_STREAM_POLL and its flags
BUFFER_BYTES = 100  # less than a frame, so that writes are cut


class Uart(io.IOBase):
    def __init__(self):
        self.other = None
        self.came = b""

    def ioctl(self, request, flags):
        if request != POLL:
            return 0
        readable = READABLE if self.came else 0
        writable = WRITABLE if len(self.other.came) < BUFFER_BYTES else 0
        return flags & (readable | writable)

    def read(self, n):
        data, self.came = self.came[:n], self.came[n:]
        return data or None

    def write(self, data):
        size = min(len(data), BUFFER_BYTES - len(self.other.came))
        if not size:
            return None
        self.other.came += bytes(data[:size])
        return size


def test_messages_pass_both_ways_through_small_buffers():
    one, other = Uart(), Uart()
    one.other, other.other = other, one
    clock, broker = BoardClock(), Broker()
    broker.retained["orders"] = b"an order " * 300
    gateway = Gateway(clock, UartStream(other), 115_200, broker)
    link = SerialLink(UartStream(one), "pico-1")

    async def main():
        serving = asyncio.create_task(gateway.run())
        await link.connect("presence", b"offline")
        await link.subscribe(["orders"])
        assert await link.receive() == ("orders", b"an order " * 300)
        await link.publish("reported", bytes(2_000), True)
        await link.close()
        serving.cancel()

    asyncio.run(asyncio.wait_for(main(), 30))
    assert broker.published == [("reported", bytes(2_000))]


cases.run(globals())
