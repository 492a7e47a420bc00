"""A simulated device's connection to a real broker: MQTT 3.1.1 over a socket, in an event loop that
may hold hundreds of them."""

import asyncio
import contextlib

from modelwave_agent import ports
from modelwave_controller.broker import packets
from modelwave_controller.load import packets as client_packets

KEEP_ALIVE_SECONDS = 60
ANSWER_SECONDS = 20  # as the host's agent
MAX_PACKET_BYTES = 65536
CONNECTING = packets.CONNACK, 0


class SocketLink(ports.BrokerLink):
    """While `reachable()` is false there is no network."""

    def __init__(self, port, name, reachable):
        self.port = port
        self.name = name
        self.reachable = reachable
        self._arrived = asyncio.Queue()
        self._answers = {}  # by kind and packet id
        self._number = 0
        self._writer = None
        self._tasks = []

    async def connect(self, will_topic, will):
        await self.close()
        if not self.reachable():
            raise ports.LinkLost("no network")
        try:
            reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError as error:
            raise ports.LinkLost(str(error)) from error
        self._arrived = asyncio.Queue()
        work = (self._read(reader), self._keep())
        self._tasks = [asyncio.create_task(one) for one in work]
        given = (self.name, "", "", will_topic, will, KEEP_ALIVE_SECONDS)
        await self._asked(CONNECTING, client_packets.connect(*given))

    async def subscribe(self, topics):
        number = self._next()
        await self._asked((packets.SUBACK, number), client_packets.subscribe(number, topics))

    async def publish(self, topic, payload, retain):
        number = self._next()
        packet = packets.publish(topic.encode(), payload, number, retain=retain)
        await self._asked((packets.PUBACK, number), packet)

    async def receive(self):
        message = await self._arrived.get()
        if message is None:
            raise ports.LinkLost("the connection is lost")
        return message

    async def close(self):
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(bytes((packets.DISCONNECT << 4, 0)))
            self._writer.close()
        self._end()

    def lose(self):
        """The connection breaks: the broker sends the last will."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._end()

    def _end(self):
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._tasks = []
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(ports.LinkLost("the connection is lost"))
        self._arrived.put_nowait(None)
        self._writer = None

    def _next(self):
        self._number = self._number % client_packets.MAX_PACKET_ID + 1
        return self._number

    async def _asked(self, awaited, packet):
        """Sends a packet, and waits for its answer."""
        if self._writer is None or not self.reachable():
            raise ports.LinkLost("no network")
        answer = self._answers[awaited] = asyncio.get_running_loop().create_future()
        self._writer.write(packet)
        try:
            await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError as error:
            self.lose()
            raise ports.LinkLost("the broker does not answer") from error
        finally:
            self._answers.pop(awaited, None)

    async def _keep(self):
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS / 3)
            self._writer.write(client_packets.PING)

    async def _read(self, reader):
        buffer = bytearray()
        with contextlib.suppress(OSError):
            while data := await reader.read(MAX_PACKET_BYTES):
                buffer += data
                self._take_all(buffer)
        self._end()

    def _take_all(self, buffer):
        at = 0
        while head := packets.next_head(buffer, at, MAX_PACKET_BYTES):
            if head.end > len(buffer):
                break
            self._take(head, bytes(buffer[head.start : head.end]))
            at = head.end
        del buffer[:at]

    def _take(self, head, body):
        if head.kind == packets.PUBLISH:
            message = packets.read_publish(head.flags, body)
            if message.packet_id:
                self._writer.write(packets.acknowledgement(packets.PUBACK, message.packet_id))
            self._arrived.put_nowait((message.topic, message.payload))
            return
        number = 0 if head.kind == packets.CONNACK else int.from_bytes(body[:2], "big")
        answer = self._answers.get((head.kind, number))
        if answer and not answer.done():
            answer.set_result(None)
