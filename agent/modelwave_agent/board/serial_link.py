"""The link of a board without a network: a gateway speaks to the broker for it.

    link = SerialLink(ConsoleStream(), "pico-1")
    agent = BoardAgent("pico-1", "pico", models, link, fetcher=SerialFetcher(link))

What the board asks of the gateway has a number, and the answer names it (line_messages.py). A task
takes what comes over the line. It holds a message until `receive` takes it, and takes nothing more
meanwhile, unless another task waits for an answer; then the line makes the gateway wait.
"""

import asyncio

from modelwave_agent.line import BITS, Line
from modelwave_agent.ports import BrokerLink, LinkLost
from modelwave_shared import line_messages as messages
from modelwave_shared.line_frames import MAX_WIRE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from modelwave_agent.line import Stream
    from modelwave_agent.ports import Clock

    class Files(Protocol):
        """SerialFetcher: `came` is set when the connection is lost."""

        came: asyncio.Event

        def take(self, message: int, values: "list[Any]") -> None: ...


BAUD = 115_200
ANSWER_SECONDS = 60  # and the time of ANSWER_FRAMES: the broker's answer may take so long
ANSWER_FRAMES = 80
CLOSE_SECONDS = 2
CLOSE_FRAMES = 8


class Asked:
    """What a task waits for."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.denied: "list[str] | None" = None  # None: no answer yet
        self.problem = ""


class SerialLink(BrokerLink):
    """The connection of a board to its broker, over a wire to a gateway."""

    def __init__(
        self,
        stream: "Stream",
        device: str,
        baud: int = BAUD,
        frames: int = 2,
        clock: "Clock | None" = None,
    ) -> None:
        """`stream`: one of serial_stream.py; `device`: as in BoardAgent; `baud`: of the wire, also
        for USB, where only the time-outs follow from it; `frames`: of 256 bytes, that the buffer
        of the UART holds, 1 to 16."""
        if clock is None:
            from modelwave_agent.board.clock import BoardClock

            clock = BoardClock()
        self.clock = clock
        self.up = asyncio.Event()  # the broker has accepted the connection
        self.fetcher: "Files | None" = None
        self._device = device
        self._stream = stream
        self._baud = baud
        self._frames = frames
        self._frame_seconds = MAX_WIRE_BYTES * BITS / baud
        self._line: "Line | None" = None
        self._running: "asyncio.Task[None] | None" = None  # the line
        self._listening: "asyncio.Task[None] | None" = None  # of this connection
        self._why = "not connected"  # "" while there is a connection
        self._news = asyncio.Event()
        self._asked: "dict[int, Asked]" = {}
        self._number = 0  # of the last operation
        self._held: "list[tuple[str, bytes]]" = []  # that `receive` has not returned yet
        self._room = 1  # as in MqttLink

    async def connect(self, will_topic: str, will: bytes) -> None:
        self._lose("the board begins anew")
        self._held, self._room = [], 1
        if self._line is None or self._line.ended:
            self._line = Line(self._stream, self.clock, self._baud, self._frames)
            self._running = asyncio.create_task(self._line.run())
        self.via = await self._line.meet_as_board(self._device)
        self._why = ""
        self._listening = asyncio.create_task(self._listen(self._line))
        await self._ask(0, messages.CONNECT, will_topic, will)
        self.up.set()

    async def subscribe(self, topics: "list[str]") -> None:
        if await self.denied(topics):
            self._lose("the broker denied a subscription: this user may not read a topic")
            raise LinkLost(self._why)

    async def denied(self, topics: "list[str]") -> "list[str]":
        self._room += len(topics)  # retained messages come before the answer
        number = self.next_number()
        denied = await self._ask(number, messages.SUBSCRIBE, number, topics)
        return [topic for topic in topics if topic in denied]

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        number = self.next_number()
        await self._ask(number, messages.PUBLISH, number, retain, topic, payload)

    async def receive(self) -> "tuple[str, bytes]":
        """As in ports.BrokerLink. The task that calls this must not call `publish` as well."""
        while not self._held:
            self._check()
            await self._news.wait()
        self._room = 1
        found = self._held.pop(0)
        self._tell()
        return found

    async def close(self) -> None:
        if not self._why:
            said = asyncio.Event()
            saying = asyncio.create_task(self._say_close(said))
            await self.clock.wait(said, CLOSE_SECONDS + CLOSE_FRAMES * self._frame_seconds)
            saying.cancel()
        self._lose("closed")
        if self._running:
            self._running.cancel()
        self._line = None
        close = getattr(self._stream, "close", None)
        if close:
            close()

    async def send(self, message: int, *values: "Any") -> None:
        """Sends a message to the gateway that it does not answer. Raises LinkLost."""
        self._check()
        assert self._line is not None
        await self._line.send(messages.pack(message, *values))

    def next_number(self) -> int:
        """Returns a number for an operation, which no other one has."""
        while True:
            self._number = self._number % 255 + 1
            if self._number not in self._asked:
                return self._number

    # The connection.

    async def _say_close(self, said: asyncio.Event) -> None:
        try:
            await self.send(messages.CLOSE)
            if self._line:
                await self._line.settle()
        except LinkLost:
            pass
        said.set()

    def _lose(self, why: str) -> None:
        """Ends the connection for the reason `why`, and wakes all waiting tasks."""
        self._why = self._why or why
        self.up.clear()
        for asked in self._asked.values():
            asked.came.set()
        if self._listening and self._listening is not asyncio.current_task():
            self._listening.cancel()
        if self.fetcher:
            self.fetcher.came.set()
        self._tell()

    def _check(self) -> None:
        if self._why:
            raise LinkLost(self._why)

    def _tell(self) -> None:
        """Wakes all waiting tasks, which then look again."""
        self._news.set()
        self._news.clear()

    async def _ask(self, number: int, message: int, *values: "Any") -> "list[str]":
        """Sends a message and waits for its answer; returns the topics that are denied. Raises
        LinkLost."""
        asked, connection = Asked(), self._listening
        self._asked[number] = asked
        try:
            await self.send(message, *values)
            patience = ANSWER_SECONDS + ANSWER_FRAMES * self._frame_seconds
            await self.clock.wait(asked.came, patience)
        finally:
            del self._asked[number]
            self._tell()
        if asked.denied is not None and not asked.problem:
            return asked.denied
        # Without a problem: the connection is lost, or there was no answer in time.
        why = asked.problem or "%s does not answer" % self.via
        if self._listening is connection:
            self._lose(why)
        raise LinkLost(self._why or why)

    # Receiving.

    async def _listen(self, line: Line) -> None:
        try:
            while True:
                data = await line.receive()
                await self._take(*messages.unpack(data, messages.FROM_GATEWAY))
        except Exception as error:  # a lost connection is better than one that hangs
            self._lose(str(error) or "no memory for a message")

    async def _take(self, message: int, values: "list[Any]") -> None:
        if message == messages.ANSWER:
            number, problem, denied = values
            asked = self._asked.get(number)
            if asked:
                asked.problem, asked.denied = problem, denied
                asked.came.set()
        elif message == messages.MESSAGE:
            self._held.append((values[0], values[1]))
            self._tell()
            while len(self._held) > (self._room if self._asked else 0):
                await self._news.wait()
        elif message == messages.GONE:
            raise LinkLost("%s: %s" % (self.via, values[0]))
        elif self.fetcher:
            self.fetcher.take(message, values)
