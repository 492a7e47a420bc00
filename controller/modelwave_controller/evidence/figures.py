"""What the manifest of a release signs for windows to be judged by."""

from collections.abc import Callable
from typing import NamedTuple

from modelwave_controller.judge.estimated import Table


class ReleaseFigures(NamedTuple):
    """`table`: how often it is right at each confidence, None if it does not say so. `limit_us`:
    the microseconds above which devices count an inference, 0 if it has no such limit."""

    table: Table | None = None
    limit_us: int = 0

    def beside(self, other: "ReleaseFigures") -> "ReleaseFigures":
        """Returns it as windows that are compared with those of another release need it: counts
        above a different limit say nothing."""
        return self if self.limit_us == other.limit_us else self._replace(limit_us=0)


NO_FIGURES = ReleaseFigures()

FiguresOf = Callable[[int], ReleaseFigures]  # of a release, by its number
