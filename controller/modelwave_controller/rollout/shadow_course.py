"""Says what the looks of a shadow stage say together. Pure. Of all looks so far:

one says FAIL                                        FAIL
planned looks are still to come                      nothing yet
no device could do it, and all went on trial         PASS
nothing was compared with the live model             INCONCLUSIVE, unless the plan goes on, or
                                                     names no gate by `gates = []`
nothing is judged, or each gate has passed           PASS
otherwise, and the plan holds                        INCONCLUSIVE
otherwise                                            PASS, with that word
"""

from collections.abc import Sequence

from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS, SHOWN
from modelwave_controller.rollout.course import planned_looks, standing
from modelwave_controller.rollout.events import Looked
from modelwave_controller.rollout.gates import Counts, Gate
from modelwave_controller.rollout.plan import Plan

NOTHING = (
    "nothing was compared with the live model: its programs ran it on no input while the release "
    "was beside it, or their windows have not come"
)


def looked(plan: Plan, number: int, looks: Sequence[Looked], counts: Counts) -> Gate | None:
    """Returns what the looks say by the rules above, None for nothing; `counts` are the answers of
    the stage's devices."""
    stand = [finding for finding in standing(looks) if not finding.target]
    for finding in stand:
        if finding.verdict == FAIL:
            return Gate(FAIL, f"{finding.gate}: {finding.reason}")
    if not looks or len(looks) < len(planned_looks(plan, number)):
        return None
    if not any(look.observed for look in looks):
        return _nothing(plan, number, counts)
    judged = [finding for finding in stand if finding.verdict != SHOWN]
    shown = "; ".join(finding.reason for finding in stand)
    lacking = [finding for finding in judged if finding.verdict != PASS]
    if not lacking:
        return Gate(PASS, shown)
    words = "; ".join(f"{finding.gate}: {finding.reason}" for finding in lacking)
    if plan.holds(number):
        return Gate(INCONCLUSIVE, words)
    return Gate(PASS, f"INCONCLUSIVE, and the plan goes on: {words}")


def _nothing(plan: Plan, number: int, counts: Counts) -> Gate:
    if counts.succeeded and not counts.shadowed:
        return Gate(PASS, "no device ran it beside the live model: they went straight on trial")
    if plan.may_hold and plan.gates_of(number):
        return Gate(INCONCLUSIVE, NOTHING)
    return Gate(PASS, f"INCONCLUSIVE, and the plan goes on: {NOTHING}")
