"""The MQTT client of a board: MQTT 3.1.1, QoS 1, each connection with a clean session.

Three tasks run while there is a connection. Only they wait for its socket:

    _listen  reads packets. It holds a message until `receive` takes it, and reads nothing more
             meanwhile, unless another task waits for an answer of the broker
    _speak   writes the packets in `_out`, each in one call
    _keep    counts eighths of the keep-alive since the last byte came; it sends the pings, and
             ends a connection that is dead

The first task that fails ends the connection (`_lose`). All others wait for the event `_news`
and then look whether their answer or message is there, so they may be cancelled at any time.
They must not wait for the socket: if two tasks wait for one socket and one is cancelled,
MicroPython's asyncio forgets the other.

Time is counted in turns of `_keep`, not by a clock: if the program kept the processor for a
minute, that does not mean that the broker was silent for a minute.
"""

import asyncio
import socket
from errno import EINPROGRESS

from modelwave_agent.board import mqtt_packets as packets
from modelwave_agent.ports import BrokerLink, LinkLost
from modelwave_shared.limits import MAX_ENVELOPE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from typing import Any

    Message = tuple[str, bytes, int]  # topic, payload, packet id to acknowledge or 0

PATIENCE = 10  # eighths of the keep-alive without an answer, before the connection is lost
MAX_HEADER_BYTES = 5  # of a packet: its first byte, then its length in at most four
MAX_TOPIC_BYTES = 256  # the longest topic of topics.py has 223
MAX_PAYLOAD_BYTES = 2 * MAX_ENVELOPE_BYTES + 2  # one more than checks.py accepts
MAX_ANSWER_BYTES = 255  # of the body of an acknowledgement
DENIED = "the broker denied a subscription: this user may not read a topic"
SKIPPED_BYTES = 256  # read at a time from a packet that is too long
TCP, TCP_NODELAY = 6, 1  # MicroPython's socket module does not name them


class Acknowledgement:
    """The acknowledgement that a task waits for: its packet type and its packet id (0 for a
    CONNACK, which has none)."""

    def __init__(self, kind: int, packet_id: int = 0) -> None:
        self.kind = kind
        self.packet_id = packet_id
        self.codes = b""  # of a SUBACK
        self.eighths = 0  # of the keep-alive, since the packet was sent


class MqttLink(BrokerLink):
    """The connection of a board to its broker. A dead connection is noticed within 1.5 times the
    keep-alive, also while it is being opened. Only the resolution of the host's name may take
    longer, as the firmware does it."""

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        user: str = "",
        password: str = "",
        tls: "Any" = None,
        keepalive: int = 30,
        others: "Iterable[tuple[str, int]]" = (),
    ) -> None:
        """`tls`: a tls.SSLContext (tls_context), or None; `keepalive`: seconds; `others`: further
        addresses of the same cluster, (host, port)."""
        self.host = host
        self.port = port
        self._others = list(others)
        self.client_id = client_id
        self.user = user
        self.password = password
        self.tls = tls
        self.keepalive = keepalive
        self._sockets: "list[Any]" = []  # of this connection; empty after it is lost
        self._tasks: "list[asyncio.Task[None]]" = []
        self._stream: "Any" = None
        self._why = "not connected"  # the reason; "" while there is a connection
        self._news = asyncio.Event()
        self._out: "list[bytes]" = []  # packets that wait to be written
        self._held: "list[Message]" = []  # messages that `receive` has not returned yet
        self._room = 1  # messages that may be held while a task waits for an answer; more of them
        # from a subscription on, until a message is received
        self._packet_id = 0  # of the last packet that had one
        self._wanted: "Acknowledgement | None" = None
        self._left = 0  # unread bytes of the current packet
        self._silent = 0  # eighths of the keep-alive since the last byte came

    async def connect(self, will_topic: str, will: bytes) -> None:
        await self.close()
        self._sockets = []
        self._tasks = []
        self._held = []
        self._out = []
        self._room = 1
        self._silent = 0
        self._why = ""
        packet = packets.connect(
            self.client_id, self.user, self.password, will_topic, will, self.keepalive
        )
        try:
            self._open()
            await self._ask(Acknowledgement(packets.CONNACK), packet)
        except BaseException as error:
            self._lose(error)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise LinkLost(self._why)

    async def subscribe(self, topics: "list[str]") -> None:
        if await self.denied(topics):
            self._lose(DENIED)
            raise LinkLost(self._why)

    async def denied(self, topics: "list[str]") -> "list[str]":
        # Retained messages come before the acknowledgement, or later, before the next one: when no
        # task receives yet.
        self._room += len(topics)
        packet_id = self._next_packet_id()
        answer = Acknowledgement(packets.SUBACK, packet_id)
        await self._ask(answer, packets.subscribe(topics, packet_id))
        codes = zip(topics, answer.codes)
        return [topic for topic, code in codes if code > packets.MAX_GRANTED_QOS]

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        packet_id = self._next_packet_id()
        packet = packets.publish(topic, payload, retain, packet_id)
        await self._ask(Acknowledgement(packets.PUBACK, packet_id), packet)

    async def receive(self) -> "tuple[str, bytes]":
        """As in ports.BrokerLink. The task that calls this must not call `publish` as well: the
        answer may come after further messages, which are not read before this one is taken."""
        while not self._held:
            self._check(self._sockets)
            await self._news.wait()
        topic, payload, packet_id = self._held.pop(0)
        self._room = 1
        if packet_id:
            self._put(packets.puback(packet_id))
        self._tell()
        return topic, payload

    async def close(self) -> None:
        if self._sockets:
            try:
                self._stream.write(packets.DISCONNECT)  # does not wait
            except (OSError, ValueError):
                pass
        self._lose("closed")

    def turn(self) -> None:
        self._others.append((self.host, self.port))
        self.host, self.port = self._others.pop(0)

    # The connection.

    def _open(self) -> None:
        """Opens the connection, like asyncio.open_connection, which however leaves a socket open
        when it is cancelled."""
        try:
            place = socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM)[0]
        except OSError:
            raise LinkLost("the name of the broker's host is not known")
        sock = socket.socket(*place[:3])
        self._sockets.append(sock)
        sock.setblocking(False)
        try:
            sock.setsockopt(TCP, TCP_NODELAY, 1)  # else small packets are delayed
        except OSError:
            pass  # this board does not have the option
        try:
            sock.connect(place[-1])
        except OSError as error:
            if error.errno != EINPROGRESS:
                raise
        if self.tls:
            sock = self.tls.wrap_socket(
                sock, server_hostname=self.host, do_handshake_on_connect=False
            )
            self._sockets.append(sock)
        self._stream = asyncio.StreamReader(sock)
        for work in (self._listen(), self._speak(), self._keep()):
            self._tasks.append(asyncio.create_task(self._run(work)))

    async def _run(self, work: "Coroutine[Any, Any, None]") -> None:
        try:
            await work
        except Exception as error:  # a lost connection is better than one that hangs
            self._lose(error)

    def _lose(self, error: "BaseException | str") -> None:
        """Ends the connection for the reason `error`, and wakes all waiting tasks."""
        if type(error) is ValueError:  # from mbedTLS
            error = "the broker's certificate is not trusted: " + " ".join(str(error).split())
        # Only the decoding of a topic raises an error without a message.
        reason = str(error) or "the topic of a message is not UTF-8"
        self._why = self._why or "%s:%d: %s" % (self.host, self.port, reason)
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        while self._sockets:
            self._sockets.pop().close()
        self._wanted = None
        self._tell()

    def _check(self, sockets: "list[Any]") -> None:
        """Raises LinkLost if the connection with these sockets is lost."""
        if not sockets:
            raise LinkLost(self._why)

    def _tell(self) -> None:
        """Wakes all waiting tasks, which then look again."""
        self._news.set()
        self._news.clear()

    # Sending.

    def _next_packet_id(self) -> int:
        self._packet_id = self._packet_id % packets.MAX_PACKET_ID + 1
        return self._packet_id

    async def _ask(self, answer: Acknowledgement, packet: bytes) -> None:
        """Sends `packet` and waits for `answer` from the broker; if another task waits for one,
        it goes first. Raises LinkLost."""
        sockets = self._sockets
        while self._wanted:
            await self._news.wait()
        self._check(sockets)
        self._wanted = answer
        self._put(packet)
        while self._wanted is answer:
            await self._news.wait()
        self._check(sockets)

    def _put(self, packet: bytes) -> None:
        self._out.append(packet)
        self._tell()

    async def _speak(self) -> None:
        while True:
            while not self._out:
                await self._news.wait()
            # `write` would not wait until the socket is connected; `drain` does.
            self._stream.out_buf = self._out.pop(0)
            await self._stream.drain()

    async def _keep(self) -> None:
        while True:
            for _ in range(4):
                await asyncio.sleep_ms(self.keepalive * 125)
                self._silent += 1
                if self._is_full():  # `_listen` does not read now
                    self._silent = 0
                waited = 0
                if self._wanted:
                    self._wanted.eighths += 1
                    waited = self._wanted.eighths
                if max(self._silent, waited) > PATIENCE:
                    raise LinkLost("the broker does not answer")
            self._put(packets.PINGREQ)

    # Receiving.

    async def _listen(self) -> None:
        while True:
            kind = await self._read_header()
            is_first = self._wanted is not None and self._wanted.kind == packets.CONNACK
            if (kind == packets.CONNACK) != is_first:
                raise LinkLost(_unexpected(kind))
            if kind & packets.TYPE_MASK == packets.PUBLISH:
                await self._take_message(kind >> 1 & 3)
            elif kind == packets.PINGRESP:
                await self._take_pingresp()
            elif kind in (packets.CONNACK, packets.PUBACK, packets.SUBACK):
                await self._take_answer(kind)
            else:
                raise LinkLost(_unexpected(kind))

    async def _read_header(self) -> int:
        """Reads the header of a packet; returns its first byte, stores its length in `_left`."""
        self._left = MAX_HEADER_BYTES
        kind = (await self._read(1))[0]
        size = shift = 0
        while True:
            byte = (await self._read(1))[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        self._left = size
        return kind

    async def _take_pingresp(self) -> None:
        if self._left:
            raise LinkLost("a PINGRESP of the broker has %d bytes too many" % self._left)

    async def _take_answer(self, kind: int) -> None:
        """Reads a CONNACK, PUBACK or SUBACK, which must be the one that a task waits for."""
        if not 2 <= self._left <= MAX_ANSWER_BYTES:
            raise LinkLost("an answer of the broker has %d bytes" % self._left)
        body = await self._read(self._left)
        if kind == packets.CONNACK:
            if body[1]:
                raise LinkLost(packets.refusal(body[1]))
            if body != b"\x00\x00":  # "session present" in spite of a clean session
                raise LinkLost(_unexpected(kind))
            packet_id = 0
        else:
            packet_id = int.from_bytes(body[:2], "big")
        wanted = self._wanted
        if wanted is None or (wanted.kind, wanted.packet_id) != (kind, packet_id):
            raise LinkLost(_unexpected(kind))
        if kind == packets.SUBACK:
            wanted.codes = body[2:] or b"\xff"
        self._wanted = None
        self._tell()

    async def _take_message(self, qos: int) -> None:
        """Reads a PUBLISH, and holds its message until `receive` takes it."""
        if qos > 1:
            raise LinkLost("the broker sent a message with QoS %d" % qos)
        size = int.from_bytes(await self._read(2), "big")
        if size > MAX_TOPIC_BYTES:
            raise LinkLost("the broker sent a topic of %d bytes" % size)
        topic = (await self._read(size)).decode()
        packet_id = int.from_bytes(await self._read(2), "big") if qos else 0
        try:
            if self._left > MAX_PAYLOAD_BYTES:
                await self._skip()
                payload = bytes(MAX_PAYLOAD_BYTES)  # checks.py refuses this length
            else:
                payload = await self._read(self._left)
        except MemoryError:
            # A retained message comes again on the next connection.
            raise LinkLost("no memory for a message")
        self._held.append((topic, payload, packet_id))
        self._tell()
        while self._is_full():
            await self._news.wait()

    def _is_full(self) -> bool:
        """Whether `receive` must take a message before more is read."""
        return len(self._held) > (self._room if self._wanted else 0)

    async def _skip(self) -> None:
        """Reads the rest of the packet and drops it."""
        while self._left:
            await self._read(min(self._left, SKIPPED_BYTES))

    async def _read(self, size: int) -> bytes:
        """Returns the next `size` bytes of the current packet."""
        if size > self._left:
            raise LinkLost("a packet of the broker is malformed")
        data = b""
        while len(data) < size:
            part = await self._stream.read(size - len(data))
            if not part:
                raise LinkLost("the broker closed the connection")
            self._left -= len(part)
            self._silent = 0
            data += part
        return data


def _unexpected(kind: int) -> str:
    return "the broker sent an unexpected packet: 0x%02x" % kind
