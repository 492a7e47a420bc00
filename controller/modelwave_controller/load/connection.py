"""The connection of one simulated device, or of a gateway, to the broker.

A device's does what an agent's does, packet by packet: it says that it is online, subscribes, and
then reports; each step follows the answer to the one before.
"""

import asyncio
from collections.abc import Callable, Iterable

from modelwave_controller.broker import packets as mqtt
from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.load import packets
from modelwave_controller.load.device import SimulatedDevice
from modelwave_controller.load.gateway import SimulatedGateway

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


class Client(asyncio.Protocol):
    """`ready` is called when all that it does at first is done. `over` has the reason when it
    ends."""

    def __init__(
        self, one: SimulatedDevice | SimulatedGateway, user: User, ready: Callable[[], None]
    ) -> None:
        self.is_ready = False
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.one = one
        self._user = user
        self._ready = ready
        self._steps = iter(self.steps())
        self._packet_id = 0
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        user, one = self._user, self.one
        transport.write(
            packets.connect(
                one.name,
                user.name,
                user.password,
                one.presence,
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

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self.over.done()

    def ping(self) -> None:
        if self._transport:
            self._transport.write(packets.PING)

    def clear(self, others: Iterable[str] = ()) -> None:
        """Clears what the broker retains of it and on these topics, and says good-bye. The
        connection is over when the broker has closed it."""
        for topic in (*self.one.retained, *others):
            self._publish(topic, b"")
        if self._transport:
            self._transport.write(bytes((mqtt.DISCONNECT << 4, 0)))

    def abort(self, why: str) -> None:
        self._end(why)
        if self._transport:
            self._transport.abort()

    # What a device's does beside.

    def steps(self) -> tuple[Callable[[], None], ...]:
        """Returns what it does at first, each after the answer to the one before."""
        return (self._say_online, self._begin)

    def heard(self, _topic: str, _payload: bytes) -> None:
        """Is called with each message."""

    # Its packets.

    def _take(self, kind: int, flags: int, body: bytes) -> None:
        if kind == mqtt.PUBLISH:
            message = mqtt.read_publish(flags, body)
            if message.packet_id:
                self._write(mqtt.acknowledgement(mqtt.PUBACK, message.packet_id))
            self.heard(message.topic, message.payload)
        elif kind == mqtt.CONNACK and body[1:2] != b"\0":
            code = body[1] if len(body) > 1 else 0
            self.abort(_REFUSALS.get(code, f"the broker refuses it with code {code}"))
        elif kind != mqtt.PINGRESP and not self.is_ready:
            next(self._steps)()

    def _say_online(self) -> None:
        self._publish(self.one.presence, _ONLINE)

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


class Connection(Client):
    """That of a device, which is ready when it has reported for the first time. `hear` is called
    with the topic and the payload of each message."""

    def __init__(
        self,
        device: SimulatedDevice,
        user: User,
        ready: Callable[[], None],
        hear: Callable[[str, bytes], None],
    ) -> None:
        super().__init__(device, user, ready)
        self.device = device
        self._hear = hear

    def report(self) -> None:
        self._publish(self.device.reported, self.device.report())

    def observe(self, payload: bytes) -> None:
        self._publish(self.device.metrics, payload, retain=False)

    def steps(self) -> tuple[Callable[[], None], ...]:
        return (self._say_online, self._subscribe, self.report, self._begin)

    def heard(self, topic: str, payload: bytes) -> None:
        self._hear(topic, payload)

    def _subscribe(self) -> None:
        self._write(packets.subscribe(self._next_id(), self.device.filters()))
