"""The ways to a board that speaks SMP: a serial port, UDP, BLE."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from smpclient.transport import SMPTransport, SMPTransportDisconnected
from smpclient.transport.udp import SMPUDPTransport

from modelwave_agent.host.carried.port import CarrierError
from modelwave_agent.host.carried.smp_session import Patience, Session

UDP, BLE = "udp://", "ble://"
_WRITE_SECONDS = 0.2  # for so long a board that reads nothing may hold up the others
_MAX_HELD_BYTES = 1 << 16  # of an answer that does not end
MAX_DATAGRAMS = 32  # that wait to be read; then the oldest is dropped

# Several lines for each look, which do not name the board. What is wrong is in the CarrierError.
for _name in ("smpclient", "smp", "bleak"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


@asynccontextmanager
async def connected(address: str, baud: int, patience: Patience) -> AsyncIterator[Session]:
    """Connects to the board at `address`: the path of a serial port, "udp://HOST:PORT" or
    "ble://ADDRESS". Raises CarrierError."""
    try:
        async with asyncio.timeout(2 * patience.answer):
            transport = await _connect(address, baud, 2 * patience.answer)
    except Exception as error:
        raise CarrierError(f"SMP: cannot connect to {address}: {error}") from error
    try:
        session = Session(transport, patience)
        await session.meet()
        yield session
    finally:
        await _close(transport)


async def _connect(address: str, baud: int, seconds: float) -> SMPTransport:
    if address.startswith(UDP):
        host, _, port = address.removeprefix(UDP).rpartition(":")
        udp = SMPUDPTransport()
        await udp.connect(host.strip("[]"), seconds, int(port))
        udp._client._protocol._receive_queue = _Datagrams()  # type: ignore[misc]
        return udp
    if address.startswith(BLE):
        from smpclient.transport.ble import SMPBLETransport  # needs bleak

        ble = SMPBLETransport()
        await ble.connect(address.removeprefix(BLE), seconds)
        return ble
    wire = _serial(baud)
    await wire.connect(address, seconds)
    return wire


class _Datagrams(asyncio.Queue[bytes]):
    """Holds the newest of what has come."""

    def put_nowait(self, item: bytes) -> None:
        if self.qsize() >= MAX_DATAGRAMS:
            self.get_nowait()
        super().put_nowait(item)


def _serial(baud: int) -> SMPTransport:
    from smpclient.transport.serial import SMPSerialTransport  # needs pyserial

    class Serial(SMPSerialTransport):
        """Keeps no console output, and lets other tasks run whatever a board sends."""

        async def _process_buffer(self) -> None:
            if len(self._buffer) > _MAX_HELD_BYTES:
                raise SMPTransportDisconnected("an answer that does not end")
            await super()._process_buffer()
            self._serial_buffer.clear()
            await asyncio.sleep(0)

        def forget(self) -> None:
            """Drops what was not sent: closing the port would wait for a board that reads none."""
            if self._conn.is_open:
                self._conn.reset_output_buffer()

    return Serial(baudrate=baud, write_timeout=_WRITE_SECONDS, exclusive=True)


async def _close(transport: SMPTransport) -> None:
    try:
        if forget := getattr(transport, "forget", None):
            forget()
        await transport.disconnect()
    except Exception:  # it is unplugged
        return
