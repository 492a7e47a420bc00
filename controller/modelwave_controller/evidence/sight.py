"""What the stages of a plan will see on a fleet: the smallest harm that a stage finds, and the
smallest margin that it can judge, from what the devices measured before. Pure.

Both are those of a stage's last planned look (judge/needs.py), for each gate about a baseline:

    nobody measures it, or one device alone       nothing can be said
    the stage has too few canaries or controls    no margin can be judged
    otherwise                                     harm and margin, in the units of the gate

A gate whose margin is smaller is INCONCLUSIVE for more than 1 of 10 good releases. If the plan
names it, and holds then, it is `blind`: such a rollout stops in that stage however good it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, floor, log10
from typing import NamedTuple

from modelwave_controller.evidence.findings import is_named
from modelwave_controller.evidence.quantities import quantity_of
from modelwave_controller.judge import levels, needs
from modelwave_controller.judge.devices import NOTHING, SHARE, Observed, Quantity, Sums, freeze
from modelwave_controller.judge.looks import Budget
from modelwave_controller.judge.needs import Crowd
from modelwave_controller.phrases import plural
from modelwave_controller.results.starts import Sight
from modelwave_controller.rollout import course, planned_gates
from modelwave_controller.rollout.latency_edges import Edge
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.planned_gates import PlannedGate

NOBODY = "nobody measures it yet, so nothing can be said"


class Before(NamedTuple):
    """What a target's devices measured of a gate's quantity before a rollout. `halves`: of each
    that did, its sums in odd and in even windows; `share`: how many of all did; `rate`: labels or
    inferences of one device a second."""

    halves: Sequence[tuple[Sums, Sums]]
    share: float
    rate: float
    edge: Edge


class Arms(NamedTuple):
    """The devices of a target that run the new release in a stage, and those that do not yet."""

    canaries: int
    controls: int


def compared_gates(plan: Plan) -> list[tuple[int, PlannedGate]]:
    """Returns the gates about a baseline that looks judge and that may pass, each with its
    stage."""
    return [
        (number, gate)
        for number in range(len(plan.stages))
        if course.planned_looks(plan, number)
        for gate in plan.gates_of(number)
        if gate.kind in (planned_gates.DIFFERENCE, planned_gates.RATIO) and gate.may_fail
    ]


def sight(
    plan: Plan,
    number: int,
    gate: PlannedGate,
    before: Mapping[str, Before],
    arms: Mapping[str, Arms],
) -> Sight:
    """Returns what stage `number` will see by a gate. `before` and `arms` have every target."""
    quantity = quantity_of(gate, [one.edge for one in before.values()])
    looks = course.planned_looks(plan, number)
    seconds = looks[-1] * plan.judge.window_seconds
    crowds = {
        target: crowd
        for target, one in before.items()
        if (crowd := _crowd(one, arms[target], quantity, seconds))
    }
    canaries = sum(crowd.canaries for crowd in crowds.values())
    controls = sum(crowd.controls for crowd in crowds.values())
    allowance = course.margins(plan, number)
    allowed = allowance * quantity.margin_on_scale
    found = Sight(
        stage=number,
        whom=plan.stages[number].whom,
        gate=gate.text,
        canaries=canaries,
        controls=controls,
        allowed=quantity.shown(allowed),
        holds=plan.holds(number),
    )
    if not crowds:
        return replace(found, why=NOBODY)
    whole, each = levels.divided(course.budget(plan, number), len(before))
    last, all_together = len(looks) - 1, list(crowds.values())
    ahead, tail = needs.ahead(all_together), whole.to_pass(last)
    margin = needs.smallest_margin(ahead, tail) if ahead else None
    unseen = margin is None or allowed < margin
    return replace(
        found,
        smallest_harm=_harm(all_together, quantity, whole, last),
        smallest_margin=None if margin is None else quantity.shown(margin),
        least_margin=None if margin is None else _to_name(gate, quantity, margin / allowance),
        passes=needs.passes(ahead, allowed, tail) if ahead else None,
        why="" if ahead else _why_not(all_together),
        blind=unseen and found.holds and is_named(plan, number, gate),
        targets={
            target: _harm([crowds[target]] if target in crowds else [], quantity, each, last)
            for target in (before if len(before) > 1 else ())
        },
    )


def refusal(sights: Sequence[Sight]) -> str:
    """Returns why the plan must not start without a word from the operator: what is blind, and the
    remedies; "" if nothing is."""
    blind = [one for one in sights if one.blind]
    if not blind:
        return ""
    first, more = blind[0], len(blind) - 1
    others = f", nor {more} more that --dry-run shows" if more else ""
    where = f'stage {first.stage + 1} ({first.whom}) cannot judge "{first.gate}"{others}: '
    if first.passes is None:
        remedy = "Change the gate, or the devices that the stage opens"
        return f"{where}{first.why}, so it would hold. {remedy}{_ELSE}"
    arms = f"{first.canaries} canaries and {plural(first.controls, 'control')}"
    return (
        f"{where}a margin of {first.allowed:.3g} there holds {100 * (1 - first.passes):.0f} % of "
        f"good releases, as its {arms} can judge one of {first.smallest_margin:.3g}. "
        f"{_wider(blind, first.gate)}, more devices in the stage, a longer soak{_ELSE}"
    )


_ELSE = ', or inconclusive = "go on" in [judge]; --accept-blind REASON starts it as it is'


def _wider(blind: Sequence[Sight], gate: str) -> str:
    """Returns how to let the gate be judged in each stage, with two digits, rounded up."""
    least = [one.least_margin for one in blind if one.gate == gate]
    if None in least:
        return "Give the gate a wider margin"
    margin = max(one for one in least if one is not None)
    unit = 10.0 ** (floor(log10(margin)) - 1)
    return f"Give the gate a margin of at least {ceil(margin / unit - 1e-9) * unit:.2g}"


def _why_not(crowds: Sequence[Crowd]) -> str:
    if not any(crowd.spread or crowd.weight for crowd in crowds):
        return "all devices measured the same, which no look can judge"
    canaries, controls = sum(c.canaries for c in crowds), sum(c.controls for c in crowds)
    arms = f"{canaries} canaries and {plural(controls, 'control')}"
    return f"{arms} that measure it are too few to compare"


def _to_name(gate: PlannedGate, quantity: Quantity, margin: float) -> float | None:
    is_by_edge = gate.quantile > 0 and quantity.scale is SHARE
    return None if is_by_edge else quantity.shown(margin)


def _crowd(before: Before, arms: Arms, quantity: Quantity, seconds: float) -> Crowd | None:
    """Returns a target as the stage will find it after so many seconds; None if too few of its
    devices measure anything."""
    devices = [Observed(odd, even, NOTHING) for odd, even in before.halves]
    frozen, weight = freeze(devices), before.rate * seconds
    spread = needs.spread_ahead(devices, frozen, weight) if weight > 0 else None
    if spread is None:
        return None
    shares = (frozen.mean_before, weight) if quantity.scale is SHARE else (0.0, 0.0)
    return Crowd(
        round(arms.canaries * before.share), round(arms.controls * before.share), spread, *shares
    )


def _harm(crowds: list[Crowd], quantity: Quantity, budget: Budget, look: int) -> float | None:
    ahead = needs.ahead(crowds)
    if ahead is None:
        return None
    level, rises = budget.to_fail(look), not quantity.higher_is_better
    return quantity.shown(needs.smallest_harm(ahead, level, quantity.margin_on_scale, rises))
