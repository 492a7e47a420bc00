"""Computes what a device's report answers to an order. Pure."""

from typing import NamedTuple

from modelwave_controller.rollout.events import IN_PROGRESS
from modelwave_controller.rollout.slot_sets import contains
from modelwave_controller.trust.documents import ModelState
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
    device: str = ""
    quiet: bool = False


def answer(
    order: GivenOrder, device: str, target: str, slot: int, state: ModelState
) -> tuple[str, str] | None:
    """Returns (outcome or IN_PROGRESS, reason) of a device of `target` in `slot` to `order`; None
    if the order is not for the device. SUCCEEDED counts only if the ordered release is live,
    because it may open the next stage."""
    if state.epoch != order.epoch or state.seq != order.seq or target != order.target:
        return None
    if order.device not in ("", device) or not contains(order.slots, slot):
        return None
    if state.outcome == SUCCEEDED and state.sha256 != order.manifest:
        return IN_PROGRESS, CLAIM
    return state.outcome or IN_PROGRESS, state.reason


def says_nothing_new(order: GivenOrder, proved: str, outcome: str, state: ModelState) -> bool:
    """Returns whether an answer changes nothing in the log, of which the newest answer says that
    the device has proved the manifest `proved`: after a rollout each device gets an order for the
    release that it runs, and their answers would double the log."""
    goes_on = outcome in (SUCCEEDED, IN_PROGRESS) and state.sha256 == order.manifest
    return order.quiet and goes_on and proved == order.manifest
