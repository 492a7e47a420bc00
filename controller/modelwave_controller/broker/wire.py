"""Bytes in and out under limits: whole packets, bounded in size; writes bounded in time."""

import asyncio
from collections.abc import Collection

from amqtt.adapters import StreamWriterAdapter
from amqtt.mqtt.packet import MQTTFixedHeader

from modelwave_controller.broker.errors import ClientRefused

# A client that has not taken the bytes waiting for it by then is put out.
WRITE_SECONDS = 10
# At the end of a connection: how long its last bytes may take to leave.
FLUSH_SECONDS = 1


async def read_packet(
    reader: asyncio.StreamReader, types: Collection[int], max_packet_bytes: int
) -> tuple[MQTTFixedHeader, bytes]:
    """The next packet's fixed header, and exactly the bytes it announces (MQTT 3.1.1,
    section 2.2), so that no decoder can read on into the packet behind.

    Raises Refused for a packet of another type or beyond the size, before its body is read
    or room is made for it; IncompleteReadError when the client is gone.
    """
    first = (await reader.readexactly(1))[0]
    if first >> 4 not in types:
        raise ClientRefused(f"sent a packet of type {first >> 4}, which is not its to send now")
    length = await _remaining_length(reader)
    if length > max_packet_bytes:
        raise ClientRefused(f"sent a packet of {length} bytes; {max_packet_bytes} are allowed")
    return MQTTFixedHeader(first >> 4, first & 0x0F, length), await reader.readexactly(length)


async def _remaining_length(reader: asyncio.StreamReader) -> int:
    """At most four bytes, seven bits each, the lowest first (section 2.2.3)."""
    length = 0
    for shift in (0, 7, 14, 21):
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return length
    raise ClientRefused("sent a packet length of more than four bytes")


class BoundedWriter(StreamWriterAdapter):  # type: ignore[misc]  # amqtt ships no types
    """amqtt's writer, which waits for a client that stopped reading only so long."""

    is_closed: bool

    async def drain(self) -> None:
        """Raises ConnectionResetError when the client takes too long."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await super().drain()
        except TimeoutError:
            self.abort()
            raise ConnectionResetError("the client does not read") from None

    async def close(self) -> None:
        """Let what is written leave, but end the connection in any case."""
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
        """End the connection now; its reader sees the end of the stream."""
        self._writer.transport.abort()
