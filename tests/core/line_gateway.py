"""A gateway with a broker of its own in it, for tests of a board on a line, on both Pythons."""

import asyncio

from modelwave_agent.line import Line
from modelwave_agent.ports import LinkLost
from modelwave_shared import line_messages as messages


class Broker:
    """What the board's operations come to."""

    def __init__(self):
        self.files = {}  # sha256 as bytes: data
        self.retained = {}
        self.published = []  # (topic, payload)
        self.denied = []
        self.asked = []  # (sha256, offset, url)
        self.wills = 0  # connections that ended without CLOSE
        self.news = asyncio.Event()

    def publish(self, topic, payload):
        self.published.append((topic, payload))
        self.news.set()
        self.news.clear()


class Gateway:
    """One end of a line, until its stream ends."""

    def __init__(self, time, end, baud, broker, name="gw-1"):
        self.said = []  # console output
        self.line = Line(end, time, baud, 4, self.said.append)
        self.broker = broker
        self.name = name
        self.problems = []  # messages of the board that cannot be read
        self.out = []
        self.news = asyncio.Event()
        self.sending = {}  # number: the task of a FETCH
        self.topics = []

    async def run(self):
        running = asyncio.create_task(self.line.run())
        try:
            while not self.line.ended:
                try:
                    await self.line.meet_as_gateway(self.name)
                    await self._serve()
                except LinkLost:
                    pass
        finally:
            running.cancel()

    async def _serve(self):
        self.out = []
        giving = asyncio.create_task(self._give())
        is_closed = False
        try:
            while not is_closed:
                data = await self.line.receive()
                try:
                    message, values = messages.unpack(data, messages.FROM_BOARD)
                except ValueError as error:
                    self.problems.append(str(error))
                    raise LinkLost(str(error))
                is_closed = message == messages.CLOSE
                self._do(message, values)
        finally:
            self.broker.wills += not is_closed
            for task in [giving] + list(self.sending.values()):
                task.cancel()
            self.sending = {}

    def _do(self, message, values):
        if message == messages.CONNECT:
            self.put(messages.ANSWER, 0, "", [])
        elif message == messages.SUBSCRIBE:
            number, self.topics = values
            for topic in self.topics:
                if topic in self.broker.retained:
                    self.put(messages.MESSAGE, topic, self.broker.retained[topic])
            self.put(messages.ANSWER, number, "", self.broker.denied)
        elif message == messages.PUBLISH:
            number, _, topic, payload = values
            self.broker.publish(topic, payload)
            self.put(messages.ANSWER, number, "", [])
        elif message == messages.FETCH:
            number, sha256, _, offset, url = values
            self.broker.asked.append((sha256, offset, url))
            self.sending[number] = asyncio.create_task(self._send(number, sha256, offset))
        elif message == messages.STOP and values[0] in self.sending:
            self.sending.pop(values[0]).cancel()

    async def _send(self, number, sha256, offset):
        data = self.broker.files.get(sha256)
        if data is None:
            self.put(messages.FETCHED, number, 30, "it is not here")
            return
        try:
            for start in range(offset, len(data), messages.PIECE_BYTES):
                piece = data[start : start + messages.PIECE_BYTES]
                await self.line.send(messages.pack(messages.PIECE, number, start, piece))
        except LinkLost:
            pass

    def put(self, message, *values):
        self.out.append(messages.pack(message, *values))
        self.news.set()
        self.news.clear()

    async def _give(self):
        try:
            while True:
                while self.out:
                    await self.line.send(self.out.pop(0))
                await self.news.wait()
        except LinkLost:
            pass
