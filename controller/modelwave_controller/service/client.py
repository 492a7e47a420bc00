"""paho's client, taking and giving messages in large pieces, and telling also of an end that paho
does not tell of.

By itself paho reads a packet in four small pieces, each with a call into the system after which the
thread may have to wait for the others, and asks the system before each packet whether there is
one. A message that it sends, or acknowledges, is a call into the system too. Here all that has come
is asked for once; whole packets of the two kinds that come in thousands, messages and their
acknowledgements, are read where they lie; and what is sent goes out together. Whatever is not plain
about a packet, paho reads.
"""

from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.broker.packets import (
    PUBACK,
    PUBLISH,
    Head,
    acknowledgement,
    next_head,
    publish,
)

READ_BYTES = 65_536
READS = 64  # one after the other, before what is to be written has its turn
PIECE_BYTES = 65_536  # of messages that are sent together


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

    def next_packet(self) -> tuple[Head, bytes] | None:
        """Returns the head and the body of the next packet, if all of it was read already
        and it is a message or an acknowledgement of one. It stays, until `skip`."""
        data, at = self._read, self._at
        if at == len(data) or data[at] >> 4 not in (PUBLISH, PUBACK):
            return None
        try:
            head = next_head(data, at, READ_BYTES)
        except ClientRefused:  # it is longer than what is read at once, or no packet
            return None
        if head is None or head.end > len(data):
            return None
        return head, data[head.start : head.end]

    def skip(self, head: Head) -> None:
        self._at = head.end

    def pending(self) -> int:
        """Returns the number of bytes that can be read at once. paho asks before it waits."""
        below = getattr(self._socket, "pending", None)
        return len(self._read) - self._at + (below() if below else 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class Client(mqtt.Client):
    """Messages at QoS 1 are sent with `put` and `flush`, by one thread. on_publish is called for
    those at QoS 0."""

    on_ended: Callable[[str], None]
    on_acknowledged: Callable[[int], None]  # with the packet id
    on_received: Callable[[bytes, bytes, bool], None]  # topic, payload, and whether it was retained

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._put: list[bytes] = []
        self._put_bytes = 0
        self._acknowledgements: list[bytes] = []

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
            self._take_packets(connected)
            if not connected.pending():
                break
        return code

    def _take_packets(self, connected: BufferedSocket) -> None:
        """Takes the whole packets that were read already, up to one that paho has to read, and
        acknowledges what has come."""
        if not self._in_packet["command"]:  # paho is not within a packet
            while (packet := connected.next_packet()) is not None:
                head, body = packet
                if not self._take(head.kind, head.flags, body):
                    break
                connected.skip(head)
        given, self._acknowledgements = self._acknowledgements, []
        if given:
            self._packet_queue(mqtt.PUBACK, b"".join(given), 0, 1)

    def _packet_handle(self) -> MQTTErrorCode:
        first, body = self._in_packet["command"], bytes(self._in_packet["packet"])
        if self._take(first >> 4, first & 0x0F, body):
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        return super()._packet_handle()

    def _take(self, kind: int, flags: int, body: bytes) -> bool:
        """Takes a message, or an acknowledgement of one; False: it is something else, or not as it
        should be."""
        if kind == PUBACK and len(body) == 2:
            self.on_acknowledged(int.from_bytes(body, "big"))
            return True
        qos = flags >> 1 & 3
        if kind != PUBLISH or qos > 1:
            return False
        end = 2 + int.from_bytes(body[:2], "big")
        start = end + 2 * qos
        if start > len(body):
            return False
        self.on_received(body[2:end], body[start:], bool(flags & 1))
        if qos:
            packet_id = int.from_bytes(body[end:start], "big")
            self._acknowledgements.append(acknowledgement(PUBACK, packet_id))
        return True

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
