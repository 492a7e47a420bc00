"""How far the classes that canaries predict differ from those of controls, for people. It judges
nothing."""

from modelwave_controller.results.rollouts import DriftRow, MovedClass
from modelwave_controller.rollout.state import Rollout

OTHERS = "the other classes"


def drift_rows(rollout: Rollout) -> list[DriftRow]:
    """Returns the rows of all opened stages whose windows have predicted classes."""
    return [
        DriftRow(
            number,
            one.target,
            one.distance,
            one.canaries,
            one.controls,
            [MovedClass(move.name or OTHERS, move.canaries, move.controls) for move in one.moved],
        )
        for number, stage in enumerate(rollout.stages, 1)
        for one in (stage.looks[-1].drift if stage.looks else ())
    ]
