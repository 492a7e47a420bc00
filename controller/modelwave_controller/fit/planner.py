"""Places the buffers in the arena, as GreedyMemoryPlanner does (greedy_memory_planner.cc).

Buffers whose place was planned offline come first and stay where they are. The others
follow from the largest to the smallest; of equal ones the last comes first. Each takes the
lowest gap that is large enough between the buffers already placed that are alive at the same
time, or else the room above them."""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

_BY_OFFSET = attrgetter("offset")


@dataclass(slots=True)
class Buffer:
    """A buffer of `size` bytes, alive from scope `first` to scope `last`, both included;
    `fixed` if the offset was planned offline."""

    label: str
    size: int
    first: int
    last: int
    offset: int = 0
    fixed: bool = False

    @property
    def end(self) -> int:
        return self.offset + self.size


def plan(buffers: Sequence[Buffer]) -> int:
    """Gives each buffer its offset. Returns the size of the plan in bytes."""
    fixed = [buffer for buffer in buffers if buffer.fixed]
    free = [buffer for buffer in reversed(buffers) if not buffer.fixed]
    free.sort(key=attrgetter("size"), reverse=True)  # stable, also when reversed
    placed: list[Buffer] = []
    for buffer in fixed + free:
        if not buffer.fixed:
            buffer.offset = _lowest_gap(buffer, placed)
        insort(placed, buffer, key=_BY_OFFSET)
    return max((buffer.end for buffer in buffers), default=0)


def _lowest_gap(wanted: Buffer, placed: list[Buffer]) -> int:
    """Returns the offset for `wanted`; `placed` is sorted by offset."""
    size, first, last = wanted.size, wanted.first, wanted.last
    offset = 0
    for other in placed:
        if other.first <= last and first <= other.last:
            if other.offset - offset >= size:
                break
            offset = max(offset, other.offset + other.size)
    return offset
