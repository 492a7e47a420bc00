"""Estimates accuracy without labels, from the histogram of a window's confidences and a table that
says how often the model is right at each confidence.

The table is measured on held-out data and signed in the manifest: for each bin, how many examples
and how many of them were right. The estimate is a quantity like any other, whose weight is the
inferences and whose total the expected right ones (reliability tables: Guo et al., On Calibration
of Modern Neural Networks, ICML 2017). It may HOLD and never FAIL or PASS: a model that is wrong
with the same confidence as before is invisible to it, and a wrong table looks like harm. What the
table does not know for lack of examples is added to the standard error.
"""

from collections.abc import Sequence
from math import hypot, sqrt
from typing import NamedTuple

from modelwave_controller.judge.devices import NUMBER, Quantity, Window


class Bin(NamedTuple):
    """One bin of a reliability table: examples of held-out data, and how many were right."""

    examples: int
    right: int

    @property
    def accuracy(self) -> float:
        """One more of each kind is added, so that an empty bin is worth a half."""
        return (self.right + 1) / (self.examples + 2)

    @property
    def variance(self) -> float:
        return self.accuracy * (1 - self.accuracy) / (self.examples + 3)


def estimated_accuracy(margin: float) -> Quantity:
    """Returns the quantity that the windows of this module are judged as."""
    return Quantity("estimated accuracy", NUMBER, True, margin, may_fail=False)


def window(number: int, confidences: Sequence[int], table: Sequence[Bin]) -> Window:
    """Returns the window of a histogram of confidences. Raises ValueError unless it has as many
    bins as the table of the release that the device ran in it."""
    _check(confidences, table)
    right = sum(n * row.accuracy for n, row in zip(confidences, table, strict=True))
    return Window(number, sum(confidences), right)


def table_error(confidences: Sequence[int], table: Sequence[Bin]) -> float:
    """Returns the standard error of the estimate that comes from the table, where `confidences` is
    the histogram of all devices of an arm."""
    _check(confidences, table)
    whole = sum(confidences)
    if not whole:
        return 0.0
    return sqrt(
        sum((n / whole) ** 2 * row.variance for n, row in zip(confidences, table, strict=True))
    )


def common_error(new: float, old: float) -> float:
    """Returns the error that all canaries share, of the errors of the two releases' tables."""
    return hypot(new, old)


def _check(confidences: Sequence[int], table: Sequence[Bin]) -> None:
    if len(confidences) != len(table):
        raise ValueError(
            f"{len(confidences)} bins of confidences and {len(table)} of the table: "
            "take the table of the release that the device ran"
        )
