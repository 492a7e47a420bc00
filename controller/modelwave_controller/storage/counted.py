"""What a decision asks about the devices that report a model, from the counters: `Counted` says the
same as rollout/facts.py's `Known`, and its cost does not grow with the fleet."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from modelwave_controller.rollout import formats
from modelwave_controller.rollout.events import IN_PROGRESS, OrderSent, Release
from modelwave_controller.rollout.facts import condensed, later
from modelwave_controller.rollout.formats import SHOWN_DEVICES, Reader, Unreadable
from modelwave_controller.rollout.gates import Counts
from modelwave_controller.rollout.pace import Place
from modelwave_controller.rollout.slot_sets import contains, numbers_in
from modelwave_controller.rollout.state import Rollout
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.devices import of_model, reads
from modelwave_controller.storage.tables import answer_counts, devices, reporting
from modelwave_controller.storage.waves import BACK
from modelwave_shared.maintenance import READS_MAINTENANCE
from modelwave_shared.words import (
    CANCELED,
    DEFERRED,
    FAILED,
    MANIFEST,
    ORDER,
    READS,
    REJECTED,
    ROLLED_BACK,
    SHADOWED,
    SUCCEEDED,
)


class Reading(NamedTuple):
    """So many devices of a slot read the same."""

    slot: int
    reads: str  # as in the table devices
    devices: int


class Counted:
    """Use it within one transaction: it keeps what it has read."""

    def __init__(self, connection: Connection, model: str) -> None:
        self.connection = connection
        self.model = model
        self._places: dict[str, list[Reading]] = {}  # by target
        self._counts: dict[str, dict[int, int]] = {}  # by target
        self._reads: dict[str, dict[str, int]] = {}  # {text: what it says}
        self._answers: dict[int, dict[int, Counter[tuple[str, str, bool]]]] = {}

    def counts(self, target: str) -> dict[int, int]:
        """Returns as rollout/facts.py; the caller must not change it."""
        if target not in self._counts:
            found = self._counts[target] = {}
            for one in self._readings(target):
                found[one.slot] = found.get(one.slot, 0) + one.devices
        return self._counts[target]

    def answers(self, rollout: Rollout, stage: int | None) -> Counts:
        """Counts as rollout/facts.py's count_answers: outcomes also from outside."""
        wave = rollout.back if stage is None else rollout.stages[stage]
        assert wave is not None, "it was reverted"
        if wave.counted is not None:
            return condensed(wave.counted)
        follows = later(rollout)[1 if stage is None else 0] is not None
        population = self._population(wave.orders)
        found: Counter[str] = Counter()
        for (outcome, later_one, inside), number in self._answers_of(rollout.id, stage).items():
            word = (later_one if follows else "") or outcome
            counts_outside = bool(outcome) and word not in (IN_PROGRESS, DEFERRED)
            if word and (inside or counts_outside):
                found[word] += number
                population += 0 if inside else number
        return Counts(
            devices=population,
            in_progress=found[IN_PROGRESS],
            deferred=found[DEFERRED],
            succeeded=found[SUCCEEDED],
            shadowed=found[SHADOWED],
            rolled_back=found[ROLLED_BACK],
            failed=found[FAILED],
            rejected=found[REJECTED],
            canceled=found[CANCELED],
        )

    def places(
        self, targets: Collection[str], names: Collection[str]
    ) -> list[tuple[str, int, str]]:
        query = of_model(select(devices.c.target, devices.c.slot, devices.c.device), self.model)
        rows = rows_with(self.connection, query, devices.c.device, sorted(names))
        return sorted((row[0], row[1], row[2]) for row in rows if row.target in targets)

    def reads(self, target: str, slots: Collection[int]) -> Iterator[Mapping[str, int]]:
        found = {one.reads for one in self._readings(target) if one.slot in slots}
        return (self._said(text) for text in sorted(found) if _is_behind(self._said(text)))

    def readers(self, names: Collection[str]) -> dict[str, Reader]:
        place = (devices.c.device, devices.c.target, devices.c.slot, devices.c.reads)
        query = of_model(select(*place), self.model)
        return {
            device: Reader(device, target, slot, self._said(text))
            for device, target, slot, text in rows_with(
                self.connection, query, devices.c.device, sorted(names)
            )
            if _is_behind(self._said(text))
        }

    def unreadable(
        self,
        releases: Mapping[str, Release],
        slots: Mapping[str, Collection[int]],
        names: Collection[str] | None = None,
    ) -> Unreadable:
        if names is not None:
            readers = sorted(self.readers(names).values())
            return formats.unreadable(readers, releases, slots)
        number, shown = 0, []
        for target in slots:
            named = set(slots[target])
            there = [one for one in self._readings(target) if one.slot in named]
            lacks = {
                text
                for text in {one.reads for one in there}
                if formats.shortfalls(releases[target], self._said(text))
            }
            lacking = [one for one in there if one.reads in lacks]
            number += sum(one.devices for one in lacking)
            shown += self._first_of(target, lacking)
        texts = formats.unreadable(sorted(shown), releases, slots).texts
        return Unreadable(texts, number - len(texts))

    def is_timeless(self, place: Place) -> bool:
        if place.device:
            query = of_model(select(devices.c.reads), self.model)
            here = (devices.c.device == place.device, devices.c.target == place.target)
            found: Iterable[str] = self.connection.scalars(
                query.where(*here, devices.c.slot == place.slot)
            )
        else:
            found = (one.reads for one in self._readings(place.target) if one.slot == place.slot)
        return any(READS_MAINTENANCE not in self._said(text) for text in found)

    def _readings(self, target: str) -> list[Reading]:
        if target not in self._places:
            its = reporting.c
            query = select(its.slot, its.reads, its.devices)
            query = query.where(its.model == self.model, its.target == target)
            rows = self.connection.execute(query).all()
            self._places[target] = [Reading(*row) for row in rows]
        return self._places[target]

    def _said(self, text: str) -> dict[str, int]:
        if text not in self._reads:
            self._reads[text] = reads(text)
        return self._reads[text]

    def _population(self, orders: Iterable[OrderSent]) -> int:
        """Returns how many devices these orders are for."""
        slots: dict[str, set[int]] = defaultdict(set)
        alone: dict[str, list[OrderSent]] = defaultdict(list)
        for order in orders:
            if order.device:
                alone[order.device].append(order)
            else:
                slots[order.target].update(numbers_in(order.slots))
        found = 0
        for target, those in slots.items():
            found += sum(number for slot, number in self.counts(target).items() if slot in those)
        targets = {order.target for its in alone.values() for order in its}
        for target, slot, device in self.places(targets, alone) if alone else ():
            its = any(o.target == target and contains(o.slots, slot) for o in alone[device])
            found += its and slot not in slots[target]
        return found

    def _answers_of(self, rollout: int, stage: int | None) -> Mapping[tuple[str, str, bool], int]:
        if rollout not in self._answers:
            its = answer_counts.c
            query = select(its.wave, its.outcome, its.later, its.inside, its.devices)
            found: dict[int, Counter[tuple[str, str, bool]]] = defaultdict(Counter)
            for wave, outcome, after, inside, number in self.connection.execute(
                query.where(its.rollout == rollout)
            ):
                found[wave][outcome, after, bool(inside)] += number
            self._answers[rollout] = found
        return self._answers[rollout].get(BACK if stage is None else stage, {})

    def _first_of(self, target: str, lacking: Iterable[Reading]) -> list[Reader]:
        """Returns some of the devices that are counted there, if not all: those of as few slots as
        have enough of them."""
        slots: set[int] = set()
        number = 0
        for one in sorted(lacking):
            if number < SHOWN_DEVICES or one.slot in slots:
                slots.add(one.slot)
                number += one.devices
        place = (devices.c.device, devices.c.target, devices.c.slot, devices.c.reads)
        query = of_model(select(*place), self.model)
        query = query.where(devices.c.target == target, devices.c.slot.in_(sorted(slots)))
        rows = self.connection.execute(query) if slots else ()
        return [Reader(row[0], row[1], row[2], self._said(row.reads)) for row in rows]


def _is_behind(said: Mapping[str, int]) -> bool:
    """Returns whether a device with such reads cannot read every format that this program may
    write."""
    return any(said[kind] < READS[kind] for kind in (MANIFEST, ORDER))
