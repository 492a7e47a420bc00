"""Measures the program's inferences in windows, and keeps the windows until the broker has them.

    open      all windows have the same length, whether there is a connection or not. Each release
              that ran has one.
    unsent    a closed window waits for the broker. Above MAX_UNSENT two of them become one that is
              longer, so that nothing is lost and nothing piles up.
    sending   a window gets its numbers (boot, n) when it is first sent. From then on it does not
              change, because the broker may have it: it is repeated with these numbers, and the
              controller counts it once.

A label that comes later than its inference is added to the window of the inference, or if that was
sent, to another document with the number of that window.
"""

from modelwave_agent.types import COUNTS, MAX_UNSENT, Window
from modelwave_shared.lean import Phase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from modelwave_agent.measures import Sample
    from modelwave_agent.types import Document, Numbered

PARTS = (("failures", "inferences"), ("correct", "labelled"))  # the first are some of the second
MAX_COUNT = 10**9  # of one call
MAX_OPEN = 32  # open windows: two releases of each of 16 models
SHOWN = 10**16  # numbers from here on are not shown
WAITING = Phase("modelwave_agent.backlog")


def checked_counts(counts: "Sequence[Any]") -> "list[int]":
    """`counts`, as COUNTS names them, as plain integers. Raises what `whole_number` raises, and
    ValueError if a part is more than its whole."""
    found = [whole_number(value, name, MAX_COUNT) for name, value in zip(COUNTS, counts)]
    by_name = dict(zip(COUNTS, found))
    for part, whole in PARTS:
        if by_name[part] > by_name[whole]:
            raise ValueError(
                "%s: %d, that is more than %s=%d" % (part, by_name[part], whole, by_name[whole])
            )
    return found


def whole_number(value: "Any", name: str, most: int) -> int:
    """`value` as a plain integer: from an int, a bool, a scalar of numpy (an array of one, a
    tensor), or whatever else can be an index. Raises TypeError if it is something else, and
    ValueError if it is not from 0 to `most`; both name the argument `name`."""
    found = value
    try:
        if hasattr(value, "item"):
            found = value.item()
        elif hasattr(value, "__index__"):
            found = value.__index__()
    except Exception:
        pass  # what it is instead is said below
    if not isinstance(found, (int, bool)):  # MicroPython's bool is no int
        raise TypeError("%s: give a whole number, not a %s" % (name, type(value).__name__))
    found = int(found)  # before it is compared: a class of its own may do that in its own way
    if not 0 <= found <= most:
        # Python refuses to print thousands of digits.
        shown = found if abs(found) < SHOWN else "a number of more than 16 digits"
        raise ValueError("%s: %s, allowed are 0 to %d" % (name, shown, most))
    return found


def checked_reason(reason: "Any") -> str:
    """`reason` of a failure, if it is a text. Raises TypeError."""
    if not isinstance(reason, str):
        raise TypeError("reason: give a text, not a %s" % type(reason).__name__)
    return reason


def checked_sample(
    confidence: "Any", predicted: "Any", latency_ms: "Any", metrics: "Any"
) -> "Sample | None":
    """The measures of one call, None if it gives none. Raises TypeError or ValueError, which name
    the argument."""
    if confidence is None and predicted is None and latency_ms is None and metrics is None:
        return None
    from modelwave_agent.measures import Sample

    return Sample(confidence, predicted, latency_ms, metrics)


class Observations:
    """The windows of all models of a device, since it was started."""

    def __init__(self, seconds: float, now: float) -> None:
        """`seconds`: the length of a window; `now`: seconds of the device's clock."""
        self.seconds = seconds
        self.number = 1  # of the open window
        self.start = now  # of the open window
        self.windows: "dict[tuple[str, int], Window]" = {}  # open, by model and release
        self.unsent: "list[Window]" = []
        self.sending: "list[Document]" = []
        self.end = now  # of the window that is being sent

    def add(
        self, model: str, release: int, counts: "Sequence[int]", sample: "Sample | None" = None
    ) -> None:
        """Adds `counts` (in the order of COUNTS) and measures to the open window of this release.
        Raises what `require_room` raises."""
        self.require_room(model, release)
        window = self.windows.get((model, release))
        if not window:
            window = self.windows[model, release] = Window(model, release, self.number, 0.0, False)
        window.count(counts)
        if sample:
            if not window.measures:
                from modelwave_agent.measures import Measures

                window.measures = Measures()
            window.measures.add(sample)

    def require_room(self, model: str, release: int) -> None:
        """Raises ValueError if this release has no window, and too many others have one: then the
        program counts something else."""
        if len(self.windows) >= MAX_OPEN and (model, release) not in self.windows:
            raise ValueError(
                "release: %d, and counts of %d others wait already; give the release that ran"
                % (release, MAX_OPEN)
            )

    def add_late(self, model: str, release: int, counts: "Sequence[int]", number: int) -> None:
        """Adds the labels in `counts` to the window with this number."""
        if number == self.number:
            return self.add(model, release, counts)
        from modelwave_agent.backlog import add_late

        end = self.start - (self.number - 1 - number) * self.seconds
        late = Window(model, release, number, end, True)
        late.count(counts)
        self.unsent = add_late(self.unsent, late)

    def close(self, now: float) -> None:
        """Closes the open windows; the next ones begin."""
        for window in self.windows.values():
            window.end = now
            window.seconds = now - self.start
            self.unsent.append(window)
        self.windows = {}
        self.number += 1
        self.start = now
        if len(self.unsent) > MAX_UNSENT:
            with WAITING:
                self.unsent = _shortened(self.unsent)

    def next(self, numbered: "Numbered", now: float) -> "Document | None":
        """Returns the document to send, until `sent` is called the same one with another age; None
        if there is none. `numbered` begins a document with a new number."""
        if not self.sending:
            if not self.unsent:
                return None
            window = self.unsent.pop(0)
            self.end = window.end
            with WAITING:
                self.sending = _documents(window, numbered)
        document = self.sending[0]
        document["age_seconds"] = max(0, int(now - self.end))
        return document

    def sent(self) -> None:
        """The broker has the document of `next`."""
        self.sending.pop(0)


def _documents(window: Window, numbered: "Numbered") -> "list[Document]":
    from modelwave_agent.backlog import documents

    return documents(window, numbered)


def _shortened(waiting: "list[Window]") -> "list[Window]":
    from modelwave_agent.backlog import shortened

    return shortened(waiting)
