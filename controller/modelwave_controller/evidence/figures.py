"""What the manifest of a release signs for windows to be judged by."""

from collections.abc import Callable
from typing import NamedTuple

from modelwave_controller.judge.estimated import Table


class ReleaseFigures(NamedTuple):
    """`table`: how often it is right at each confidence, None if it does not say so."""

    table: Table | None = None


NO_FIGURES = ReleaseFigures()

FiguresOf = Callable[[int], ReleaseFigures]  # of a release, by its number
