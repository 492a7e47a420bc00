"""Computes the facts for `decide` from a rollout's state and the known devices.

What it asks about these is a `Population`: `Known` answers from the devices' ids, and what the
service uses from counters (storage/counted.py), as its ticks must not go through the fleet.

The population of a wave is a set of device ids: the devices of its targets in its slots that
report the model, and those that have answered with an outcome. So

- a device that was forgotten still counts, once, if it has answered, and otherwise not;
- a device of the target that does not report the model is neither counted nor waited for.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from modelwave_controller.rollout import cohorts, course, formats, shadow_course, state, waiting
from modelwave_controller.rollout.decide import Facts, StageFacts
from modelwave_controller.rollout.events import IN_PROGRESS, Looked, OrderSent, Release, WaveCounts
from modelwave_controller.rollout.formats import Reader, Unreadable
from modelwave_controller.rollout.gates import Counts, Gate
from modelwave_controller.rollout.pace import Part, Place, first_part
from modelwave_controller.rollout.plan import Stage
from modelwave_controller.rollout.slot_sets import numbers_in
from modelwave_controller.rollout.state import Answer, Rollout, StageState, Wave
from modelwave_shared.words import (
    CANCELED,
    DEFERRED,
    FAILED,
    REJECTED,
    ROLLED_BACK,
    SHADOWED,
    SUCCEEDED,
)

# {answer: its field in Counts}
_WORDS = {
    IN_PROGRESS: "in_progress",
    DEFERRED: "deferred",
    SUCCEEDED: "succeeded",
    SHADOWED: "shadowed",
    ROLLED_BACK: "rolled_back",
    FAILED: "failed",
    REJECTED: "rejected",
    CANCELED: "canceled",
}


class Population(Protocol):
    """The devices that report a rollout's model, as facts about it need them."""

    def counts(self, target: str) -> Mapping[int, int]:
        """Returns {slot: number of devices}."""
        ...

    def answers(self, rollout: Rollout, stage: int | None) -> Counts:
        """Counts the answers to the orders of a stage, or of the revert (None)."""
        ...

    def places(
        self, targets: Collection[str], names: Collection[str]
    ) -> list[tuple[str, int, str]]:
        """Returns (target, slot, id) of those of the devices that are of these targets, sorted."""
        ...

    def reads(self, target: str, slots: Collection[int]) -> Iterable[Mapping[str, int]]:
        """Returns what the devices in these slots read that cannot read every format."""
        ...

    def readers(self, names: Collection[str]) -> dict[str, Reader]:
        """Returns those of the devices that cannot read every format."""
        ...

    def unreadable(
        self,
        releases: Mapping[str, Release],
        slots: Mapping[str, Collection[int]],
        names: Collection[str] | None = None,
    ) -> Unreadable:
        """Returns which devices in these slots (by target) cannot read the releases' orders and
        manifests; `names`: of these devices only."""
        ...

    def is_timeless(self, place: Place) -> bool:
        """Returns whether a device there does not judge maintenance windows by itself."""
        ...


@dataclass(frozen=True)
class Known:
    """The devices that report a rollout's model, by id."""

    devices: Mapping[str, Mapping[int, Sequence[str]]]  # {target: {slot: device ids}}
    # The devices that cannot read every format that this program may write.
    behind: Sequence[Reader] = ()
    # As `devices`: those that do not judge maintenance windows by themselves. Only with a rollout
    # whose plan has such windows.
    timeless: Mapping[str, Mapping[int, Sequence[str]]] = field(default_factory=dict)

    def counts(self, target: str) -> dict[int, int]:
        """Returns {slot: number of devices}."""
        return {slot: len(ids) for slot, ids in self.devices.get(target, {}).items()}

    def answers(self, rollout: Rollout, stage: int | None) -> Counts:
        after_stages, after_back = later(rollout)
        if stage is not None:
            return count_answers(rollout.stages[stage], self, after_stages)
        assert rollout.back is not None, "it was reverted"
        return count_answers(rollout.back, self, after_back)

    def places(
        self, targets: Collection[str], names: Collection[str]
    ) -> list[tuple[str, int, str]]:
        wanted = set(names)
        return sorted(
            (target, slot, device)
            for target in targets
            for slot, ids in self.devices.get(target, {}).items()
            for device in wanted.intersection(ids)
        )

    def reads(self, target: str, slots: Collection[int]) -> Iterator[Mapping[str, int]]:
        return (one.reads for one in self.behind if one.target == target and one.slot in slots)

    def readers(self, names: Collection[str]) -> dict[str, Reader]:
        return {one.device: one for one in self.behind if one.device in names}

    def unreadable(
        self,
        releases: Mapping[str, Release],
        slots: Mapping[str, Collection[int]],
        names: Collection[str] | None = None,
    ) -> Unreadable:
        readers = [one for one in self.behind if names is None or one.device in names]
        return formats.unreadable(readers, releases, slots)

    def is_timeless(self, place: Place) -> bool:
        ids = self.timeless.get(place.target, {}).get(place.slot, ())
        return bool(ids) and place.device in ("", *ids)

    def of(self, targets: Iterable[str]) -> set[str]:
        """Returns the devices of these targets."""
        slots = (self.devices.get(target, {}) for target in targets)
        return {device for its in slots for ids in its.values() for device in ids}

    def inside(self, order: OrderSent) -> Iterator[tuple[int, str]]:
        """Yields the devices that the order is for, with their slots."""
        slots = self.devices.get(order.target, {})
        for slot in numbers_in(order.slots):
            ids = slots.get(slot, ())
            yield from ((slot, i) for i in ids if order.device in ("", i))


def facts(
    rollout: Rollout,
    known: Population,
    doubt: str = "",
    numbers_doubt: str = "",
    wall: float = inf,
    key_away: str = "",
) -> Facts:
    """Returns the facts about a rollout. The doubts, about the clock and the numbers of orders, say
    why the controller must not sign now, `key_away` why it cannot; `wall` is what the wall clock
    shows, in Unix seconds (inf: neither its start time nor its maintenance windows are judged)."""
    counted = [known.answers(rollout, number) for number in range(len(rollout.stages))]
    unreadable = _unreadable(rollout, known)
    stages = tuple(
        StageFacts(
            soaking_since=stage.soaking_since,
            waiting_since=stage.waiting_since,
            counts=found,
            failed=state.failed(stage),
            accepted=stage.accepted,
            looked=_looked(rollout, number, found),
            look_at=course.awaited(rollout.created.plan, number, stage),
            rest=stage.rest,
            promoted=stage.promoted is not None,
            overruled=stage.overruled.rolled_back if stage.overruled else 0,
        )
        for number, (stage, found) in enumerate(zip(rollout.stages, counted, strict=True))
    )
    return Facts(
        stages=stages,
        paused=rollout.status == state.PAUSED,
        held=rollout.status == state.HELD and rollout.held_by == "gate",
        held_by_format=rollout.status == state.HELD and rollout.held_by == "format",
        held_by_nobody=rollout.status == state.HELD and rollout.held_by == "nobody",
        unknown=tuple(_unknown(rollout, known)),
        unreadable=unreadable.texts,
        more_unreadable=unreadable.more,
        closed="" if wall == inf else _closed(rollout, known, wall),
        approval=waiting.approval(rollout),
        start=waiting.start(rollout, wall),
        reordering=len(rollout.retry),
        revert_asked=rollout.revert_asked,
        back=known.answers(rollout, None) if rollout.back else None,
        back_since=rollout.back.waiting_since if rollout.back else None,
        doubt=doubt,
        numbers_doubt=numbers_doubt,
        key_away=key_away,
        rollout=rollout.id,
    )


def _looked(rollout: Rollout, number: int, counts: Counts) -> Gate | None:
    plan, looks = rollout.created.plan, _counting(rollout.stages[number])
    if plan.stages[number].shadow:
        return shadow_course.looked(plan, number, looks, counts)
    return course.looked(plan, number, looks)


def next_part(rollout: Rollout, known: Population) -> Part:
    """Returns what the rollout opens next: its next stage, or a part of it, if the plan says so."""
    places: dict[str, list[Place]] = {}
    for target, slots in next_slots(rollout, known).items():
        counts = known.counts(target)
        places[target] = [Place(target, slot, counts.get(slot, 0)) for slot in slots]
    for target, slot, device in next_named(rollout, known):
        places.setdefault(target, []).append(Place(target, slot, 1, device))
    number = next_number(rollout)
    stages = rollout.created.plan.stages
    rate = rollout.created.plan.rate_of(number) if number < len(stages) else None
    return first_part(places, rate)


def _counting(stage: StageState) -> list[Looked]:
    """Returns the looks of the stage that the operator has not overruled."""
    return stage.looks[stage.overruled.looks :] if stage.overruled else stage.looks


def next_slots(rollout: Rollout, known: Population) -> dict[str, list[int]]:
    """Returns the slots that the rollout's next stage opens, or the rest of one that opens in
    parts, by target; {} after the last stage, and for a stage of named devices."""
    created, stage = rollout.created, next_stage(rollout)
    least = created.plan.judge.least_devices
    if stage is None or stage.percent is None:
        return {}
    found = {}
    for target in sorted(created.releases):
        counts, old = known.counts(target), rollout.width(target, stage.shadow)
        new = cohorts.widen(counts, created.drawn, old, stage.percent, least)
        found[target] = list(created.drawn[old:new])
    return found


def next_named(rollout: Rollout, known: Population) -> list[tuple[str, int, str]]:
    """Returns (target, slot, id) of the known devices that the rollout's next stage names, or the
    rest of one that opens in parts."""
    stage = next_stage(rollout)
    names = set(stage.devices) if stage else set()
    names -= {order.device for order in (rollout.opening.orders if rollout.opening else ())}
    return known.places(rollout.created.releases.keys(), names) if names else []


def left_out(rollout: Rollout, known: Population) -> dict[int, list[str]]:
    """Returns {stage, from 0: the devices that it names and that have no order of it, because they
    are not known, or were not when it opened}; without stages that lack nobody."""
    stages = rollout.created.plan.stages
    named = {device for stage in stages for device in stage.devices}
    if not named:
        return {}
    here = {device for _, _, device in known.places(rollout.created.releases.keys(), named)}
    found = {}
    for number, stage in enumerate(stages):
        there = here
        if number < len(rollout.stages):
            there = {order.device for order in rollout.stages[number].orders}
            there |= here if rollout.stages[number].rest else set()
        if lacking := [device for device in stage.devices if device not in there]:
            found[number] = lacking
    return found


def _unknown(rollout: Rollout, known: Population) -> Sequence[str]:
    """Returns the devices that the next stage names, if none of them is known any more."""
    stage = next_stage(rollout)
    if stage is None or not stage.devices or rollout.opening:
        return ()
    lacking = left_out(rollout, known).get(len(rollout.stages), [])
    return lacking if len(lacking) == len(stage.devices) else ()


def _closed(rollout: Rollout, known: Population, wall: float) -> str:
    """Returns why the next stage cannot open at `wall`, by the plan's maintenance windows; "" if it
    can. Devices that judge the windows by themselves do not need that."""
    plan, number = rollout.created.plan, next_number(rollout)
    maintenance = plan.maintenance
    if maintenance is None or number == len(plan.stages) or not plan.waits_for_windows(number):
        return ""
    if not any(known.is_timeless(place) for place in next_part(rollout, known).places):
        return ""
    return maintenance.closed(wall)


def next_stage(rollout: Rollout) -> Stage | None:
    """Returns the stage that opens next, or that opens in parts; None after the last one."""
    number, stages = next_number(rollout), rollout.created.plan.stages
    return stages[number] if number < len(stages) else None


def next_number(rollout: Rollout) -> int:
    """Returns the number, from 0, of the stage that opens next, or that opens in parts."""
    return len(rollout.stages) - (1 if rollout.opening else 0)


def _unreadable(rollout: Rollout, known: Population) -> Unreadable:
    releases = rollout.created.releases
    if named := next_named(rollout, known):
        places: dict[str, set[int]] = {}
        for target, slot, _ in named:
            places.setdefault(target, set()).add(slot)
        return known.unreadable(releases, places, {device for _, _, device in named})
    slots = {target: set(opened) for target, opened in next_slots(rollout, known).items()}
    return known.unreadable(releases, slots)


def later(rollout: Rollout) -> tuple[Wave | None, Wave | None]:
    """Returns the orders for all that followed the stages, and those that followed the revert."""
    return (None, rollout.settled) if rollout.back else (rollout.settled, None)


def newest_answers(
    wave: Wave, population: Collection[str], after: Wave | None
) -> dict[str, Answer]:
    """Returns the answers of the wave's devices, of those to `after` where they are newer. A model
    that was rolled back is refused when it comes again: that does not hide the roll-back."""
    found = dict(wave.answers)
    for device, answer in (after.answers if after else {}).items():
        held = found.get(device)
        again = held and held.outcome == ROLLED_BACK and answer.outcome == REJECTED
        if held is None and device not in population:
            continue
        if not again and (held is None or answer.number > held.number):
            found[device] = answer
    return found


def population_of(wave: Wave, known: Known) -> set[str]:
    return {device for order in wave.orders for _, device in known.inside(order)}


def opened_by(waves: Iterable[Wave], known: Known) -> set[str]:
    """Returns the devices that any of the waves is for."""
    return {device for wave in waves for device in population_of(wave, known)}


def count_answers(wave: Wave, known: Known, after: Wave | None = None) -> Counts:
    """Counts the wave's population by its answers; devices that joined after the order was sent
    count too. `after`: the orders for all that followed."""
    if wave.counted is not None:
        return condensed(wave.counted)
    population = population_of(wave, known)
    found: Counter[str] = Counter()
    for device, answer in newest_answers(wave, population, after).items():
        if answer.outcome not in (IN_PROGRESS, DEFERRED):
            population.add(device)
        if device in population:
            found[answer.outcome] += 1
    return _counts(len(population), found)


def condensed(counted: WaveCounts) -> Counts:
    """Returns the counts of a wave whose answers were deleted."""
    return _counts(counted.devices, counted.answers)


def answers_in(counts: Counts) -> dict[str, int]:
    """Returns the counts as the log has them: by answer, without those that nobody gave."""
    return {word: n for word, name in _WORDS.items() if (n := getattr(counts, name))}


def _counts(devices: int, found: Mapping[str, int]) -> Counts:
    return Counts(devices, **{name: found.get(word, 0) for word, name in _WORDS.items()})
