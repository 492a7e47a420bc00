"""The line: whole messages over a wire that loses, doubles and spoils bytes (line_frames.py).

Both ends use the same class. The board begins each session with HELLO; the gateway answers WELCOME,
and takes the session for begun when the first frame with its tag comes: the board may have chosen
another gateway. In a session line_window.py numbers the frames.

Three tasks are started by `run`, and only they use the stream:

    _listen   reads
    _speak    writes what is to be sent next, and repeats what is not acknowledged in time
    _keep     has an ACK sent in each turn, and counts turns in which nothing came. It counts turns
              and not time: if the program kept the processor, the other end was not silent

All others wait for the event `_news` and then look, so they may be cancelled at any time: a
message is sent whole or not at all.
"""

import asyncio
import os

from modelwave_agent.line_window import Receiver, Sender
from modelwave_agent.ports import LinkLost
from modelwave_shared import line_frames as wire
from modelwave_shared.errors import LineError
from modelwave_shared.line_frames import ACK, DATA, GAP, HELLO, LAST, RESET, WELCOME
from modelwave_shared.line_messages import MAX_MESSAGE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, Protocol

    from modelwave_agent.ports import Clock

    class Stream(Protocol):
        """`read` returns what has come, at most `n` bytes, and b"" at the end. Both may raise
        OSError."""

        async def read(self, n: int) -> bytes: ...
        async def write(self, data: bytes) -> object: ...


READ_BYTES = 256
BITS = 10  # on the wire for a byte
TURN_SECONDS = 5  # or the time of TURN_FRAMES, if that is longer
TURN_FRAMES = 2
SILENT_TURNS = 8  # after which the other end is lost
BUSY_SECONDS = 0.5  # that the other end may take to answer
HELLOS = 8  # without an answer, before LinkLost
MAX_CONTROL = 4  # frames outside of a session that wait to be written
BOARD, GATEWAY = 0, wire.FROM_GATEWAY


class Meeting:
    """A HELLO that the gateway has heard, and what it answers."""

    def __init__(self, tag: bytes, frames: int, device: str) -> None:
        self.tag = tag
        self.frames = frames
        self.device = device
        self.drawn = os.urandom(2)
        self.session = wire.session_tag(tag, self.drawn)


class Session:
    """A session, at either end."""

    def __init__(self, tag: bytes, name: str, most: int, own: int, pause: float) -> None:
        """`name`: of the other end; `most`, `own`: frames that it and this end take at once."""
        self.tag = tag
        self.name = name
        self.sender = Sender(most, pause)
        self.receiver = Receiver(own)
        self.owes: "bytes | None" = b""  # the payload of an ACK that is to be sent
        self.silent = 0  # turns


class Line:
    """One end of a line."""

    def __init__(
        self,
        stream: "Stream",
        clock: "Clock",
        baud: int,
        frames: int = 2,
        console: "Callable[[bytes], object] | None" = None,
    ) -> None:
        """`baud`: time-outs follow from it; `frames`: how many this end's buffer holds, 1 to
        MAX_FRAMES; `console`: gets what comes and is no frame, damaged frames among it."""
        self.stream = stream
        self.clock = clock
        self.frames = frames
        self.console = console
        self._frame_seconds = wire.MAX_WIRE_BYTES * BITS / baud
        self._side = BOARD
        self._session: "Session | None" = None
        self._why = "not connected"  # why there is no session
        self.ended = ""  # why this line is of no use any more
        self._news = asyncio.Event()
        self._work = asyncio.Event()  # for `_speak`
        self._over = asyncio.Event()  # for `run`
        self._turns = asyncio.Lock()  # of those that send
        self._met = asyncio.Event()  # for `meet_as_board`
        self._control: "list[bytes]" = []  # frames outside of a session, to be written
        self._own_tag = b""  # the board's, while it waits for WELCOME
        self._own_name = ""  # the gateway's, while it waits for a board
        self._meeting: "Meeting | None" = None
        self._told = b""  # the tag that was answered with RESET in this turn

    async def meet_as_board(self, device: str) -> str:
        """Begins a new session; returns the gateway's name. Raises LinkLost."""
        self._side = BOARD
        self._lose("the board begins anew")
        pause = BUSY_SECONDS + 4 * self._frame_seconds
        self._own_tag = os.urandom(2)
        try:
            for number in range(HELLOS):
                self._check_stream()
                self._met.clear()
                self._put(HELLO, self._own_tag, wire.hello(self.frames, device))
                await self.clock.wait(self._met, pause * (number + 1))
                if self._session:
                    return self._session.name
        finally:
            self._own_tag = b""
        raise LinkLost("no gateway answers on the line")

    async def meet_as_gateway(self, name: str) -> str:
        """Waits for a board, and begins a session with it; returns its device id. Raises LinkLost
        when the stream ends."""
        self._side = GATEWAY
        self._lose("the gateway begins anew")
        self._own_name = name
        try:
            await asyncio.sleep(0)  # who calls this again and again lets the others run
            if self._meeting:
                self._welcome(self._meeting)
            while not self._session:
                self._check_stream()
                await self._news.wait()
        finally:
            self._own_name = ""
        return self._session.name

    async def send(self, message: bytes) -> None:
        """Returns when the rest of the message is among the frames that the other end takes at
        once. Raises LinkLost."""
        if len(message) > MAX_MESSAGE_BYTES:
            raise LineError("message", "%d bytes, %d is most" % (len(message), MAX_MESSAGE_BYTES))
        session = self._checked(self._session)
        async with self._turns:
            self._checked(session)
            while session.sender.message is not None:  # of a task that was cancelled
                await self._next_news(session)
            session.sender.offer(message)
            self._work.set()
            while session.sender.message is message:
                await self._next_news(session)

    async def settle(self) -> None:
        """Returns when all that was sent is acknowledged. Raises LinkLost."""
        session = self._checked(self._session)
        while session.sender.message is not None or session.sender.window:
            await self._next_news(session)

    async def receive(self) -> bytes:
        """Returns the next message. Raises LinkLost."""
        session = self._checked(self._session)
        while not session.receiver.inbox:
            await self._next_news(session)
        message, owed = session.receiver.pop()
        self._owe(session, owed)
        return message

    async def run(self) -> None:
        """Uses the stream until it ends, fails, or this is cancelled."""
        works = (self._listen(), self._speak(), self._keep())
        tasks = [asyncio.create_task(self._guarded(work)) for work in works]
        try:
            await self._over.wait()
        finally:
            for task in tasks:
                task.cancel()
            self._end("the line was closed")

    # The session.

    def _lose(self, why: str) -> None:
        """Ends the session, if there is one."""
        self._session = None
        self._why = self.ended or why
        self._tell()

    def _end(self, why: str) -> None:
        self.ended = self.ended or why
        self._lose(why)
        self._met.set()
        self._over.set()

    def _check_stream(self) -> None:
        if self.ended:
            raise LinkLost(self.ended)

    def _checked(self, session: "Session | None") -> Session:
        """Raises LinkLost if the session is over."""
        if session is None or session is not self._session:
            raise LinkLost(self._why)
        return session

    async def _next_news(self, session: Session) -> None:
        await self._news.wait()
        self._checked(session)

    def _tell(self) -> None:
        """Wakes all waiting tasks, which then look again."""
        self._news.set()
        self._news.clear()
        self._work.set()

    def _begin(self, tag: bytes, name: str, frames: int) -> Session:
        pause = BUSY_SECONDS + (frames + self.frames + 1) * self._frame_seconds
        self._session = Session(tag, name, frames, self.frames, pause)
        self._tell()
        return self._session

    # Sending.

    def _put(self, kind: int, tag: bytes, payload: bytes = b"") -> None:
        """Sends a frame outside of a session."""
        if len(self._control) < MAX_CONTROL:
            self._control.append(wire.pack(kind | self._side, tag, 0, 0, payload))
        self._work.set()

    def _welcome(self, meeting: Meeting) -> None:
        payload = wire.welcome(self.frames, meeting.drawn, self._own_name)
        self._put(WELCOME, meeting.tag, payload)

    def _owe(self, session: Session, payload: "bytes | None") -> None:
        """Has an ACK sent with this payload, unless it is None or a GAP is to be told."""
        if payload is not None and session.owes != GAP:
            session.owes = payload
            self._work.set()

    async def _speak(self) -> None:
        while True:
            self._work.clear()
            session = self._session
            frame = self._next(session)
            if frame:
                await self.stream.write(frame)
                continue
            patience = session.sender.patience(self.clock.now()) if session else None
            await self.clock.wait(self._work, self._turn() if patience is None else patience)
            if session:
                session.sender.look(self.clock.now())

    def _next(self, session: "Session | None") -> "bytes | None":
        """Returns the frame that is to be written now."""
        if self._control:
            return self._control.pop(0)
        if not session:
            return None
        found = session.sender.next(self.clock.now()) if session.owes != GAP else None
        if found:
            kind, number, payload = found
            if session.sender.message is None:
                self._tell()
        elif session.owes is not None:
            kind, number, payload = ACK, 0, session.owes
        else:
            return None
        session.owes = None
        return wire.pack(kind | self._side, session.tag, number, session.receiver.granted, payload)

    def _turn(self) -> float:
        return max(TURN_SECONDS, TURN_FRAMES * self._frame_seconds)

    async def _keep(self) -> None:
        while True:
            await self.clock.sleep(self._turn())
            self._told = b""
            session = self._session
            if session:
                session.silent += 1
                self._owe(session, b"")
                if session.silent > SILENT_TURNS:
                    self._lose("nothing comes from %s" % session.name)

    async def _guarded(self, work: "Coroutine[Any, Any, None]") -> None:
        """A line that has ended is better than one that hangs."""
        try:
            await work
        except Exception as error:
            self._end("the line failed: %s" % (str(error) or type(error).__name__))

    # Receiving.

    async def _listen(self) -> None:
        splitter = wire.Splitter()
        while True:
            data = await self.stream.read(READ_BYTES)
            for piece in splitter.feed(data) if data else [splitter.flush()]:
                frame = wire.unpack(piece)
                if frame:
                    self._take(*frame)
                elif piece and self.console:
                    self.console(piece)
            if not data:
                self._end("the line has ended")
                return

    def _take(self, kind: int, tag: bytes, number: int, ack: int, payload: bytes) -> None:
        if kind & wire.FROM_GATEWAY == self._side:
            return  # an echo
        kind &= ~wire.FROM_GATEWAY
        session = self._session
        if kind == HELLO:
            self._take_hello(tag, payload)
        elif session and session.tag == tag:
            self._take_in_session(session, kind, number, ack, payload)
        elif kind == WELCOME and tag == self._own_tag:
            self._take_welcome(payload)
        elif self._own_name and kind in (DATA, LAST, ACK) and not session:
            self._take_stray(kind, tag, number, ack, payload)

    def _take_hello(self, tag: bytes, payload: bytes) -> None:
        try:
            frames, device = wire.read_hello(payload)
        except LineError:
            return
        if self._session or not self._meeting or self._meeting.tag != tag:
            self._meeting = Meeting(tag, frames, device)
            self._lose("the board begins anew")
        if self._own_name:
            self._welcome(self._meeting)

    def _take_welcome(self, payload: bytes) -> None:
        try:
            frames, drawn, gateway = wire.read_welcome(payload)
        except LineError:
            return
        self._begin(wire.session_tag(self._own_tag, drawn), gateway, frames)
        self._own_tag = b""
        self._met.set()

    def _take_stray(self, kind: int, tag: bytes, number: int, ack: int, payload: bytes) -> None:
        """A frame of a session that the waiting gateway has not begun. With another tag than that
        of the last HELLO the board has chosen another gateway, or these are old bytes."""
        meeting = self._meeting
        if meeting is None:
            if tag != self._told:
                self._told = tag
                self._put(RESET, tag)
        elif meeting.session == tag:
            self._meeting = None
            session = self._begin(tag, meeting.device, meeting.frames)
            self._take_in_session(session, kind, number, ack, payload)

    def _take_in_session(
        self, session: Session, kind: int, number: int, ack: int, payload: bytes
    ) -> None:
        session.silent = 0
        if kind == RESET:
            return self._lose("%s does not know this session" % session.name)
        session.sender.acknowledged(ack, kind == ACK and payload == GAP, self.clock.now())
        if kind in (DATA, LAST):
            try:
                self._owe(session, session.receiver.take(kind, number, payload))
            except LineError as error:
                self._lose(str(error))
            except MemoryError:
                self._lose("no memory for a message")
        self._tell()
