"""Computes the facts for `decide` from a rollout's state and the known devices."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelwave_controller.rollout import cohorts, formats, state
from modelwave_controller.rollout.decide import Facts, StageFacts
from modelwave_controller.rollout.events import IN_PROGRESS
from modelwave_controller.rollout.formats import Reader
from modelwave_controller.rollout.gates import NOBODY, Counts
from modelwave_controller.rollout.state import Rollout, Wave
from modelwave_shared.words import CANCELED, FAILED, REJECTED, ROLLED_BACK, SUCCEEDED


@dataclass(frozen=True)
class Known:
    """The devices that have reported."""

    counts: Mapping[str, Mapping[int, int]]  # {target: {slot: known devices}}
    # The devices that cannot read every format that this program may write.
    behind: Sequence[Reader] = ()


def facts(rollout: Rollout, known: Known) -> Facts:
    stages = tuple(
        StageFacts(
            opened_at=stage.at,
            waiting_since=stage.waiting_since,
            counts=count_answers(stage, known),
            failed=state.failed(stage),
            accepted=stage.accepted,
        )
        for stage in rollout.stages
    )
    return Facts(
        stages=stages,
        paused=rollout.status == state.PAUSED,
        held=rollout.status == state.HELD and rollout.held_by == "gate",
        held_by_format=rollout.status == state.HELD and rollout.held_by == "format",
        unreadable=tuple(_unreadable(rollout, known)),
        revert_asked=rollout.revert_asked,
        back_at=rollout.back.at if rollout.back else None,
        back=count_answers(rollout.back, known) if rollout.back else NOBODY,
    )


def next_slots(rollout: Rollout, known: Known) -> dict[str, list[int]]:
    """Returns the slots that the rollout's next stage opens, by target; {} after the last stage."""
    created, number = rollout.created, len(rollout.stages)
    if number == len(created.plan.stages):
        return {}
    found = {}
    for target in sorted(created.releases):
        counts, old = known.counts.get(target, {}), rollout.width(target)
        percent = created.plan.stages[number].percent
        new = cohorts.widen(counts, created.start_slot, old, percent)
        found[target] = cohorts.opened(created.start_slot, old, new)
    return found


def _unreadable(rollout: Rollout, known: Known) -> list[str]:
    if not known.behind:
        return []
    slots = {target: set(opened) for target, opened in next_slots(rollout, known).items()}
    return formats.unreadable(known.behind, rollout.created.releases, slots)


def count_answers(wave: Wave, known: Known) -> Counts:
    """Counts the known devices in the wave's slots by their answers; devices that joined after
    the order was sent count too."""
    found = Counter(answer.outcome for answer in wave.answers.values())
    devices = sum(
        cohorts.count_devices(known.counts.get(o.target, {}), o.slots) for o in wave.orders
    )
    return Counts(
        # Answers count also from devices that were forgotten or have another target now.
        devices=max(devices, found.total()),
        in_progress=found[IN_PROGRESS],
        succeeded=found[SUCCEEDED],
        rolled_back=found[ROLLED_BACK],
        failed=found[FAILED],
        rejected=found[REJECTED],
        canceled=found[CANCELED],
    )
