"""Counts the program's inferences in windows, and keeps the windows until the broker has them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelwave_agent.types import Document

COUNTS = ("inferences", "failures", "labelled", "correct")  # of a window
MAX_UNSENT = 16  # windows that wait for the broker; above it the oldest is dropped


class Observations:
    """Counts by model and release. A closed window gets a number and waits in `unsent`. It keeps
    its number when it is sent again, so that the controller counts it only once."""

    def __init__(self) -> None:
        self.windows: "dict[tuple[str, int], list[int]]" = {}  # model and release: counts
        self.unsent: "list[Document]" = []

    def add(self, model: str, release: int, counts: "Sequence[int]") -> None:
        """Adds `counts` (in the order of COUNTS) to the open window of this release."""
        window = self.windows.get((model, release)) or [0, 0, 0, 0]
        for index, count in enumerate(counts):
            window[index] += count
        self.windows[model, release] = window

    def close(self, numbered: "Callable[[], Document]") -> None:
        """Closes the open windows. `numbered` returns a new numbered document for each."""
        for model, release in self.windows:
            document = numbered()
            document.update({"model": model, "release": release})
            document.update(zip(COUNTS, self.windows[model, release]))
            self.unsent.append(document)
        self.windows = {}
        self.unsent = self.unsent[-MAX_UNSENT:]
