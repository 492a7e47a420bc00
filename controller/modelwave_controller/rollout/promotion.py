"""Says what a promotion of a rollout's newest stage would skip. Pure.

A promotion opens the next stage now. It skips time, and a gate only by force:

    soak that is left                                     may be skipped
    looks to come, where no gate that the plan names      may be skipped
    waits for them
    looks to come, and a gate that the plan names has     needs force and a reason
    not passed at a look so far
    a gate that is PENDING, INCONCLUSIVE or FAIL, of      needs force and a reason
    this stage or (FAIL) of one before

Argo Rollouts has one step for both: its `promote` also skips an analysis that runs, and its
`promote --full` all analyses that are still to come. Here a full promotion skips the soaks of all
stages that follow, and the gate of each of them still decides by its devices' answers.

What was overruled does not count again: the devices that had rolled back, and the looks that were
computed. A further roll-back is judged together with those before, and a later look by itself.
"""

from typing import NamedTuple

from modelwave_controller.judge.verdicts import FAIL, PASS
from modelwave_controller.phrases import plural, span
from modelwave_controller.rollout import course
from modelwave_controller.rollout.decide import Facts, label, soak_left, stage_gate
from modelwave_controller.rollout.events import Overruled
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.state import Rollout, StageState


class Skipped(NamedTuple):
    """What a promotion skips, in words: `time` freely, `gates` only by force."""

    time: list[str]
    gates: list[str]

    @property
    def told(self) -> str:
        return " and ".join([*self.time, *self.gates])


def skipped(rollout: Rollout, facts: Facts, now: float) -> Skipped:
    """Returns what a promotion would skip at `now`, in seconds of the rollout clock. A stage has to
    be open."""
    plan, last = rollout.created.plan, len(facts.stages) - 1
    time, gates = [], []
    if left := _soak(plan, facts, now):
        time.append(left)
    for number in range(len(facts.stages)):
        gate = stage_gate(plan, facts, number, now)
        if gate.verdict == FAIL or (number == last and gate.verdict != PASS):
            gates.append(f"the {gate.verdict} of {label(plan, number)}: {gate.reason}")
    to_come, lacking = _looks(plan, last, rollout.stages[-1])
    if to_come and facts.stages[-1].counts.devices:
        (gates if lacking else time).append(to_come + lacking)
    return Skipped(time, gates)


def evidence(rollout: Rollout, facts: Facts) -> list[Overruled]:
    """Returns what is known of each opened stage, which is not to count again."""
    return [
        Overruled(rolled_back=found.counts.rolled_back, looks=len(stage.looks))
        for found, stage in zip(facts.stages, rollout.stages, strict=True)
    ]


def _soak(plan: Plan, facts: Facts, now: float) -> str:
    newest = facts.stages[-1]
    if newest.promoted or not newest.counts.devices:
        return ""
    if newest.soaking_since is None:
        return f"the soak of {span(plan.stages[len(facts.stages) - 1].soak_seconds)}"
    left = soak_left(plan, facts, now)
    return f"{span(left)} of soak" if left > 0 else ""


def _looks(plan: Plan, number: int, stage: StageState) -> tuple[str, str]:
    """Returns which looks of the stage are still to come, in words, and which of the gates that the
    plan names have not passed at one so far; "" for none."""
    planned = course.planned_looks(plan, number)
    begun = stage.soaking_since is not None
    left = len(planned) - len(stage.looks)
    if left <= 0 or stage.promoted or (begun and course.awaited(plan, number, stage) is None):
        return "", ""
    words = f"{plural(left, 'look')} at what its devices measure"
    standing = [found for found in course.standing(stage.looks) if not found.target]
    passed = {found.gate for found in standing if found.verdict == PASS}
    gates = [gate.text for gate in plan.gates_of(number) if gate.text not in passed]
    if not plan.holds(number) or not gates:
        return words, ""
    return words, f", at which {', '.join(gates)} would be judged"
