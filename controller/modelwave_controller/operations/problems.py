"""Finds the devices of a rollout that did not succeed, and what each says about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelwave_controller.rollout import wanted
from modelwave_controller.rollout.events import IN_PROGRESS
from modelwave_controller.rollout.facts import Known, later, newest_answers, population_of
from modelwave_controller.rollout.state import Answer, Rollout, State, Wave
from modelwave_controller.storage.ahead import Comparison
from modelwave_controller.storage.devices import RefusalNote
from modelwave_shared.words import SUCCEEDED

# In place of an outcome:
SILENT = "silent"  # for a device without an answer
REFUSED = "refused"  # for one that refuses the order by its number

Answered = tuple[Wave, dict[str, Answer]]  # the answers by device


@dataclass(frozen=True)
class Problem:
    """A device that did not succeed, and the reason that it reported."""

    device: str
    outcome: str
    reason: str


def problems_of(
    state: State,
    rollout: Rollout,
    known: Known,
    refusals: Sequence[RefusalNote],
    compared: Comparison,
) -> list[Problem]:
    """Returns the devices that did not succeed, the newest stage first, a revert last; then those
    that refuse the orders, and silent ones that say why. `refusals` are what devices of the
    rollout's targets have refused."""
    waves = _answers(rollout, known)
    refusing = _refusing(rollout, compared)
    named = {one.device for one in refusing}
    silent = _silent(state, rollout, waves, refusals)
    return [*_unsuccessful(waves), *refusing, *(one for one in silent if one.device not in named)]


def _answers(rollout: Rollout, known: Known) -> list[Answered]:
    """Returns the devices' newest answers, the newest stage first, a revert last."""
    after_stages, after_back = later(rollout)
    waves: list[tuple[Wave, Wave | None]] = [(w, after_stages) for w in reversed(rollout.stages)]
    if rollout.back:
        waves.append((rollout.back, after_back))
    return [
        (wave, newest_answers(wave, population_of(wave, known), after)) for wave, after in waves
    ]


def _unsuccessful(waves: Sequence[Answered]) -> list[Problem]:
    """Returns the devices that answered, and did not succeed."""
    return [
        Problem(device, answer.outcome, answer.reason)
        for _, answers in waves
        for device, answer in answers.items()
        if answer.outcome not in (SUCCEEDED, IN_PROGRESS)
    ]


def _silent(
    state: State, rollout: Rollout, waves: Sequence[Answered], refusals: Sequence[RefusalNote]
) -> list[Problem]:
    """Returns the devices that have not answered to the rollout's order, if it is still their
    newest, and that report a refused message: such as an order in a format that they cannot read,
    to which they cannot answer otherwise."""
    found = []
    for refusal in refusals:
        place = (refusal.target, refusal.slot, refusal.device)
        desired = wanted.of(state, rollout.model, *place)
        for wave, answers in waves:
            ordered = any(
                desired is not None
                and order.release.manifest == desired.release.manifest
                and order.names(*place)
                for order in wave.orders
            )
            if ordered and refusal.device not in answers:
                found.append(Problem(refusal.device, SILENT, refusal.note))
    return found


def _refusing(rollout: Rollout, compared: Comparison) -> list[Problem]:
    """Returns the devices that refuse the rollout's orders, because they have taken a newer one
    that this controller does not know of."""
    orders = [order for wave in rollout.waves() for order in wave.orders]
    return [
        Problem(
            one.device,
            REFUSED,
            f"its order {one.seq} is newer than this controller's {compared.given}: this "
            f"controller is behind, `modelwave recover {rollout.model}`",
        )
        for one in compared.ahead
        if any(order.names(one.target, one.slot, one.device) for order in orders)
    ]
