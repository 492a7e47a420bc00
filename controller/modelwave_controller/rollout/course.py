"""Says when the looks of a stage are, and what they say together. Pure.

A stage is looked at after 1, 2, 4 … windows and at the soak's end (judge/looks.py); while a gate
holds it also at twice and four times the soak, and so on. Of all looks so far:

    one says FAIL                                        FAIL
    one says HOLD                                        HOLD, until a person decides
    nobody sends windows in the stage                    nothing: the answers alone decide
    planned looks are still to come                      nothing yet
    each gate has passed at some look                    PASS
    all canaries are silent, and controls are not        INCONCLUSIVE, unless the plan goes on
    otherwise, and the plan holds                        INCONCLUSIVE
    otherwise                                            PASS, with that word

A gate that may only HOLD, estimated accuracy, never passes: it lets the rollout go on if it has
compared something and does not hold. Its HOLD is evidence of harm, and no lack of evidence: it
counts at once, holds also where the plan goes on, and stands for the stage.
"""

from collections.abc import Sequence

from modelwave_controller.judge.looks import Budget, Course, allowance, extension, planned
from modelwave_controller.judge.verdicts import FAIL, HOLD, INCONCLUSIVE, PASS
from modelwave_controller.rollout.events import Finding, Looked
from modelwave_controller.rollout.gates import Gate
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.state import StageState

MAX_EXTENSIONS = 8  # the last one is after 256 soaks
SILENCE = "silence"  # the gate that each plan has
NOTHING = "no observations, so that nothing was judged by them"


def planned_looks(plan: Plan, number: int) -> tuple[int, ...]:
    """Returns after how many windows the looks of stage `number`, from 0, are; () for none."""
    soak = plan.stages[number].soak_seconds // plan.judge.window_seconds
    if soak < 1 or not (plan.stages[number].has_controls or plan.gates_of(number)):
        return ()
    return planned(soak)


def next_look(plan: Plan, number: int, done: int, held: bool) -> int | None:
    """Returns after how many windows the next look is; None if there is none. `done` is how many
    there were, `held` whether a gate holds the rollout."""
    looks = planned_looks(plan, number)
    if done < len(looks):
        return looks[done]
    further = done - len(looks) + 1
    if not (looks and held and plan.may_hold and further <= MAX_EXTENSIONS):
        return None
    return extension(looks[-1], further)


def course_of(plan: Plan, stage: StageState) -> Course | None:
    """Returns the times of the stage's windows, by the rollout clock; None before they begin."""
    if stage.soaking_since is None:
        return None
    return Course(stage.soaking_since, plan.judge.window_seconds, plan.judge.grace_seconds)


def look_at(plan: Plan, number: int, stage: StageState, held: bool) -> float | None:
    """Returns when the next look of the stage is, by the rollout clock."""
    windows = next_look(plan, number, len(stage.looks), held)
    course = course_of(plan, stage)
    return course.watermark(windows) if course and windows is not None else None


def awaited(plan: Plan, number: int, stage: StageState) -> float | None:
    """Returns when the last planned look is, by the rollout clock, if it is still to come and there
    may be something to see: None if no device has sent a window by the looks before it."""
    looks, course = planned_looks(plan, number), course_of(plan, stage)
    unseen = bool(stage.looks) and not any(look.observed for look in stage.looks)
    if len(stage.looks) >= len(looks) or course is None or unseen:
        return None
    return course.watermark(looks[-1])


def budget(plan: Plan, number: int) -> Budget:
    """Returns the error that each gate of the stage may make, silence included. Every gate of every
    stage has the same part. Those that cannot FAIL take nothing from the others."""
    counted = [n for n in range(len(plan.stages)) if planned_looks(plan, n)]
    quantities = max(sum(gate.may_fail for gate in plan.gates_of(n)) for n in counted) + 1
    alpha = plan.judge.max_false_fail_percent / 100
    looks = len(planned_looks(plan, number))
    return Budget(quantities, len(counted), looks, plan.may_hold, alpha=alpha)


def margins(plan: Plan, number: int) -> int:
    """Returns by how many margins of harm the stage may still pass."""
    counted = [
        n for n in range(len(plan.stages)) if planned_looks(plan, n) and plan.stages[n].has_controls
    ]
    return allowance(counted.index(number), len(counted)) if number in counted else 1


def standing(looks: Sequence[Looked]) -> list[Finding]:
    """Returns what stands of each gate, in the order of the newest look: its FAIL, else its HOLD,
    else its PASS, else what the newest look says."""
    weights = {FAIL: 3, HOLD: 2, PASS: 1}
    found: dict[tuple[str, str], Finding] = {}
    for look in looks:
        for one in look.findings:
            held = found.setdefault((one.gate, one.target), one)
            if weights.get(one.verdict, 0) >= weights.get(held.verdict, 0):
                found[one.gate, one.target] = one
    return [found[one.gate, one.target] for one in looks[-1].findings] if looks else []


def looked(plan: Plan, number: int, looks: Sequence[Looked]) -> Gate | None:
    """Returns what the looks of a stage say together, by the rules above; None for nothing."""
    stand = [finding for finding in standing(looks) if not finding.target]
    for finding in stand:
        if finding.verdict == FAIL:
            return Gate(FAIL, _words(finding))
    for finding in stand:
        if finding.verdict == HOLD:
            return Gate(HOLD, f"HOLD: {_words(finding)}")
    if looks and not any(look.observed for look in looks):
        return Gate(PASS, NOTHING)
    if not looks or len(looks) < len(planned_looks(plan, number)):
        return None
    if not stand:
        return Gate(PASS, NOTHING)
    quiet = _quiet(plan, number, stand)
    lacking = [finding for finding in stand if finding.verdict != PASS and finding not in quiet]
    if not lacking:
        return Gate(PASS, "; ".join(["each gate passed", *(_words(one) for one in quiet)]))
    words = "; ".join(_words(finding) for finding in lacking)
    silent = plan.may_hold and any(finding.gate == SILENCE for finding in lacking)
    if silent or plan.holds(number):
        return Gate(INCONCLUSIVE, words)
    return Gate(PASS, f"INCONCLUSIVE, and the plan goes on: {words}")


def _quiet(plan: Plan, number: int, stand: Sequence[Finding]) -> list[Finding]:
    """Returns what stands of the gates that may only HOLD, have compared something and do not."""
    only_hold = [gate.text for gate in plan.gates_of(number) if not gate.may_fail]
    return [one for one in stand if one.gate in only_hold and one.harm is not None]


def _words(finding: Finding) -> str:
    return f"{finding.gate}: {finding.reason}"
