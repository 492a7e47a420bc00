"""From the folded log and the known devices to what `decide` decides upon."""

from collections import Counter
from collections.abc import Mapping

from modelwave_controller.rollout import cohorts, state
from modelwave_controller.rollout.decide import Facts, StageFacts
from modelwave_controller.rollout.events import IN_PROGRESS
from modelwave_controller.rollout.gates import NOBODY, Counts
from modelwave_controller.rollout.state import Rollout, Wave
from modelwave_shared.words import CANCELED, FAILED, REJECTED, ROLLED_BACK, SUCCEEDED

Known = Mapping[str, Mapping[int, int]]  # {target: {slot: known devices}}


def facts(rollout: Rollout, known: Known) -> Facts:
    stages = tuple(
        StageFacts(
            opened_at=stage.at,
            waiting_since=stage.waiting_since,
            counts=count(stage, known),
            failed=state.failed(stage),
            accepted=stage.accepted,
        )
        for stage in rollout.stages
    )
    return Facts(
        stages=stages,
        paused=rollout.status == state.PAUSED,
        held=rollout.status == state.HELD,
        revert_asked=rollout.revert_asked,
        back_at=rollout.back.at if rollout.back else None,
        back=count(rollout.back, known) if rollout.back else NOBODY,
    )


def count(wave: Wave, known: Known) -> Counts:
    """The devices known now in the wave's slots: who joined later counts too."""
    found = Counter(answer.outcome for answer in wave.answers.values())
    devices = sum(cohorts.count(known.get(o.target, {}), o.slots) for o in wave.orders)
    return Counts(
        # A device that was forgotten, or is another target now, has answered all the same.
        devices=max(devices, found.total()),
        in_progress=found[IN_PROGRESS],
        succeeded=found[SUCCEEDED],
        rolled_back=found[ROLLED_BACK],
        failed=found[FAILED],
        rejected=found[REJECTED],
        canceled=found[CANCELED],
    )
