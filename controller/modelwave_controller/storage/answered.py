"""The newest answer of each device to each wave of a rollout, and how many there are of each kind.

It says what rollout/state.py and rollout/facts.py say from the whole log (`Wave.answers` and
`count_answers`), but costs what has changed. A test compares the two. The rules:

1. An answer counts if no newer order was answered or, for the device alone, sent since.
2. Whom a wave is for may change after the answer: a device is forgotten, or has another target.
   `inside` follows that, as an outcome counts also from outside.
3. The orders for all that come after a rollout may be answered too. Such an answer counts for the
   waves before: `later`, where it is newer than the one that they have. A model that was rolled
   back is refused when it comes again, which does not hide the roll-back. A device that has not
   answered a wave that is for it has a row there with `later` alone.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select

from modelwave_controller.rollout.events import Reported
from modelwave_controller.rollout.numbers import NO_NUMBER, Number
from modelwave_controller.storage import many, sums
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.tables import answer_counts, answered, device_models, devices
from modelwave_controller.storage.waves import BACK, RETURNED, SETTLED, Target, Waves
from modelwave_shared.words import REJECTED, ROLLED_BACK


class Kept(NamedTuple):
    """A row of `answered`, without its key."""

    epoch: int
    seq: int
    outcome: str
    reason: str
    later: str = ""
    inside: int = 0


Key = tuple[str, int]  # device and wave

_TABLE = answered.c
_KEY = (_TABLE.device, _TABLE.wave)
_VALUES = (
    _TABLE.epoch,
    _TABLE.seq,
    _TABLE.outcome,
    _TABLE.reason,
    _TABLE.later,
    _TABLE.inside,
)


class Answered:
    """The rows of some devices of one rollout: read, changed, and stored again."""

    def __init__(
        self, connection: Connection, rollout: int, model: str, names: Collection[str]
    ) -> None:
        self.connection = connection
        self.rollout = rollout
        self.names = sorted(names)
        self.waves = Waves(connection, rollout)
        self.places = _places(connection, model, self.names)
        self._before = _rows(connection, rollout, self.names)
        self._rows = dict(self._before)

    def answer(self, wave: int, number: Number, body: Reported) -> None:
        held = self._rows.get((body.device, wave))
        if held is None or number >= held[:2]:
            self._rows[body.device, wave] = Kept(*number, body.outcome, body.reason)

    def await_answer(self, wave: int, device: str, number: Number) -> None:
        """Drops the device's answer: it was sent an order of its own."""
        self._rows[device, wave] = Kept(*number, "", "")

    def store(self) -> None:
        for device in self.names:
            self._follow(device)
        changed = {key: row for key, row in self._rows.items() if self._before.get(key) != row}
        gone = self._before.keys() - self._rows.keys()
        counts: Counter[tuple[int, int, str, str, int]] = Counter()
        for key in (*changed, *gone):
            for number, row in ((1, self._rows.get(key)), (-1, self._before.get(key))):
                if row and key[1] >= BACK:
                    counts[self.rollout, key[1], row.outcome, row.later, row.inside] += number
        _store(self.connection, self.rollout, changed, self._before.keys())
        _delete(self.connection, self.rollout, gone)
        sums.add(self.connection, answer_counts, counts)

    def _follow(self, device: str) -> None:
        """Computes `later` and `inside` of the device's rows anew, by rules 2 and 3."""
        waves = self.waves.of(device, self.places.get(device))
        settled, returned = self._rows.get((device, SETTLED)), self._rows.get((device, RETURNED))
        for wave in self.waves.numbers:
            after = returned if wave == BACK else settled
            held, inside = self._rows.get((device, wave)), int(wave in waves)
            if held is None and (after is None or not inside):
                continue
            epoch, seq, outcome, reason, *before = held or Kept(*NO_NUMBER, "", "")
            later = _later((epoch, seq), outcome, inside, after) if after else ""
            if not (seq or later):
                self._rows.pop((device, wave), None)  # it says nothing any more
            elif before != [later, inside]:
                self._rows[device, wave] = Kept(epoch, seq, outcome, reason, later, inside)


def _later(number: tuple[int, int], outcome: str, inside: int, after: Kept) -> str:
    """Returns the outcome of the answer `after`, if it counts in place of this one, or ""."""
    if not outcome:
        return after.outcome if inside else ""
    again = outcome == ROLLED_BACK and after.outcome == REJECTED
    return after.outcome if not again and after[:2] > number else ""


def _places(connection: Connection, model: str, names: Sequence[str]) -> dict[str, Target]:
    """Returns the places of those of the devices that report the model."""
    query = select(devices.c.device, devices.c.target, devices.c.slot)
    query = query.join(device_models, devices.c.device == device_models.c.device)
    query = query.where(device_models.c.model == model)
    return {
        device: Target(target, slot)
        for device, target, slot in rows_with(connection, query, devices.c.device, names)
    }


def _rows(connection: Connection, rollout: int, names: Sequence[str]) -> dict[Key, Kept]:
    query = select(*_KEY, *_VALUES).where(_TABLE.rollout == rollout)
    return {
        (device, wave): Kept(*values)
        for device, wave, *values in rows_with(connection, query, _TABLE.device, names)
    }


def _store(
    connection: Connection, rollout: int, rows: Mapping[Key, Kept], known: Collection[Key]
) -> None:
    key = ("device", "rollout", "wave")
    old = [
        (*row, device, rollout, wave)
        for (device, wave), row in rows.items()
        if (device, wave) in known
    ]
    new = [
        (device, rollout, wave, *row)
        for (device, wave), row in rows.items()
        if (device, wave) not in known
    ]
    many.update(connection, "answered", Kept._fields, key, old)
    many.insert(connection, "answered", (*key, *Kept._fields), new)


def _delete(connection: Connection, rollout: int, keys: Collection[Key]) -> None:
    if keys:
        its = [_TABLE[name] == bindparam(f"its_{name}") for name in ("device", "wave")]
        connection.execute(
            delete(answered).where(_TABLE.rollout == rollout, *its),
            [{"its_device": device, "its_wave": wave} for device, wave in keys],
        )
