"""A process that is the wires between boards and their gateway: for each board two ptys, between
which bytes pass each way as fast as a UART of this baud rate passes them, and no faster.

    python -m benchmarks.relay.wires FOLDER BAUD BOARD …

BAUD 0 is a wire without a limit, as USB nearly is. FOLDER gets a link to the gateway's end of each
wire, BOARD.gateway, and one to the board's, BOARD.board. The line "ready" on stdout says so; the
process ends when stdin does.

A byte begins when the one before it has ended, or when it was written, whichever comes later; so
what this process is late at one moment it makes up for at the next. It takes as much ahead as a
system's buffer of a serial port holds.
"""

import os
import pty
import select
import sys
import time
import tty
from collections import deque
from pathlib import Path

BITS = 10  # on the wire for a byte
PIECE_BYTES = 128  # that arrive together: half of a frame
TURN_SECONDS = 0.002  # between two looks at what has arrived
BUFFER_BYTES = 4096


class Way:
    """One direction of a wire."""

    def __init__(self, source: int, target: int, baud: int) -> None:
        self.source = source
        self.target = target
        self.seconds = BITS / baud if baud else 0.0  # for a byte
        self.free_at = 0.0
        self.held = 0
        self.pieces: deque[tuple[float, bytes]] = deque()  # when it has arrived, and what

    @property
    def has_room(self) -> bool:
        return self.held < BUFFER_BYTES

    @property
    def due(self) -> float:
        return self.pieces[0][0] if self.pieces else float("inf")

    def take(self, now: float) -> None:
        """Takes what was written at the source."""
        data = os.read(self.source, BUFFER_BYTES - self.held)
        self.held += len(data)
        self.free_at = max(self.free_at, now)
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            self.free_at += len(piece) * self.seconds
            self.pieces.append((self.free_at, piece))

    def give(self, now: float) -> None:
        """Writes what has arrived."""
        while self.due <= now:
            _, piece = self.pieces.popleft()
            try:
                written = os.write(self.target, piece)
            except BlockingIOError:
                written = 0
            self.held -= written
            if written < len(piece):
                self.pieces.appendleft((now, piece[written:]))
                return  # the end that reads is full


def end(link: Path) -> int:
    """Makes one end of a wire; returns the descriptor of the wire's side."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)  # it stays open here, so that the wire outlives a program at its end
    os.set_blocking(ours, False)
    link.symlink_to(os.ttyname(theirs))
    return ours


def run(ways: list[Way]) -> None:
    """Passes bytes until stdin ends."""
    stdin, by_source = sys.stdin.fileno(), {way.source: way for way in ways}
    poll = select.epoll()
    for source in (stdin, *by_source):
        poll.register(source, select.EPOLLIN)
    while True:
        ready = [source for source, _ in poll.poll(1.0 if not any_held(ways) else 0)]
        now = time.monotonic()
        for source in ready:
            if source == stdin:
                return
            if by_source[source].has_room:
                by_source[source].take(now)
        for way in ways:
            way.give(now)
        if any_held(ways):
            time.sleep(TURN_SECONDS)


def any_held(ways: list[Way]) -> bool:
    return any(way.held for way in ways)


def main(folder: str, baud: str, *boards: str) -> None:
    ways = []
    for board in boards:
        gateway, far = (end(Path(folder) / f"{board}.{side}") for side in ("gateway", "board"))
        ways += [Way(gateway, far, int(baud)), Way(far, gateway, int(baud))]
    print("ready", flush=True)
    run(ways)


if __name__ == "__main__":
    main(*sys.argv[1:])
