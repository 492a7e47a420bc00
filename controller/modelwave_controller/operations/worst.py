"""Which targets of a gate are told first."""

from collections.abc import Sequence
from math import inf

from modelwave_controller.judge.verdicts import rank
from modelwave_controller.results.rollouts import GateRow


def worst_targets(rows: Sequence[GateRow], gate: str, most: int) -> tuple[list[GateRow], int]:
    """Returns at most so many rows of the gate's targets, those with the worst verdict first, then
    those whose harm may be nearest to the margin or most beyond it; and how many are left out."""
    found = sorted((r for r in rows if r.gate == gate and r.target), key=_goodness)
    return found[:most], max(0, len(found) - most)


def _goodness(row: GateRow) -> tuple[int, float, str]:
    room = inf if row.high is None or row.margin is None else row.margin - row.high
    return rank(row.verdict), room, row.target
