"""Reads and writes bytes under limits: packets bounded in size, writes bounded in time."""

import asyncio
from collections.abc import Collection

from amqtt.adapters import StreamWriterAdapter
from amqtt.mqtt.packet import MQTTFixedHeader

from modelwave_controller.broker.errors import ClientRefused

# A client that does not read the bytes waiting for it within this time is disconnected.
WRITE_SECONDS = 10
# How long the last bytes of a connection that is closed may take to be sent.
FLUSH_SECONDS = 1


async def read_packet(
    reader: asyncio.StreamReader, types: Collection[int], max_packet_bytes: int
) -> tuple[MQTTFixedHeader, bytes]:
    """Reads the next packet: its fixed header, and exactly the bytes that it announces (MQTT
    3.1.1, section 2.2), so a decoder cannot read into the next packet.

    Raises ClientRefused for a packet of another type or above the size limit, before its body
    is read or memory is allocated for it; IncompleteReadError if the client is gone.
    """
    first = (await reader.readexactly(1))[0]
    if first >> 4 not in types:
        raise ClientRefused(f"sent a packet of type {first >> 4}, which is not allowed now")
    length = await _remaining_length(reader)
    if length > max_packet_bytes:
        raise ClientRefused(f"sent a packet of {length} bytes; {max_packet_bytes} are allowed")
    return MQTTFixedHeader(first >> 4, first & 0x0F, length), await reader.readexactly(length)


async def _remaining_length(reader: asyncio.StreamReader) -> int:
    """Reads the remaining length: at most four bytes of seven bits, the lowest first (section
    2.2.3)."""
    length = 0
    for shift in (0, 7, 14, 21):
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return length
    raise ClientRefused("sent a packet length of more than four bytes")


class BoundedWriter(StreamWriterAdapter):  # type: ignore[misc]  # amqtt ships no types
    """amqtt's writer with a time limit for clients that do not read."""

    is_closed: bool

    async def drain(self) -> None:
        """Waits until the buffer is small again. Raises ConnectionResetError if the client does
        not read for WRITE_SECONDS."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await super().drain()
        except TimeoutError:
            self.abort()
            raise ConnectionResetError("the client does not read") from None

    async def close(self) -> None:
        """Sends the bytes already written within FLUSH_SECONDS, and ends the connection in any
        case."""
        if self.is_closed:
            return
        self.is_closed = True
        self._writer.close()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self.abort()

    def abort(self) -> None:
        """Ends the connection now; its reader sees the end of the stream."""
        self._writer.transport.abort()
