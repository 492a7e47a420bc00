"""Makes a file from an older one and a delta of kind 1 (modelwave_shared/deltas.py).

The delta is a raw deflate stream with a window of 512 bytes, which a board inflates in 2 KB of
heap. What it inflates to is a row of steps. A step begins with a byte; its two high bits say which
one it is, and its six low bits are n:

    0   copy n bytes of the old file, and the next one plus 1
    1   copy n bytes, and the next one minus 1
    2   copy n bytes, and the next one plus the byte that follows
    3   n says what to do; a number follows
        0   copy so many bytes
        1   take as many bytes as they follow; the place in the old file stays
        2   add the bytes that follow, so many, to those of the old file
        3   move the place in the old file by 2n for n ≥ 0, by -2n - 1 else

Sums are modulo 256. The place in the old file begins at 0, and moves with each byte that is copied
or added to. A number has 7 bits in each byte, the lowest first; the highest bit says that more
follow. A fine-tuned model differs in single weights, mostly by 1: one such byte each.

A delta is not to be trusted. Whatever it says, no more is written than the new file's size, and
nothing is read outside of the old file.
"""

from modelwave_shared.limits import MAX_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from modelwave_agent.intake import Intake
    from modelwave_agent.types import Breathe

    class Source(Protocol):
        """What a delta inflates to."""

        def readinto(self, buffer: memoryview) -> "int | None": ...

    class Base(Source, Protocol):
        """The old file."""

        def tell(self) -> int: ...
        def seek(self, place: int) -> int: ...

    Add = Callable[[memoryview, memoryview], None]

CHUNK_BYTES = 512
MAX_SHIFT = 28  # of the last byte of a number
MAX_IDLE_STEPS = 2  # in a row that make no byte: else a small delta could take for ever
PLUS, MINUS, OTHER = 0, 1, 2
COPY, FRESH, ADD, MOVE = 0, 1, 2, 3


class BadDelta(Exception):
    """The delta cannot be applied to this file; the message says why."""


def add(sums: memoryview, more: memoryview) -> None:
    """Adds each byte of `more` to that of `sums` at the same place."""
    for at in range(len(sums)):
        sums[at] = (sums[at] + more[at]) & 0xFF


class Patch:
    """One application of a delta."""

    def __init__(
        self,
        source: "Source",
        base: "Base",
        intake: "Intake",
        breathe: "Breathe",
        add: "Add" = add,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """`source`: the inflated delta; `base`: the old file, open; `intake`: of the new one, which
        is empty. `add`: a faster one than this module's, if the platform has one."""
        self.source = source
        self.base = base
        self.intake = intake
        self.breathe = breathe
        self.add = add
        self.made = memoryview(bytearray(chunk_bytes))  # bytes that are not written yet
        self.filled = 0  # how many they are
        self.byte = memoryview(bytearray(1))
        self.more: "memoryview | None" = None  # bytes to add

    async def run(self) -> None:
        """Writes the whole new file. Raises BadDelta, TooLong, and OSError."""
        made, idle = 0, 0
        while made < self.intake.wanted:
            await self._step()
            before, made = made, self.intake.offset + self.filled
            idle = idle + 1 if made == before else 0
            if idle > MAX_IDLE_STEPS:
                raise BadDelta("%d steps in a row make nothing" % idle)
        self.intake.write(self.made[: self.filled])

    async def _step(self) -> None:
        step = self._next()
        kind, count = step >> 6, step & 0x3F
        if kind == 3:
            return await self._long(count)
        more = 1 if kind == PLUS else 0xFF if kind == MINUS else self._next()
        await self._take(self.base, count)
        self._read(self.base, self.made[self.filled : self.filled + 1])
        self.made[self.filled] = (self.made[self.filled] + more) & 0xFF
        await self._made(1)

    async def _long(self, what: int) -> None:
        if what > MOVE:
            raise BadDelta("a step that is none: %d" % what)
        number = self._number()
        if what == MOVE:
            self._move(-(number + 1) // 2 if number & 1 else number // 2)
        elif what == COPY:
            await self._take(self.base, number)
        elif what == FRESH:
            await self._take(self.source, number)
        else:
            await self._added(number)

    async def _take(self, file: "Source", count: int) -> None:
        """Takes `count` bytes of a file as they are."""
        while count:
            piece = min(count, len(self.made) - self.filled)
            self._read(file, self.made[self.filled : self.filled + piece])
            count -= piece
            await self._made(piece)

    async def _added(self, count: int) -> None:
        if self.more is None:  # most deltas need none
            self.more = memoryview(bytearray(len(self.made)))
        while count:
            piece = min(count, len(self.made) - self.filled)
            view, more = self.made[self.filled : self.filled + piece], self.more[:piece]
            self._read(self.base, view)
            self._read(self.source, more)
            self.add(view, more)
            count -= piece
            await self._made(piece)

    def _move(self, distance: int) -> None:
        place = self.base.tell() + distance
        if not 0 <= place <= MAX_BYTES:
            raise BadDelta("it moves out of the old file")
        self.base.seek(place)

    async def _made(self, count: int) -> None:
        """Counts bytes that were made; writes them if there is no room for another one."""
        self.filled += count
        if self.filled == len(self.made):
            self.intake.write(self.made)
            self.filled = 0
            await self.breathe()

    def _next(self) -> int:
        self._read(self.source, self.byte)
        return self.byte[0]

    def _number(self) -> int:
        number = shift = 0
        while True:
            byte = self._next()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
            if shift > MAX_SHIFT:
                raise BadDelta("a number that is too long")

    def _read(self, file: "Source", view: memoryview) -> None:
        """Fills `view`."""
        got = 0
        while got < len(view):
            more = file.readinto(view[got:])
            if not more:
                raise BadDelta("the delta or the old file ends early")
            got += more
