"""Collects what both arms of a target have sent in a stage beyond the gates' sums: predicted
classes, and confidences by the table that accuracy is estimated with."""

from collections import Counter
from collections.abc import Callable, Sequence

from modelwave_controller.judge.estimated import Table
from modelwave_controller.storage.windows import StoredWindow
from modelwave_shared.window_format import BINS

OTHER_CLASSES = ""  # the name of all that windows or MAX_NAMES left without one
MAX_NAMES = 256  # of classes of one arm; devices choose the names

TableOf = Callable[[int], Table | None]  # of a release


class ArmMeasures:
    """What one arm of a target has sent."""

    def __init__(self) -> None:
        self.classes: Counter[str] = Counter()
        self.confidences: dict[Table, list[int]] = {}

    def take(self, rows: Sequence[StoredWindow], table_of: TableOf) -> None:
        """Adds a device's windows of this stage."""
        for row in rows:
            measures = row.measures()
            self.classes[OTHER_CLASSES] += measures.classes_rest
            for name, count in measures.classes.items():
                known = name in self.classes or len(self.classes) < MAX_NAMES
                self.classes[name if known else OTHER_CLASSES] += count
            table = table_of(row.release) if measures.confidence else None
            if table is not None:
                bins = self.confidences.setdefault(table, [0] * BINS)
                for number, count in enumerate(measures.confidence):
                    bins[number] += count
