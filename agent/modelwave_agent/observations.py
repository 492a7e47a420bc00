"""Counts the program's inferences in windows, and keeps the windows until the broker has them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from modelwave_agent.types import Document

COUNTS = ("inferences", "failures", "labelled", "correct")  # of a window
PARTS = (("failures", "inferences"), ("correct", "labelled"))  # the first are some of the second
MAX_COUNT = 10**9  # of one call
MAX_UNSENT = 16  # windows that wait for the broker; above it the oldest is dropped
MAX_OPEN = 32  # open windows: two releases of each of 16 models
SHOWN = 10**16  # numbers from here on are not shown


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


class Observations:
    """Counts by model and release. A closed window gets a number and waits in `unsent`. It keeps
    its number when it is sent again, so that the controller counts it only once."""

    def __init__(self) -> None:
        self.windows: "dict[tuple[str, int], list[int]]" = {}  # model and release: counts
        self.unsent: "list[Document]" = []

    def add(self, model: str, release: int, counts: "Sequence[int]") -> None:
        """Adds `counts` (in the order of COUNTS) to the open window of this release. Raises
        what `require_room` raises."""
        self.require_room(model, release)
        window = self.windows.get((model, release)) or [0, 0, 0, 0]
        for index, count in enumerate(counts):
            window[index] += count
        self.windows[model, release] = window

    def require_room(self, model: str, release: int) -> None:
        """Raises ValueError if this release has no window, and too many others have one: then the
        program counts something else."""
        if len(self.windows) >= MAX_OPEN and (model, release) not in self.windows:
            raise ValueError(
                "release: %d, and counts of %d others wait already; give the release that ran"
                % (release, MAX_OPEN)
            )

    def close(self, numbered: "Callable[[], Document]") -> None:
        """Closes the open windows. `numbered` returns a new numbered document for each."""
        for model, release in self.windows:
            document = numbered()
            document.update({"model": model, "release": release})
            document.update(zip(COUNTS, self.windows[model, release]))
            self.unsent.append(document)
        self.windows = {}
        self.unsent = self.unsent[-MAX_UNSENT:]
