"""Reads packets from a client and writes to it, under limits, whatever the packets mean.

A client is not read while there is a reason to hold it (a subclass's, or one of the two below).
What it sends meanwhile waits in TCP, not here.

    it does not read itself     after WRITE_SECONDS it is disconnected
    its packets took long       it waits for the others' turn, and `wait_factor` times as long as
                                they took
"""

import asyncio
import time
from collections.abc import Callable

from modelwave_controller.broker import limits, packets
from modelwave_controller.broker.errors import ClientRefused

# Bytes that are handed to the socket in one go.
WRITE_BYTES = 64 * 1024

UNREAD, TURN = "unread", "turn"


class Pipe(asyncio.Protocol):
    """The bytes of one connection; a subclass knows the packets."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.address = ""
        self.ended = False
        self.heard_at = 0.0  # when the last packet came, on the loop's clock
        self.wait_factor = limits.WAIT_FACTOR
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._flushing = False
        self._holds: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    # What a subclass says.

    def most_bytes(self, kind: int) -> int:
        """Returns how long a packet of this kind may be now. Raises ClientRefused if it may not
        come at all."""
        raise NotImplementedError

    def handle(self, kind: int, flags: int, body: bytes) -> None:
        """Handles a packet. Raises ClientRefused."""
        raise NotImplementedError

    def refuse(self, refused: ClientRefused) -> None:
        raise NotImplementedError

    def more_out(self, max_bytes: int) -> tuple[list[bytes], bool]:
        """Returns packets to write besides those of `send`, and whether there are more."""
        raise NotImplementedError

    def does_not_read(self) -> None:
        """The client does not read what is written to it; it has to be ended."""
        raise NotImplementedError

    def waits_for_turn(self) -> None:
        """It has sent so much that others come between now."""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        transport.set_write_buffer_limits(high=WRITE_BYTES)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._read()

    def pause_writing(self) -> None:
        self.hold(UNREAD)
        self.after(limits.WRITE_SECONDS, "write", self.does_not_read)

    def resume_writing(self) -> None:
        self.cancel("write")
        self.release(UNREAD)
        self.wake()

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended = True
        for what in list(self._timers):
            self.cancel(what)

    # What others call.

    def send(self, packet: bytes) -> None:
        self._out.append(packet)
        self.wake()

    def wake(self) -> None:
        """Writes what there is, after what happens in this turn of the event loop."""
        if not self._flushing and not self.ended:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def hold(self, why: str) -> None:
        """Does not read the client until that reason is over."""
        self._holds.add(why)
        self.transport.pause_reading()

    def release(self, why: str) -> None:
        if why not in self._holds:
            return
        self._holds.discard(why)
        if not (self._holds or self.ended):
            self.transport.resume_reading()
            self._loop.call_soon(self._read)

    @property
    def is_held(self) -> bool:
        return bool(self._holds)

    def end(self) -> None:
        """Ends the connection now."""
        self.ended = True
        self.transport.abort()

    def end_slowly(self) -> None:
        """Ends the connection once the bytes already written are sent, or after FLUSH_SECONDS."""
        self.ended = True
        if self._out:
            self.transport.write(b"".join(self._out))
            self._out.clear()
        self.transport.close()
        self.after(limits.FLUSH_SECONDS, "flush", self.transport.abort)

    def after(self, seconds: float, what: str, call: Callable[[], None]) -> None:
        """Calls later, in place of what was to be called for the same."""
        self.cancel(what)
        self._timers[what] = self._loop.call_later(seconds, call)

    def cancel(self, what: str) -> None:
        if what in self._timers:
            self._timers.pop(what).cancel()

    def _read(self) -> None:
        began = time.thread_time()  # what other processes take meanwhile does not count
        at = 0
        try:
            while at < len(self._buffer) and not (self._holds or self.ended):
                most = self.most_bytes(self._buffer[at] >> 4)
                head = packets.next_head(self._buffer, at, most)
                if head is None or head.end > len(self._buffer):
                    break
                at = head.end
                self.handle(head.kind, head.flags, bytes(self._buffer[head.start : head.end]))
                self.heard_at = self._loop.time()
                taken = time.thread_time() - began
                if taken > limits.TURN_SECONDS:
                    self._wait_for_turn(taken)
        except ClientRefused as refused:
            self.refuse(refused)
        if self.ended:
            self._buffer.clear()
        else:
            del self._buffer[:at]

    def _wait_for_turn(self, taken_seconds: float) -> None:
        self.hold(TURN)
        self.waits_for_turn()
        self.after(taken_seconds * self.wait_factor, "turn", lambda: self.release(TURN))

    def _flush(self) -> None:
        self._flushing = False
        if self.ended or UNREAD in self._holds:
            return
        out, self._out = self._out, []
        added, more = self.more_out(WRITE_BYTES)
        if out or added:
            self.transport.write(b"".join(out + added))
        if more:
            self.wake()
