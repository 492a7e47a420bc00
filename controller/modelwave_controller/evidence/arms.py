"""Collects what the devices of an arm have sent in a stage beyond the gates' quantities: predicted
classes, and confidences by the table that accuracy is estimated with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from modelwave_controller.judge.estimated import Table

OTHER_CLASSES = ""  # the name of all that windows or MAX_NAMES left without one
MAX_NAMES = 256  # of classes of one arm; devices choose the names


class ArmWindow(NamedTuple):
    """What a window has of inferences by class, and by bin of confidence; `rest` have a class
    without a name."""

    classes: Mapping[str, int]
    rest: int
    confidence: Sequence[int]


class ArmMeasures:
    """What one arm of a target has sent."""

    def __init__(self) -> None:
        self.classes: Counter[str] = Counter()
        self.confidences: dict[Table, list[int]] = {}

    def take(self, window: ArmWindow, table: Table | None) -> None:
        """Adds a window, whose release has this table."""
        self.classes[OTHER_CLASSES] += window.rest
        for name, count in window.classes.items():
            known = name in self.classes or len(self.classes) < MAX_NAMES
            self.classes[name if known else OTHER_CLASSES] += count
        if table is not None and window.confidence:
            bins = self.confidences.setdefault(table, [0] * len(table))
            for number, count in enumerate(window.confidence):
                bins[number] += count
