"""Finds which orders the devices should have, and which of them can be put together. Pure."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from modelwave_controller.rollout.numbers import Number
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
        found = {wanted.number: wanted for wanted in slots.values()}
        if any(wanted.shadow for wanted in found.values()):
            continue  # an order for all would let the release answer
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


def standing(state: State) -> dict[str, set[Number]]:
    """Returns {model: numbers of the orders for slots that stand} of the targets whose rollouts are
    over."""
    found: dict[str, set[Number]] = {}
    for (model, target), slots in state.desired.items():
        if _is_over(state, model, target):
            found.setdefault(model, set()).update(wanted.number for wanted in slots.values())
    return found


def over_in_shadow(state: State) -> list[Rollout]:
    """Returns the rollouts that are over, and of which orders still stand to run the release beside
    the live one."""
    slots = (wanted for held in state.desired.values() for wanted in held.values())
    alone = (one.wanted for held in state.alone.values() for one in held.values())
    found = {wanted.rollout for wanted in (*slots, *alone) if wanted.shadow}
    rollouts = (state.rollouts[number] for number in sorted(found))
    return [r for r in rollouts if r.over and not state.obstacle(r.model, r.id)]


def slots_in_shadow(state: State, rollout: Rollout, target: str) -> list[int]:
    """Returns the slots whose newest order is a shadow order of the rollout."""
    held = state.desired.get((rollout.model, target), {})
    return sorted(s for s, w in held.items() if w.shadow and w.rollout == rollout.id)


def devices_in_shadow(state: State, rollout: Rollout, target: str) -> list[tuple[int, str]]:
    """Returns (slot, id) of the devices whose own newest order is a shadow order of the rollout."""
    held = state.alone.get(rollout.model, {})
    return sorted(
        (one.slot, device)
        for device, one in held.items()
        if one.target == target and one.wanted.shadow and one.wanted.rollout == rollout.id
    )


def parts(
    state: State, model: str, only: Collection[Number] | None
) -> Iterator[tuple[str, Wanted, list[int]]]:
    """Yields (target, order, slots) of the orders for slots of the model, the oldest first; `only`
    those with these numbers. The slots are those that have no newer order."""
    for (of_model, target), slots in state.desired.items():
        if of_model != model:
            continue
        found: dict[Wanted, list[int]] = {}
        for slot, order in slots.items():
            if only is None or order.number in only:
                found.setdefault(order, []).append(slot)
        for order in sorted(found, key=lambda wanted: wanted.number):
            yield target, order, sorted(found[order])


def alone_parts(
    state: State, model: str, only: Collection[Number] | None
) -> Iterator[tuple[str, str, int, Wanted]]:
    """Yields (device, target, slot, order) of the devices whose own order has to be signed anew
    when the orders of `parts` are: those that say another thing than their slot's order, which
    takes their place if it is signed anew, and those whose number is in `only`."""
    for device, found in sorted(state.alone.get(model, {}).items()):
        order = found.wanted
        slot = state.desired.get((model, found.target), {}).get(found.slot)
        same = slot is not None and (slot.release, slot.shadow) == (order.release, order.shadow)
        wins = slot is not None and (only is None or slot.number in only)
        if (wins and not same) or (not wins and (only is None or order.number in only)):
            yield device, found.target, found.slot, order
