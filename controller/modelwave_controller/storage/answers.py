"""Computes what a device's report answers to an order. Pure."""

from typing import NamedTuple

from modelwave_controller.rollout.events import IN_PROGRESS
from modelwave_controller.rollout.slot_sets import contains
from modelwave_controller.trust.documents import ModelState
from modelwave_shared.words import REJECTED, SHADOWED, SUCCEEDED

CLAIM = "says SUCCEEDED, but another release is live"
NO_SHADOW = "says SHADOWED, but was not ordered to run the release beside the live one"

MAX_WENT_ON = 3  # times that a device goes on with an order after it refused it; each is an event


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
    shadow: bool = False


def answer(
    order: GivenOrder, device: str, target: str, slot: int, state: ModelState
) -> tuple[str, str] | None:
    """Returns (outcome or IN_PROGRESS, reason) of a device of `target` in `slot` to `order`; None
    if the order is not for the device. SUCCEEDED counts only if the ordered release is live,
    because it may open the next stage; SHADOWED only if that was ordered."""
    if state.epoch != order.epoch or state.seq != order.seq or target != order.target:
        return None
    if order.device not in ("", device) or not contains(order.slots, slot):
        return None
    if state.outcome == SUCCEEDED and state.sha256 != order.manifest:
        return IN_PROGRESS, CLAIM
    if state.outcome == SHADOWED and not order.shadow:
        return IN_PROGRESS, NO_SHADOW
    return state.outcome or IN_PROGRESS, state.reason


def says_nothing_new(order: GivenOrder, proved: str, outcome: str, state: ModelState) -> bool:
    """Returns whether an answer changes nothing in the log, of which the newest answer says that
    the device has proved the manifest `proved`: after a rollout each device gets an order for the
    release that it runs, and their answers would double the log."""
    goes_on = outcome in (SUCCEEDED, IN_PROGRESS) and state.sha256 == order.manifest
    return order.quiet and goes_on and proved == order.manifest


def went_on(times: int, before: str, outcome: str) -> int:
    """Returns how often a device has gone on with an order that it had refused, after an answer;
    `times`: before it, `before`: the outcome that it reported then for the order. Above MAX_WENT_ON
    the log says that the order is refused, and neither going on nor refusing it is an event, as a
    device that lacks a few bytes may do both forever."""
    if outcome not in (IN_PROGRESS, REJECTED):
        return 0
    is_new = outcome == IN_PROGRESS and before == REJECTED
    return times + 1 if is_new and times <= MAX_WENT_ON else times
