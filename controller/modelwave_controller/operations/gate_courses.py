"""How each gate of a rollout was judged, look after look, for a page that a person can file. It is
bounded, whatever the plan and the fleet are."""

from collections.abc import Sequence

from modelwave_controller.judge.verdicts import rank
from modelwave_controller.operations.judged import gate_rows
from modelwave_controller.operations.worst import worst_targets
from modelwave_controller.results.report import GateCourse, GateLook
from modelwave_controller.results.rollouts import GateRow
from modelwave_controller.rollout import planned_gates
from modelwave_controller.rollout.events import Finding
from modelwave_controller.rollout.planned_gates import parse_gate
from modelwave_controller.rollout.state import Rollout

MAX_COURSES = 16  # gates: those that failed, those that have not passed, then in the plan's order
MAX_LOOKS = 40  # of a gate; of more, the last one of each stage
MAX_TARGETS = 8  # of a gate, in the newest stage that was judged


def gate_courses(rollout: Rollout) -> tuple[list[GateCourse], int]:
    """Returns the courses of at most MAX_COURSES gates, and how many are left out."""
    if rollout.not_understood:
        return [], 0
    rows = gate_rows(rollout)
    gates = list(dict.fromkeys(row.gate for row in rows))
    found = [_course(rollout, gate, [row for row in rows if row.gate == gate]) for gate in gates]
    found.sort(key=lambda one: rank(one.verdict))
    return found[:MAX_COURSES], max(0, len(found) - MAX_COURSES)


def _course(rollout: Rollout, gate: str, rows: Sequence[GateRow]) -> GateCourse:
    looks = [
        _look(number, look.windows, finding)
        for number, stage in enumerate(rollout.stages, 1)
        for look in stage.looks
        for finding in look.findings
        if finding.gate == gate and not finding.target
    ]
    kept = looks
    if len(looks) > MAX_LOOKS:
        kept = list({look.stage: look for look in looks}.values())
    stages = [row for row in rows if not row.target]
    newest = max(row.stage for row in rows)
    targets, more = worst_targets([r for r in rows if r.stage == newest], gate, MAX_TARGETS)
    is_limit, worse_is_less = _kind(gate)
    return GateCourse(
        gate=gate,
        verdict=stages[-1].verdict if stages else "",
        is_limit=is_limit,
        worse_is_less=worse_is_less,
        looks=kept,
        more_looks=len(looks) - len(kept),
        stages=stages,
        targets=targets,
        more_targets=more,
    )


def _kind(gate: str) -> tuple[bool, bool]:
    """Returns whether the gate is a limit, and whether less of what is shown is worse."""
    try:
        planned = parse_gate(gate)
    except ValueError:  # silence, or one of a newer program
        return False, False
    is_limit = planned.kind == planned_gates.LIMIT
    return is_limit, is_limit and planned.higher_is_better


def _look(stage: int, windows: int, finding: Finding) -> GateLook:
    return GateLook(
        stage=stage,
        windows=windows,
        verdict=finding.verdict,
        harm=finding.harm,
        low=finding.low,
        high=finding.high,
        margin=finding.margin,
        canaries=finding.canaries,
        controls=finding.controls,
    )
