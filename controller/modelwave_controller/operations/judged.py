"""What the looks of a rollout's stages found, for people: a row for each gate and target."""

from modelwave_controller.phrases import plural, span
from modelwave_controller.results.rollouts import GateRow
from modelwave_controller.rollout import course, state
from modelwave_controller.rollout.events import Finding
from modelwave_controller.rollout.state import Rollout


def gate_rows(rollout: Rollout) -> list[GateRow]:
    """Returns the rows of all opened stages."""
    plan = rollout.created.plan
    return [
        _row(number, f"{len(stage.looks)} of {len(course.planned_looks(plan, number))}", finding)
        for number, stage in enumerate(rollout.stages)
        for finding in course.standing(stage.looks)
    ]


def next_look(rollout: Rollout, clock: float) -> str:
    """Returns when the newest stage is looked at next, such as "after 4 windows, in 12 min"; "" if
    it is not. `clock` is the rollout clock."""
    if rollout.status not in state.ACTIVE or not rollout.stages:
        return ""
    plan, number, stage = rollout.created.plan, len(rollout.stages) - 1, rollout.stages[-1]
    if state.failed(stage):  # which is final
        return ""
    held = rollout.status == state.HELD
    windows = course.next_look(plan, number, len(stage.looks), held)
    if windows is None:
        return ""
    at = course.look_at(plan, number, stage, held)
    when = "once the broker has its orders" if at is None else f"in {span(max(0.0, at - clock))}"
    return f"after {plural(windows, 'window')} of stage {number + 1}, {when}"


def promoted_by(rollout: Rollout, number: int) -> str:
    """Returns who promoted the stage, from 0, and what was skipped; "" if nobody did."""
    if number >= len(rollout.stages) or (found := rollout.stages[number].promoted) is None:
        return ""
    who = found.actor or "the operator"
    if found.stage != number:
        return f"{who} promoted stage {found.stage + 1} and those after it: no soak"
    how = " by force" if found.forced else ""
    why = f": {found.reason}" if found.reason else ""
    return f"{who} skipped {found.skipped}{how}{why}"


def _row(number: int, look: str, finding: Finding) -> GateRow:
    return GateRow(
        stage=number + 1,
        gate=finding.gate,
        target=finding.target,
        verdict=finding.verdict,
        harm=finding.harm,
        low=finding.low,
        high=finding.high,
        margin=finding.margin,
        canaries=finding.canaries,
        controls=finding.controls,
        p=finding.p,
        needs=finding.needs,
        reason=finding.reason,
        look=look,
    )
