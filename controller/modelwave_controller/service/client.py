"""paho's client, reading and sending in large pieces, and telling also of an end that paho does not
tell of.

By itself paho reads a packet in four small pieces, each with a call into the system after which the
thread may have to wait for the others, and asks the system before each packet whether there is
one. Here it asks once for all that has come. The messages among it are told one after the other,
and then acknowledged together, and so are the acknowledgements; paho reads the packets between
them, and those that are cut. Messages at QoS 1 are sent many in one piece.
"""

from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

from modelwave_controller.broker.packets import publish
from modelwave_controller.service.arrived import PUBACK, Arrived, messages

READ_BYTES = 65_536
READS = 64  # one after the other, before what is to be written has its turn
PIECE_BYTES = 65_536  # of messages that are sent together
ACKNOWLEDGEMENT = bytes((PUBACK, 2))


class BufferedSocket:
    """Stands for a socket, or one with TLS. Only one thread reads it."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._read = b""
        self._at = 0

    def recv(self, size: int) -> bytes:
        """Returns at most `size` bytes, and raises what the socket raises."""
        if self._at == len(self._read):
            self._read, self._at = self._socket.recv(READ_BYTES), 0
        start, self._at = self._at, min(self._at + size, len(self._read))
        return self._read[start : self._at]

    def messages(self) -> Iterator[Arrived]:
        """Yields the messages at the front of what was read and not returned, which then are."""
        for found in messages(self._read, self._at):
            self._at = found.end
            yield found

    def acknowledged(self) -> int | None:
        """Returns the packet id of the acknowledgement at the front of what was read and not
        returned, which then is; None if there is none, or not all of it."""
        at = self._at
        if self._read[at : at + 2] != ACKNOWLEDGEMENT or at + 4 > len(self._read):
            return None
        self._at += 4
        return int.from_bytes(self._read[at + 2 : at + 4], "big")

    def pending(self) -> int:
        """Returns the number of bytes that can be read at once. paho asks before it waits."""
        below = getattr(self._socket, "pending", None)
        return len(self._read) - self._at + (below() if below else 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class Client(mqtt.Client):
    """`on_heard` is called with each message's topic, payload, and whether it was retained,
    `on_acknowledged` with the packet id of each message at QoS 1 that the broker has acknowledged.
    One thread sends these, with `put` and `flush`."""

    on_ended: Callable[[str], None]
    on_heard: Callable[[str, bytes, bool], None]
    on_acknowledged: Callable[[int], None]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.on_message = self._on_one
        self._put: list[bytes] = []
        self._put_bytes = 0

    def next_packet_id(self) -> int:
        return self._mid_generate()

    def put(self, topic: str, payload: bytes, packet_id: int, retain: bool) -> None:
        """Sends a message at QoS 1 with the next ones; after the last, call `flush`."""
        packet = publish(topic.encode(), payload, packet_id, retain=retain)
        self._put.append(packet)
        self._put_bytes += len(packet)
        if self._put_bytes >= PIECE_BYTES:
            self.flush()

    def flush(self) -> None:
        put, self._put, self._put_bytes = self._put, [], 0
        if put:
            self._packet_queue(mqtt.PUBLISH, b"".join(put), 0, 1)

    def _create_socket(self) -> Any:
        return BufferedSocket(super()._create_socket())

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        for _ in range(READS):
            code = super().loop_read(max_packets)
            connected: Any = self.socket()
            if code or connected is None:
                break
            if not self._in_packet["command"]:
                self._take(connected)
            if not connected.pending():
                break
        return code

    def loop_forever(self, *args: Any, **options: Any) -> MQTTErrorCode:
        """The body of paho's thread. A packet that paho cannot read raises an exception here, and
        then paho does not call on_disconnect; so this reports the end."""
        try:
            return super().loop_forever(*args, **options)
        except Exception as error:
            connected: Any = self.socket()
            if connected is not None:
                connected.close()
            self.on_ended(f"cannot read a packet of the broker: {error}")
            return MQTTErrorCode.MQTT_ERR_PROTOCOL

    def _take(self, connected: BufferedSocket) -> None:
        """Takes the messages and acknowledgements that were read behind the packet that paho has
        read."""
        answers = bytearray()
        more = True
        while more:
            more = False
            for found in connected.messages():
                self._tell(found.topic, found.payload, found.retain)
                if found.number:
                    answers += ACKNOWLEDGEMENT + found.number.to_bytes(2, "big")
            while (packet_id := connected.acknowledged()) is not None:
                self.on_acknowledged(packet_id)
                more = True
        if answers:
            self._packet_queue(PUBACK, answers, 0, 1)

    def _handle_pubackcomp(self, cmd: Any) -> MQTTErrorCode:
        body = self._in_packet["packet"]
        if cmd != "PUBACK" or len(body) != 2:
            return super()._handle_pubackcomp(cmd)
        self.on_acknowledged(int.from_bytes(body, "big"))
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _on_one(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self._tell(message._topic, bytes(message.payload), message.retain)

    def _tell(self, topic: bytes, payload: bytes, retain: bool) -> None:
        try:
            name = topic.decode()
        except UnicodeDecodeError:  # not every broker checks what devices publish to
            return
        self.on_heard(name, payload, retain)
