"""What a plan will do, stage by stage: what is judged, when, and how strictly."""

from modelwave_controller.phrases import duration, plural
from modelwave_controller.results.starts import LintedStage
from modelwave_controller.rollout import course
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.planned_gates import PlannedGate


def linted(plan: Plan) -> list[LintedStage]:
    return [_stage(plan, number) for number in range(len(plan.stages))]


def _stage(plan: Plan, number: int) -> LintedStage:
    stage, looks = plan.stages[number], course.planned_looks(plan, number)
    gates = [_told(gate) for gate in plan.gates_of(number)] if looks else []
    gates += [course.SILENCE] if looks and stage.has_controls else []
    return LintedStage(
        stage=number + 1,
        whom=stage.whom,
        soak=duration(stage.soak_seconds),
        opens=_opens(plan, number),
        gates=[*gates, _roll_backs(plan, number)],
        looks=[_moment(plan, windows) for windows in looks],
        margins=course.margins(plan, number),
        at_the_end=_end(plan, number) if looks else "",
        why="" if looks else _why_not(plan, number),
        approval=stage.approval,
        by_another=stage.asks_another,
    )


def _told(gate: PlannedGate) -> str:
    return gate.text if gate.may_fail else f"{gate.text} (by tables of reliability; may only HOLD)"


def _opens(plan: Plan, number: int) -> str:
    rate = plan.rate_of(number)
    pace = f"{rate:,} devices a minute" if rate else "all at once"
    if plan.maintenance is None or not plan.waits_for_windows(number):
        return pace
    windows = f"{', '.join(plan.maintenance.windows)} ({plan.maintenance.timezone})"
    return f"{pace}; with devices that do not judge maintenance windows only in {windows}"


def _moment(plan: Plan, windows: int) -> str:
    seconds = windows * plan.judge.window_seconds + plan.judge.grace_seconds
    return f"{duration(seconds)} (after {plural(windows, 'window')})"


def _end(plan: Plan, number: int) -> str:
    if plan.stages[number].shadow and plan.may_hold and plan.gates_of(number):
        rest = "INCONCLUSIVE holds" if plan.holds(number) else "INCONCLUSIVE goes on"
        return f"{rest}; it holds where nothing was compared"
    if plan.holds(number):
        return "INCONCLUSIVE holds, with further looks after 2, 4 … soaks"
    return "INCONCLUSIVE goes on"


def _why_not(plan: Plan, number: int) -> str:
    stage = plan.stages[number]
    if stage.soak_seconds < plan.judge.window_seconds:
        return f"its soak is shorter than a window of {duration(plan.judge.window_seconds)}"
    return "it has no controls, and no gate that is a fixed limit"


def _roll_backs(plan: Plan, number: int) -> str:
    most = plan.stages[number].max_rolled_back_percent
    return "roll-backs, by evidence" if most is None else f"roll-backs, at most {most:g} %"


def lines(stages: list[LintedStage]) -> list[str]:
    """Returns the stages in words."""
    found = []
    for stage in stages:
        found.append(f"stage {stage.stage} ({stage.whom}), soak {stage.soak}")
        found.append(f"  opens:  {stage.opens}")
        if stage.approval:
            check = "" if stage.approval is True else f": {stage.approval}"
            by = " by another than who started it" if stage.by_another else ""
            found.append(f"  opens after approval{by}{check}")
        found.append(f"  judged: {', '.join(stage.gates)}")
        if not stage.looks:
            found.append(f"  no looks at what devices measure: {stage.why}")
            continue
        found.append(f"  looks:  {', '.join(stage.looks)}")
        within = "the margin" if stage.margins == 1 else f"{stage.margins} margins"
        found.append(f"  passes within {within}; {stage.at_the_end}")
    return found
