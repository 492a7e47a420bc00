"""Estimates accuracy without labels, from the histogram of a window's confidences and a table that
says how often the model is right at each confidence.

The table is measured on held-out data and signed in the manifest: for each bin, how many examples
and how many of them were right. The estimate is a quantity like any other, whose weight is the
inferences and whose total the expected right ones (reliability tables: Guo et al., On Calibration
of Modern Neural Networks, ICML 2017). It may HOLD and never FAIL or PASS: a model that is wrong
with the same confidence as before is invisible to it, and a wrong table looks like harm. What the
tables do not know for lack of examples is added to the standard error.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
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


Table = tuple[Bin, ...]
# The confidences of all devices of an arm, by the table that they are estimated with.
Histograms = Mapping[Table, Sequence[int]]


def estimated_accuracy(margin: float) -> Quantity:
    """Returns the quantity that the windows of this module are judged as."""
    return Quantity("estimated accuracy", NUMBER, True, margin, may_fail=False)


def window(number: int, confidences: Sequence[int], table: Sequence[Bin]) -> Window:
    """Returns the window of a histogram of confidences. Raises ValueError unless it has as many
    bins as the table of the release that the device ran in it."""
    _check(confidences, table)
    right = sum(n * row.accuracy for n, row in zip(confidences, table, strict=True))
    return Window(number, sum(confidences), right)


def common_error(ours: Histograms, others: Histograms) -> float:
    """Returns the standard error of the two arms' difference that comes from the tables, which all
    canaries share. What one table says of both arms counts only as far as the arms differ."""
    shares: dict[Table, list[float]] = {}
    for sign, arm in ((1.0, ours), (-1.0, others)):
        whole = sum(sum(confidences) for confidences in arm.values())
        for table, confidences in arm.items() if whole else ():
            _check(confidences, table)
            row = shares.setdefault(table, [0.0] * len(table))
            for number, count in enumerate(confidences):
                row[number] += sign * count / whole
    return sqrt(
        sum(
            share**2 * one.variance
            for table, row in shares.items()
            for share, one in zip(row, table, strict=True)
        )
    )


def _check(confidences: Sequence[int], table: Sequence[Bin]) -> None:
    if len(confidences) != len(table):
        raise ValueError(
            f"{len(confidences)} bins of confidences and {len(table)} of the table: "
            "take the table of the release that the device ran"
        )
