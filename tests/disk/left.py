"""Makes every state that a power cut may leave of a moment of a disk (medium.py).

ordered      the changes that were not synced are lost from one on
reordered    one of them alone is lost, or alone has come; every choice of them, if they are few
torn         of a write the part before a block has come, or the part from it on; the rest of
             the file has its length, and holds what was there before, or zeros
zeroed       a block that was written reads as zeros, also what it held before
names        no name, or only names, have come of what was created, renamed and removed
both gone    FAT's rename: neither the old name nor the new one is there
"""

from collections.abc import Iterator
from itertools import product

from tests.disk.medium import Change, Moment, State, applied

BLOCKS = (512, 4096)
NAMES = ("name", "forget", "rename")
FEW = 3  # changes of which every choice is made
FEW_LONG = 6

Kept = tuple[Change, ...] | list[Change]


def states(
    moment: Moment, few: int = FEW, is_long: bool = False, is_fat: bool = True
) -> Iterator[tuple[str, State]]:
    """Yields (what was lost, the state). `is_fat`: also what FAT may leave of a rename."""
    for told, kept in ways(moment.pending, few, is_long, is_fat):
        yield told, applied(moment.base, kept)


def ways(
    pending: tuple[Change, ...], few: int = FEW, is_long: bool = False, is_fat: bool = True
) -> Iterator[tuple[str, Kept]]:
    """Yields (what was lost, the changes that come after the base)."""
    yield from _choices(pending, few)
    for at, change in enumerate(pending):
        others = (pending[:at], pending[at + 1 :])
        if change.kind == "write":
            for told, parts in _damaged(change, is_long):
                yield told, [*others[0], *parts, *others[1]]
                if is_long and len(pending) > 1:
                    yield f"{told}, the others lost", parts
        if change.kind == "rename" and is_fat:
            gone = [_gone(change.source), _gone((change.node, change.name))]
            yield f"both names gone: {change.name}", [*others[0], *gone, *others[1]]
            yield f"the new name gone: {change.name}", [*others[0], gone[1]]


def _choices(pending: tuple[Change, ...], few: int) -> Iterator[tuple[str, Kept]]:
    count = len(pending)
    if count <= few:
        for chosen in product((False, True), repeat=count):
            kept = [one for one, is_kept in zip(pending, chosen, strict=True) if is_kept]
            yield f"kept {''.join('-+'[one] for one in chosen)}", kept
        return
    for end in range(count + 1):
        yield f"the first {end} kept", pending[:end]
    for at in range(count):
        yield f"{at} lost", pending[:at] + pending[at + 1 :]
        yield f"{at} alone", (pending[at],)
    yield "the names alone", [one for one in pending if one.kind in NAMES]
    yield "no name", [one for one in pending if one.kind not in NAMES]


def _damaged(change: Change, is_long: bool) -> Iterator[tuple[str, list[Change]]]:
    """Yields what may come of a write that was not synced."""
    start, end = change.at, change.at + len(change.data)
    for size in BLOCKS:
        for edge in range(start - start % size + size, end, size):
            if size == BLOCKS[0] or is_long:
                first = change._replace(data=change.data[: edge - start])
                last = change._replace(at=edge, data=change.data[edge - start :])
                yield f"torn at {edge}: the first part", [first]
                yield f"torn at {edge}: the last part", [last]
                # The new length has come, and the last part not.
                yield f"torn at {edge}: zeros", [first, _zeros(change, edge, end)]
        for block in range(start - start % size, end, size):
            stop = min(block + size, end)
            yield f"zeroed {size} at {block}", [change, _zeros(change, block, stop)]


def _zeros(change: Change, start: int, end: int) -> Change:
    return change._replace(at=start, data=bytes(end - start))


def _gone(place: tuple[int, str]) -> Change:
    return Change("forget", place[0], name=place[1])
