"""What the program's inferences came to, in windows, until the broker has them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelwave_agent.types import Document

COUNTS = ("inferences", "failures", "labelled", "correct")  # of a window
MAX_UNSENT = 16  # windows that wait for the broker; the oldest goes first


class Observations:
    """Counts by model and release. A window is closed from time to time, and then waits in
    `unsent` under its number; it keeps that number however often it is sent, so that the
    controller counts it once."""

    def __init__(self) -> None:
        self.windows: "dict[tuple[str, int], list[int]]" = {}  # model and release: counts
        self.unsent: "list[Document]" = []

    def add(self, model: str, release: int, counts: "Sequence[int]") -> None:
        """`counts`: as COUNTS names them."""
        window = self.windows.get((model, release)) or [0, 0, 0, 0]
        for index, count in enumerate(counts):
            window[index] += count
        self.windows[model, release] = window

    def close(self, numbered: "Callable[[], Document]") -> None:
        """Closes the open windows. `numbered` gives the beginning of each one's document."""
        for model, release in self.windows:
            document = numbered()
            document.update({"model": model, "release": release})
            document.update(zip(COUNTS, self.windows[model, release]))
            self.unsent.append(document)
        self.windows = {}
        self.unsent = self.unsent[-MAX_UNSENT:]
