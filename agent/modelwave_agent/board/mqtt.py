"""The board's MQTT connection: a client for MQTT 3.1.1, QoS 1, a clean session each time.

Three tasks work as long as a connection lasts, and nobody else waits for its socket:

    _listen  reads packets; a message waits until it is taken, and meanwhile nothing more is
             read, unless an answer is wanted
    _speak   writes what others have put into `_out`, each packet in one call
    _keep    counts eighths of the keep-alive since the last byte came; pings, and gives up

The first of them that fails ends the connection (`_lose`). Whoever waits for an answer or a
message waits for `_news` and looks again: so it may be cancelled at any time. MicroPython's
asyncio would forget a task that waits for a socket when another one that waits for the same
socket is cancelled.

Time is counted in turns of `_keep`, not by a clock: a program that kept the processor for a
minute has not made the broker silent.
"""

import asyncio
import socket

from modelwave_agent.ports import BrokerLink, LinkLost
from modelwave_shared.limits import MAX_ENVELOPE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Kinds of packets, with their flags (MQTT 3.1.1, section 2.2).
_CONNECT = 0x10
_CONNACK = 0x20
_PUBLISH = 0x30
_PUBACK = 0x40
_SUBSCRIBE = 0x82
_SUBACK = 0x90
_PINGRESP = 0xD0

_PATIENCE = 10  # eighths of the keep-alive without an answer, and no more
_MAX_TOPIC_BYTES = 256  # the longest of topics.py has 223
_MAX_PAYLOAD_BYTES = 2 * MAX_ENVELOPE_BYTES + 2  # one byte too many is refused by checks.lines
_PIECE_BYTES = 256  # of what nobody wants
_MALFORMED = "malformed packet"

# MQTT 3.1.1, section 3.2.2.3.
_REFUSALS = "version,client id,not available,user or password,not authorized,unknown"


class MqttLink(BrokerLink):
    """One connection at a time; `connect` begins another. A dead one is noticed within 1.5
    times the keep-alive, also while it is being opened; only the name's resolution is as
    slow as the board's firmware makes it."""

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        user: str = "",
        password: str = "",
        tls: "Any" = None,
        keepalive: int = 30,
    ) -> None:
        """`tls`: a tls.SSLContext (tls_context), or None; `keepalive`: seconds."""
        self.host = host
        self.port = port
        self.login = (client_id, user, password) if user else (client_id,)
        self.tls = tls
        self.keepalive = keepalive
        self._sockets = self._tasks = []  # of this connection; a lost one has no sockets
        self._why = "not connected"  # or "" while it is
        self._news = asyncio.Event()
        self._held = []  # (topic, payload, number) that nobody has taken yet
        self._room = 1  # so many may be held while an answer is wanted
        self._number = 0  # of the last packet
        self._wanted = 0  # the answer that is waited for (_ask), or 0

    async def connect(self, will_topic: str, will: bytes) -> None:
        await self.close()
        self._sockets = []
        self._tasks = []
        self._held = []
        self._out = []
        self._silent = 0  # eighths of the keep-alive since something was heard
        self._why = ""
        # A clean session; the will at QoS 1, retained; name and password if any.
        flags = 0xEE if len(self.login) > 1 else 0x2E
        parts = [b"\0\4MQTT\4" + bytes((flags, self.keepalive >> 8, self.keepalive & 255))]
        for text in (self.login[0], will_topic, will) + self.login[1:]:
            parts.append(_text(text))
        try:
            self._open()
            await self._ask(_CONNACK << 16, _CONNECT, parts)
        except BaseException as error:
            self._lose(error)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise LinkLost(self._why)

    async def subscribe(self, topics: "list[str]") -> None:
        # What is retained there may come before the acknowledgement, and nobody takes it yet.
        self._room = len(topics)
        try:
            parts = [self._next()]
            for topic in topics:
                parts.append(_text(topic) + b"\1")
            await self._ask(_SUBACK << 16 | self._number, _SUBSCRIBE, parts)
        finally:
            self._room = 1

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        parts = [_text(topic), self._next(), payload]
        await self._ask(_PUBACK << 16 | self._number, _PUBLISH | 2 | retain, parts)

    async def receive(self) -> "tuple[str, bytes]":
        """Nothing more is read before a message is taken, so whoever takes them must not wait
        for `publish` in between: its answer may stand behind the next ones."""
        while not self._held:
            self._check(self._sockets)
            await self._news.wait()
        topic, payload, number = self._held.pop(0)
        if number:
            self._put(b"\x40\2" + number)
        self._tell()
        return topic, payload

    async def close(self) -> None:
        if self._sockets:
            try:
                self._stream.write(b"\xe0\0")  # DISCONNECT, if it can go at once
            except (OSError, ValueError):
                pass
        self._lose("closed")

    # The connection.

    def _open(self) -> None:
        """asyncio.open_connection, but no socket is left when it is cancelled."""
        from errno import EINPROGRESS

        try:
            place = socket.getaddrinfo(self.host, self.port, 0, socket.SOCK_STREAM)[0]
        except OSError:
            raise LinkLost("unknown host")
        sock = socket.socket(*place[:3])
        self._sockets.append(sock)
        sock.setblocking(False)
        try:
            sock.setsockopt(6, 1, 1)  # TCP_NODELAY, or small packets wait for each other
        except OSError:
            pass  # this board has none
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

    async def _run(self, work: "Any") -> None:
        try:
            await work
        except Exception as error:  # a link that hangs would be worse than one that is lost
            self._lose(error)

    def _lose(self, error: "Any") -> None:
        """Ends the connection as it stands, and tells all who wait. `error`: or a text."""
        if type(error) is ValueError:  # mbedTLS says it so
            error = "its certificate is not trusted: " + " ".join(str(error).split())
        # Only a topic that is not UTF-8 is an error without words.
        error = "%s:%d: %s" % (self.host, self.port, str(error) or _MALFORMED)
        self._why = self._why or error
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        while self._sockets:
            self._sockets.pop().close()
        self._wanted = 0
        self._tell()

    def _check(self, sockets: "list[Any]") -> None:
        """Raises LinkLost where the connection with these sockets is lost."""
        if not sockets:
            raise LinkLost(self._why)

    def _tell(self) -> None:
        """Everybody who waits looks again."""
        self._news.set()
        self._news.clear()

    # What goes out.

    def _next(self) -> bytes:
        """A new number, as it stands in packets."""
        self._number = self._number % 65535 + 1
        return self._number.to_bytes(2, "big")

    async def _ask(self, answer: int, kind: int, parts: "list[bytes]") -> None:
        """Sends a packet, and returns when the broker has answered; one after the other.
        `answer`: its kind and, in the lower 16 bits, its number. LinkLost."""
        sockets = self._sockets
        while self._wanted:
            await self._news.wait()
        self._check(sockets)
        self._wanted = answer
        self._asked = 0  # eighths of the keep-alive since
        size = sum(map(len, parts))
        head = bytearray((kind,))
        while size > 127:
            head.append(size & 127 | 128)
            size >>= 7
        head.append(size)
        self._put(b"".join([head] + parts))
        while self._wanted == answer:
            await self._news.wait()
        self._check(sockets)

    def _put(self, packet: bytes) -> None:
        self._out.append(packet)
        self._tell()

    async def _speak(self) -> None:
        while True:
            while not self._out:
                await self._news.wait()
            # Not `write`, which would not wait until the socket is connected.
            self._stream.out_buf = self._out.pop(0)
            await self._stream.drain()

    async def _keep(self) -> None:
        while True:
            for _ in range(4):
                await asyncio.sleep_ms(self.keepalive * 125)
                self._asked += 1
                self._silent += 1
                if self._full():  # nobody listens meanwhile
                    self._silent = 0
                if self._silent > _PATIENCE or (self._wanted and self._asked > _PATIENCE):
                    raise LinkLost("no answer")
            self._put(b"\xc0\0")  # PINGREQ

    # What comes in.

    async def _listen(self) -> None:
        while True:
            self._left = 5  # of the packet at hand: a header is no longer
            kind = (await self._read(1))[0]
            size = shift = 0
            more = 128
            while more & 128:
                more = (await self._read(1))[0]
                size |= (more & 127) << shift
                shift += 7
            self._left = size
            # CONNACK is the first packet, and only the first.
            if (kind == _CONNACK) == (self._wanted == _CONNACK << 16):
                if kind & 0xF0 == _PUBLISH:
                    await self._take(kind >> 1 & 3)
                    continue
                if kind == _PINGRESP and not size:
                    continue
                if kind in (_CONNACK, _PUBACK, _SUBACK) and 1 < size < 256:
                    body = await self._read(size)
                    code = max(body[2:] or body[1:])
                    if kind == _CONNACK and code:
                        raise LinkLost("refused: " + _REFUSALS.split(",")[min(code, 6) - 1])
                    if self._wanted == kind << 16 | int.from_bytes(body[:2], "big"):
                        if kind == _SUBACK and code > 2:
                            raise LinkLost("subscription denied")
                        self._wanted = 0
                        self._tell()
                        continue
            raise LinkLost("unexpected packet 0x%02x" % kind)

    async def _take(self, qos: int) -> None:
        """A message."""
        if qos > 1:
            raise LinkLost(_MALFORMED)
        size = int.from_bytes(await self._read(2), "big")
        if size > _MAX_TOPIC_BYTES:
            raise LinkLost(_MALFORMED)
        topic = (await self._read(size)).decode()
        number = await self._read(2 * qos)
        try:
            if self._left > _MAX_PAYLOAD_BYTES:
                await self._skip()
                # checks.lines refuses it by its length.
                payload = bytes(_MAX_PAYLOAD_BYTES)
            else:
                payload = await self._read(self._left)
        except MemoryError:
            # What is retained comes again with the next connection.
            raise LinkLost("no memory for a message")
        self._held.append((topic, payload, number))
        self._tell()
        while self._full():
            await self._news.wait()

    def _full(self) -> bool:
        """Whether messages have to be taken before more is read."""
        return len(self._held) > (self._room if self._wanted else 0)

    async def _skip(self) -> None:
        """Reads the rest of the packet, for nobody."""
        while self._left:
            await self._read(min(self._left, _PIECE_BYTES))

    async def _read(self, size: int) -> bytes:
        """The next bytes of the packet at hand."""
        if size > self._left:
            raise LinkLost(_MALFORMED)
        data = b""
        while len(data) < size:
            part = await self._stream.read(size - len(data))
            if not part:
                raise LinkLost("closed by the broker")
            self._left -= len(part)
            self._silent = 0
            data += part
        return data


def _text(text: "str | bytes") -> bytes:
    """Behind its length, as MQTT has it."""
    if isinstance(text, str):
        text = text.encode()
    return len(text).to_bytes(2, "big") + text
