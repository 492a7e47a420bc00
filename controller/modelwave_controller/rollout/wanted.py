"""Finds which orders the devices should have, and which of them can be put together. Pure."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from modelwave_controller.rollout.state import Rollout, State, Wanted
from modelwave_shared.limits import SLOTS


class Settled(NamedTuple):
    """A target of which all slots want one release, by several orders: one order for all of them
    says the same. `newest` is the newest of them."""

    model: str
    target: str
    newest: Wanted


def of(state: State, model: str, target: str, slot: int, device: str) -> Wanted | None:
    """Returns the newest order for a device of `target` in `slot`; None if there is none."""
    alone = state.alone.get(model, {}).get(device)
    if alone and (alone.target, alone.slot) == (target, slot):
        return alone.wanted
    return state.desired.get((model, target), {}).get(slot)


def standing_for(state: State, model: str, target: str) -> list[Wanted]:
    """Returns the newest order of each slot of the target, and of each device with one of its
    own."""
    alone = state.alone.get(model, {}).values()
    of_devices = [one.wanted for one in alone if one.target == target]
    return [*state.desired.get((model, target), {}).values(), *of_devices]


def settled(state: State) -> Iterator[Settled]:
    """Yields the targets whose rollouts are over, and which many orders are not needed for."""
    for (model, target), slots in state.desired.items():
        if len(slots) < SLOTS or not _is_over(state, model, target):
            continue
        found = {wanted.seq: wanted for wanted in slots.values()}
        newest = found[max(found)]
        manifests = {wanted.release.manifest for wanted in found.values()}
        if len(found) > 1 and len(manifests) == 1:
            yield Settled(model, target, newest)


def _is_over(state: State, model: str, target: str) -> bool:
    """Returns whether no rollout of the model for the target changes anything by itself."""
    of_model: Iterator[Rollout] = (r for r in state.rollouts.values() if r.model == model)
    return all(
        not r.not_understood and (r.over or target not in r.created.releases) for r in of_model
    )


def standing(state: State) -> dict[str, set[int]]:
    """Returns {model: numbers of the orders for slots that stand} of the targets whose rollouts are
    over."""
    found: dict[str, set[int]] = {}
    for (model, target), slots in state.desired.items():
        if _is_over(state, model, target):
            found.setdefault(model, set()).update(wanted.seq for wanted in slots.values())
    return found


def parts(
    state: State, model: str, only: Collection[int] | None
) -> Iterator[tuple[str, Wanted, list[int]]]:
    """Yields (target, order, slots) of the orders for slots of the model, the oldest first; `only`
    those with these numbers. The slots are those that have no newer order."""
    for (of_model, target), slots in state.desired.items():
        if of_model != model:
            continue
        found: dict[Wanted, list[int]] = {}
        for slot, order in slots.items():
            if only is None or order.seq in only:
                found.setdefault(order, []).append(slot)
        for order in sorted(found):
            yield target, order, sorted(found[order])
