"""What a plan would do to a good release and to worse ones, on simulated fleets of a size.

The plan's own stages, looks, allowances and error are played (playing.py), with the judge's code.
One gate is judged, the plan's about accuracy; all others, silence among them, pass, and have their
part of the error. Where a gate holds, the first FURTHER_LOOKS further looks follow, after twice and
four times the soak; what still holds then counts as held.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import fsum
from random import Random
from typing import NamedTuple

from modelwave_controller.evidence.findings import compared, limited, occasion_of
from modelwave_controller.evidence.fleets import Drift, SimulatedTarget, World
from modelwave_controller.evidence.playing import Ended, play
from modelwave_controller.evidence.quantities import quantity_of
from modelwave_controller.judge.looks import extension
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.rollout import cohorts, course, planned_gates
from modelwave_controller.rollout.events import Finding
from modelwave_controller.rollout.plan import DEFAULT_GATES, Plan, Stage
from modelwave_controller.rollout.planned_gates import ACCURACY, PlannedGate
from modelwave_shared.limits import SLOTS

FURTHER_LOOKS = 2
HARMS = (0.0, 0.01, 0.02, 0.05, 0.10)


class Played(NamedTuple):
    """How a rollout ended, and the share of the fleet that was open then."""

    ended: Ended
    open: float


class Outcomes(NamedTuple):
    """What so many rollouts of a release that is worse by `harm` came to; `often`: the stage, from
    0, and the windows of it after which most of those that did not finish ended, and how many."""

    harm: float
    runs: int
    finished: int
    held: int
    failed: int
    open: float
    often: tuple[int, int, int] | None


def with_accuracy(plan: Plan) -> tuple[Plan, str]:
    """Returns the plan and, if it had no gate about accuracy, the default one that it got."""
    if any(accuracy_gate(plan, number) for number in range(len(plan.stages))):
        return plan, ""
    gate = DEFAULT_GATES[0]
    stages = [
        stage
        if stage.gates is None or stage.shadow
        else stage.model_copy(update={"gates": (*stage.gates, gate)})
        for stage in plan.stages
    ]
    gates = (*(plan.gates or ()), gate)
    return plan.model_copy(update={"gates": gates, "stages": tuple(stages)}), gate


def accuracy_gate(plan: Plan, number: int) -> PlannedGate | None:
    return next((gate for gate in plan.gates_of(number) if gate.name == ACCURACY), None)


def opened(plan: Plan, devices: Mapping[str, int]) -> list[dict[str, int]]:
    """Returns how many devices of each target each stage has opened to let the release answer, as
    the service would. The devices of a stage that names some are of the largest target, and those
    of its tags are as many as the plan's least_devices."""
    largest = max(devices, key=lambda target: devices[target])
    open_now, widths = dict.fromkeys(devices, 0), dict.fromkeys(devices, 0)
    counts = {target: _slots(number) for target, number in devices.items()}
    found = []
    for stage in plan.stages:
        if stage.shadow:
            found.append(dict(open_now))
            continue
        if stage.percent is None:
            more = open_now[largest] + _named(stage, plan.judge.least_devices)
            open_now[largest] = min(more, devices[largest])
        for target, slots in counts.items() if stage.percent else ():
            least = plan.judge.least_devices
            width = cohorts.widen(slots, range(SLOTS), widths[target], stage.percent or 0, least)
            widths[target] = width
            inside = cohorts.count_devices(slots, [[0, width - 1]])
            open_now[target] = max(open_now[target], inside)
        found.append(dict(open_now))
    return found


def _named(stage: Stage, of_tags: int) -> int:
    return len(stage.devices) + (of_tags if stage.tags else 0)


def _slots(devices: int) -> Counter[int]:
    """Returns the devices of a target by slot, as even as they can be."""
    return Counter(number * SLOTS // devices for number in range(devices))


def _lengths(plan: Plan) -> list[int]:
    """Returns how many windows each stage may last, with its further looks. The next one begins
    after them, held or not."""
    stages = enumerate(plan.stages)
    looks = [() if stage.shadow else course.planned_looks(plan, n) for n, stage in stages]
    further = [FURTHER_LOOKS if plan.holds(number) else 0 for number in range(len(plan.stages))]
    return [extension(of[-1], n) if of else 0 for of, n in zip(looks, further, strict=True)]


class Rollout:
    """One simulated rollout. Equal seeds give equal ones, the same fleet for each harm."""

    def __init__(self, plan: Plan, world: World, harm: float, seed: str) -> None:
        chance = Random(seed)
        self.plan, self.harm, self.seed = plan, harm, chance.getrandbits(32)
        self.opened = opened(plan, world.devices)
        *self.begins, end = accumulate(_lengths(plan), initial=world.before)
        drift = Drift(chance, end)
        self.targets = {
            target: SimulatedTarget(chance, world, number, drift)
            for target, number in world.devices.items()
        }
        self._seen = 0  # windows of the stage

    def play(self) -> Played:
        ended = play(self.plan, self._judged, FURTHER_LOOKS)
        if ended.word == PASS:
            return Played(ended, 1.0)
        here, everyone = self.opened[ended.stage], self.opened[-1]
        return Played(ended, sum(here.values()) / sum(everyone.values()))

    def _judged(self, number: int, look: int, windows: int) -> Sequence[Finding]:
        here, gate = self.opened[number], accuracy_gate(self.plan, number)
        if look == 0:
            self._seen = 0
            for fleet in self.targets.values():
                fleet.begin()
        first = self.begins[number] + self._seen
        for target, fleet in self.targets.items():
            fleet.observe(first, windows - self._seen, here[target], self.harm)
        self._seen = windows
        if gate is None:
            return []
        quantity = quantity_of(gate, ())
        occasion = occasion_of(self.plan, number, look, windows, self.seed)
        if gate.kind == planned_gates.LIMIT:
            ours = [o for t, fleet in self.targets.items() for o in fleet.observed()[: here[t]]]
            return [limited(gate, quantity, ours, occasion)]
        pairs = {target: fleet.pair(here[target]) for target, fleet in self.targets.items()}
        return compared(gate, quantity, pairs, occasion)


def outcomes(harm: float, played: Sequence[Played]) -> Outcomes:
    """Sums up the rollouts of a release, of which there is at least one."""
    words = Counter(one.ended.word for one in played)
    stopped = Counter(
        (one.ended.stage, one.ended.windows) for one in played if one.ended.word != PASS
    )
    often = None
    if stopped:
        (stage, windows), number = min(stopped.items(), key=lambda row: (-row[1], row[0]))
        often = (stage, windows, number)
    open_share = fsum(one.open for one in played) / len(played)
    return Outcomes(
        harm, len(played), words[PASS], words[INCONCLUSIVE], words[FAIL], open_share, often
    )
