"""Windows that wait for the broker: joins them while there is no connection, finds the one of
labels that come late, and writes the documents. A board loads it only for that.
"""

from modelwave_agent.types import COUNTS, MAX_UNSENT, Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from modelwave_agent.types import Document, Numbered

MAX_APART = 32  # windows of as many releases, which cannot be joined: two of each of 16 models


def check_late(number: int, release: "Any", counts: "Sequence[int]", sample: "Any") -> None:
    """Raises ValueError, which names the argument of `observe`, if these are not labels alone of
    the window `number`."""
    if not number:
        raise ValueError("window: 0, the first window is 1")
    if release is None:
        raise ValueError("release: give the release that ran in window %d" % number)
    if counts[0] or counts[1] or sample:
        raise ValueError("window: only labelled and correct may come later than their window")


def shortened(waiting: "list[Window]") -> "list[Window]":
    """Joins windows until there are few enough: two of one release that follow each other and are
    the shortest, so that all parts of a long time without a connection stay visible."""
    while len(waiting) > MAX_UNSENT:
        pairs = _pairs(waiting)
        if not pairs:
            return waiting[-MAX_APART:]
        _, at, after = min(pairs)
        join(waiting[at], waiting.pop(after))
    return waiting


def add_late(waiting: "list[Window]", late: Window) -> "list[Window]":
    """Adds labels that come late to the window that they belong to, if it still waits."""
    for window in waiting:
        if _are_alike(window, late) and window.first <= late.first <= window.last:
            join(window, late)
            return waiting
    return shortened(waiting + [late])


def join(window: Window, other: Window) -> None:
    """Makes `window` also the window `other`. Labels that came late do not move its times."""
    if window.is_late and not other.is_late:
        window.end, window.seconds = other.end, other.seconds
    elif window.is_late == other.is_late:
        start = min(window.end - window.seconds, other.end - other.seconds)
        window.end = max(window.end, other.end)
        window.seconds = window.end - start
    window.is_late = window.is_late and other.is_late
    window.first = min(window.first, other.first)
    window.last = max(window.last, other.last)
    window.count(other.counts)
    if window.measures and other.measures:
        window.measures.join(other.measures)
    window.measures = window.measures or other.measures


def documents(window: Window, numbered: "Numbered") -> "list[Document]":
    """Returns the window as documents, mostly one; `numbered` begins each."""

    def begun(counts: "Sequence[int]") -> "Document":
        document = numbered()
        document.update({"model": window.model, "release": window.release, "window": window.first})
        if window.last > window.first:
            document["windows"] = _size(window)
        if not window.is_late:
            document["seconds"] = max(1, round(window.seconds))
        document.update(zip(COUNTS, counts))
        return document

    document = begun(window.counts)
    if not window.measures:
        return [document]
    found: "list[Document]" = window.measures.spread(document, lambda: begun((0, 0, 0, 0)))
    return found


def _are_alike(window: Window, other: Window) -> bool:
    # A model that runs beside the live one has windows of another class (host/shadow_windows.py).
    alike = window.model == other.model and window.release == other.release
    return alike and type(window) is type(other)


def _pairs(waiting: "list[Window]") -> "list[tuple[int, int, int]]":
    """Returns (windows in both, index, index) of each two windows that could be joined."""
    found = []
    for after in range(1, len(waiting)):
        for at in range(after - 1, -1, -1):
            if _are_alike(waiting[at], waiting[after]):
                found.append((_size(waiting[at]) + _size(waiting[after]), at, after))
                break
    return found


def _size(window: Window) -> int:
    return window.last - window.first + 1
