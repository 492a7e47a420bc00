"""How far the classes that canaries predict differ from those of controls. It judges nothing: other
inputs, another share of nights or a better model move classes too.

The distance is the total variation: half of the sum of the differences of the shares, which is the
share of predictions that would have to be others. Few predictions differ by chance alone, so it is
shown with how many there were.
"""

from collections.abc import Mapping
from typing import NamedTuple

MOST_MOVED = 3


class Move(NamedTuple):
    """The shares of a class among the predictions of canaries and of controls."""

    name: str
    canaries: float
    controls: float


class Drift(NamedTuple):
    """`canaries` and `controls` are how many predictions, `moved` the classes that differ most."""

    distance: float
    canaries: int
    controls: int
    moved: list[Move]


def class_drift(canaries: Mapping[str, int], controls: Mapping[str, int]) -> Drift | None:
    """Returns the drift between the predictions of both arms by class; None if one has none."""
    ours, others = sum(canaries.values()), sum(controls.values())
    if not ours or not others:
        return None
    moves = [
        Move(name, canaries.get(name, 0) / ours, controls.get(name, 0) / others)
        for name in sorted({*canaries, *controls})
    ]
    moves.sort(key=lambda move: -abs(move.canaries - move.controls))
    distance = sum(abs(move.canaries - move.controls) for move in moves) / 2
    moved = [move for move in moves[:MOST_MOVED] if move.canaries != move.controls]
    return Drift(distance, ours, others, moved)
