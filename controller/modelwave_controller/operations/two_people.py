"""Which stages open only with the approval of another than who started the rollout, by the fleet's
settings: whatever its plan says. Pure.

    a stage                                                   needs it
    for so many percent as the settings say, or more          yes
    with whose devices so large a share of a target is open   yes, if these are more than 3
    in shadow                                                 no: no answer is the release's

The second line is for stages that name tags or devices, and for `least_devices`: a plan is not the
way to open everything at once by another name. A shadow stage with `else_trial` counts as others:
devices that cannot run it in shadow go straight on trial.
"""

from collections import Counter
from collections.abc import Sequence

from modelwave_controller.judge.looks import LEAST_CANARIES
from modelwave_controller.phrases import listed
from modelwave_controller.results.starts import PlannedDevice
from modelwave_controller.rollout.plan import Plan

SETTING = "rollouts.another_approves_from_percent"


def asked(plan: Plan, percent: float | None, places: Sequence[PlannedDevice] = ()) -> Plan:
    """Returns the plan with what the settings ask. `percent`: from which on, None: nothing is
    asked. `places`: which devices its stages open, as far as that is known."""
    if percent is None:
        return plan
    stages = tuple(
        stage.model_copy(update={"approval": stage.approval or True, "approval_by": "another"})
        if _needs(plan, number, percent, places)
        else stage
        for number, stage in enumerate(plan.stages)
    )
    return plan.model_copy(update={"stages": stages})


def told(said: Plan, plan: Plan, percent: float | None) -> str:
    """Says which stages of `plan` wait for another's approval though the plan as it was `said` does
    not ask for it; "" for none."""
    pairs = enumerate(zip(said.stages, plan.stages, strict=True), 1)
    found = [str(n) for n, (was, now) in pairs if now.asks_another and not was.asks_another]
    if not found:
        return ""
    several = len(found) > 1
    return (
        f"stage{'s' * several} {listed(found)} wait{'s' * (not several)} for the approval of "
        f"another than who starts it: {SETTING} in controller.toml is {percent:g}"
    )


def _needs(plan: Plan, number: int, percent: float, places: Sequence[PlannedDevice]) -> bool:
    stage = plan.stages[number]
    if stage.shadow and not (plan.shadow and plan.shadow.else_trial):
        return False
    if stage.percent is not None and stage.percent >= percent:
        return True
    known = Counter(place.target for place in places)
    opened = Counter(place.target for place in places if _opened(place, number, stage.shadow))
    return any(
        devices > LEAST_CANARIES and 100 * devices >= percent * known[target]
        for target, devices in opened.items()
    )


def _opened(place: PlannedDevice, number: int, shadow: bool) -> bool:
    """Returns whether the device's stage is this one, or one before."""
    its = place.shadow_stage if shadow else place.stage
    return its is not None and its <= number
