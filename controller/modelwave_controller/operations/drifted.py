"""How far the classes that canaries predict differ from those of controls, for people. It judges
nothing."""

from dataclasses import dataclass

from modelwave_controller.rollout.state import Rollout

OTHERS = "the other classes"


@dataclass(frozen=True)
class MovedClass:
    """The shares of a class among the predictions of both sides."""

    name: str
    canaries: float
    controls: float


@dataclass(frozen=True)
class DriftRow:
    """What the newest look of a stage, counted from 1, found for a target. `distance` is the share
    of predictions that would have to be others; `canaries` and `controls` how many there were."""

    stage: int
    target: str
    distance: float
    canaries: int
    controls: int
    moved: list[MovedClass]


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
