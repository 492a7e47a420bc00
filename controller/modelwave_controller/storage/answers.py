"""What a report answers to an order. Pure."""

from typing import NamedTuple

from modelwave_controller.rollout.events import IN_PROGRESS
from modelwave_controller.trust.documents import ModelState
from modelwave_shared import slots
from modelwave_shared.words import SUCCEEDED

CLAIM = "says SUCCEEDED, but another release is live"


class GivenOrder(NamedTuple):
    """An order that was given out, as far as answers are held against it."""

    rollout: int
    model: str
    seq: int
    epoch: int
    target: str
    manifest: str
    slots: list[list[int]]


def answer(order: GivenOrder, target: str, slot: int, state: ModelState) -> tuple[str, str] | None:
    """(outcome or IN_PROGRESS, reason): what a device of `target` in `slot` says to `order`;
    None if the order was not for it. SUCCEEDED counts only with the ordered release live:
    the next stage may open upon it."""
    if state.epoch != order.epoch or state.seq != order.seq or target != order.target:
        return None
    if not slots.contains(order.slots, slot):
        return None
    if state.outcome == SUCCEEDED and state.sha256 != order.manifest:
        return IN_PROGRESS, CLAIM
    return state.outcome or IN_PROGRESS, state.reason
