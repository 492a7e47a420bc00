"""Computes what a device's report answers to an order. Pure."""

from typing import NamedTuple

from modelwave_controller.rollout.events import IN_PROGRESS
from modelwave_controller.trust.documents import ModelState
from modelwave_shared import slots
from modelwave_shared.words import SUCCEEDED

CLAIM = "says SUCCEEDED, but another release is live"


class GivenOrder(NamedTuple):
    """The fields of a published order that answers are compared with."""

    rollout: int
    model: str
    seq: int
    epoch: int
    target: str
    manifest: str
    slots: list[list[int]]


def answer(order: GivenOrder, target: str, slot: int, state: ModelState) -> tuple[str, str] | None:
    """Returns (outcome or IN_PROGRESS, reason) of a device of `target` in `slot` for `order`; None
    if the order is not for the device. SUCCEEDED counts only if the ordered release is live,
    because it may open the next stage."""
    if state.epoch != order.epoch or state.seq != order.seq or target != order.target:
        return None
    if not slots.contains(order.slots, slot):
        return None
    if state.outcome == SUCCEEDED and state.sha256 != order.manifest:
        return IN_PROGRESS, CLAIM
    return state.outcome or IN_PROGRESS, state.reason
