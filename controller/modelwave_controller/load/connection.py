"""The connection of one simulated device to the broker.

It does what an agent's does, packet by packet: it says that it is online, subscribes, and then
reports; each step follows the answer to the one before.
"""

import asyncio
from collections.abc import Callable

from modelwave_controller.broker import packets as mqtt
from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.load import packets
from modelwave_controller.load.device import SimulatedDevice

KEEP_ALIVE_SECONDS = 60  # as an agent says
MAX_PACKET_BYTES = 65536
_ONLINE, _OFFLINE = b"online", b"offline"
_REFUSALS = {
    1: "the broker does not speak MQTT 3.1.1",
    2: "the broker refuses the client id",
    3: "the broker is not available",
    4: "the broker refuses the user or the password",
    5: "the broker refuses this user",
}


class User:
    """As whom all devices connect; "" is nobody."""

    def __init__(self, name: str, password: str) -> None:
        self.name = name
        self.password = password


class Connection(asyncio.Protocol):
    """`ready` is called when the device has reported for the first time, `hear` with the topic and
    the payload of each message. `over` becomes true, or has the reason, when it ends."""

    def __init__(
        self,
        device: SimulatedDevice,
        user: User,
        ready: Callable[[], None],
        hear: Callable[[str, bytes], None],
    ) -> None:
        self.device = device
        self.is_ready = False
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._user = user
        self._ready = ready
        self._hear = hear
        self._steps = iter((self._say_online, self._subscribe, self.report, self._begin))
        self._packet_id = 0
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        user, device = self._user, self.device
        transport.write(
            packets.connect(
                device.name,
                user.name,
                user.password,
                device.presence,
                _OFFLINE,
                KEEP_ALIVE_SECONDS,
            )
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._end(str(error or "the broker closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at = 0
        try:
            while (head := mqtt.next_head(self._buffer, at, MAX_PACKET_BYTES)) is not None:
                if head.end > len(self._buffer):
                    break
                self._take(head.kind, head.flags, bytes(self._buffer[head.start : head.end]))
                at = head.end
        except ClientRefused as error:
            self.abort(f"the broker {error}")
        del self._buffer[:at]

    # What the fleet calls.

    def report(self) -> None:
        self._publish(self.device.reported, self.device.report())

    def observe(self, payload: bytes) -> None:
        self._publish(self.device.metrics, payload, retain=False)

    def ping(self) -> None:
        if self._transport:
            self._transport.write(packets.PING)

    def clear(self) -> None:
        """Clears what the broker retains of the device, and says good-bye. The connection is over
        when the broker has closed it."""
        self._publish(self.device.reported, b"")
        self._publish(self.device.presence, b"")
        if self._transport:
            self._transport.write(bytes((mqtt.DISCONNECT << 4, 0)))

    def abort(self, why: str) -> None:
        self._end(why)
        if self._transport:
            self._transport.abort()

    # Its packets.

    def _take(self, kind: int, flags: int, body: bytes) -> None:
        if kind == mqtt.PUBLISH:
            message = mqtt.read_publish(flags, body)
            if message.packet_id:
                self._write(mqtt.acknowledgement(mqtt.PUBACK, message.packet_id))
            self._hear(message.topic, message.payload)
        elif kind == mqtt.CONNACK and body[1:2] != b"\0":
            code = body[1] if len(body) > 1 else 0
            self.abort(_REFUSALS.get(code, f"the broker refuses it with code {code}"))
        elif kind != mqtt.PINGRESP and not self.is_ready:
            next(self._steps)()

    def _say_online(self) -> None:
        self._publish(self.device.presence, _ONLINE)

    def _subscribe(self) -> None:
        self._write(packets.subscribe(self._next_id(), self.device.filters()))

    def _begin(self) -> None:
        self.is_ready = True
        self._ready()

    def _publish(self, topic: str, payload: bytes, retain: bool = True) -> None:
        self._write(mqtt.publish(topic.encode(), payload, self._next_id(), retain=retain))

    def _write(self, data: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def _next_id(self) -> int:
        self._packet_id = self._packet_id % packets.MAX_PACKET_ID + 1
        return self._packet_id

    def _end(self, why: str) -> None:
        if not self.over.done():
            self.over.set_result(why)
