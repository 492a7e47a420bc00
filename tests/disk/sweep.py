"""Cuts the power of a scene at every moment, once and twice, in every way that left.py knows, and
boots on what is left.

Two cuts that leave the same state in the same world are the same to the device, so it boots once
for both; what it had told before is checked for each.
"""

from collections.abc import Callable, Iterable
from typing import Any

from tests.disk import left
from tests.disk.device import Life
from tests.disk.medium import Disk, Moment, State
from tests.disk.troubles import TROUBLES, Trouble
from tests.disk.words import EXTENDS

Key = tuple[State, int]  # a state, and the phase of the world
SHOWN = 5  # faults of each kind
TOLD_BOOTS = 2000  # between two lines of progress


class Found(Exception):
    """A fault was found, and no more is asked."""


class Count:
    """What a sweep has seen. `stops`: it raises Found at the first fault. `tell` is called now and
    then with what was seen so far."""

    def __init__(self, stops: bool = False, tell: Callable[[str], object] | None = None) -> None:
        self.stops = stops
        self.tell = tell
        self.single = self.double = self.killed = self.errors = 0
        self.boots = 0
        self.bad = 0
        self.faults: dict[str, list[str]] = {}

    def blame(self, where: str, faults: Iterable[str]) -> None:
        for number, fault in enumerate(faults):
            if self.stops:
                raise Found(f"{where}: {fault}")
            self.bad += number == 0
            shown = self.faults.setdefault(fault, [])
            if len(shown) < SHOWN:
                shown.append(where)

    def add(self, other: "Count") -> None:
        for name in ("single", "double", "killed", "errors", "boots", "bad"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def boot(self) -> None:
        self.boots += 1
        if self.tell and self.boots % TOLD_BOOTS == 0:
            self.tell(self.line())

    def line(self) -> str:
        return (
            f"{self.single} single and {self.double} double cuts, {self.killed} after a kill, "
            f"{self.errors} errors of the disk, {self.boots} states booted, {self.bad} bad"
        )


class Sweep:
    """The cuts of one scene. `live(disk, facts)` lives on a disk to the end; `problems(state,
    facts)` tells what is wrong with a state at once."""

    def __init__(
        self,
        name: str,
        live: Callable[[Disk, Any], Life],
        problems: Callable[[State, Any], list[str]],
        count: Count,
        is_long: bool = False,
        is_fat: bool = True,
    ) -> None:
        self.name, self.live, self.problems = name, live, problems
        self.count, self.is_long, self.is_fat = count, is_long, is_fat
        self.booted: dict[Key, Any] = {}
        self.is_in_trouble = False
        self.prepare: Callable[[Disk], None] = lambda disk: None  # is done to each disk
        self.check: Callable[[], None] = lambda: None  # before each life; it may end the sweep

    def run(self, start: State, facts: Any, pairs: int = 0, kills: int = 0) -> None:
        """`pairs`: of every so many first cuts the second ones are made too; 0: of none. `kills`:
        at every so many moments, the last ones first if negative, the program is killed, and
        the power cut later."""
        first = self._life(Disk(start, facts), facts, self.name)
        for number in range(len(first.moments))[::kills] if kills else ():
            self._after_kill(first.moments[number], f"{self.name}, killed at {number}")
        found = self._left(first.moments, self.name, "single")
        lives = {key: self._booted(key, *left_) for key, left_ in found.items()}
        if not pairs:
            return
        for number, (key, life) in enumerate(lives.items()):
            if number % pairs == 0:
                where = found[key][1]
                seconds = self._left(life.moments, where, "double")
                for second, left_ in seconds.items():
                    self._booted(second, *left_)

    def meet(self, start: State, facts: Any, step: int = 1) -> None:
        """The disk refuses an operation, in a way of troubles.py; if that stays, until the power
        is cut. `step`: of every so many pairs of an operation and a way."""
        asked: list[str] = []
        disk = Disk(start, facts)
        disk.refuse = asked.append
        self._life(disk, facts, self.name)
        met = [
            (number, trouble)
            for number, kind in enumerate(asked)
            for trouble in TROUBLES
            if kind in trouble.kinds
        ]
        for number, trouble in met[::step]:
            self._in_trouble(start, facts, number, trouble)

    def _is_excused(self, fault: str) -> bool:
        """A journal whose second file found no room has one that a write extends."""
        return self.is_in_trouble and EXTENDS in fault

    def _in_trouble(self, start: State, facts: Any, number: int, trouble: Trouble) -> None:
        self.is_in_trouble = True
        where = f"{self.name}, {trouble.name} at {number}"
        disk = Disk(start, facts)
        trouble.begin(disk, number)
        self.check()
        life = self.live(disk, facts)
        self.count.errors += 1
        self.count.blame(where, [one for one in life.faults if not trouble.explains(one)])
        for key, left_ in self._left(life.moments[-1:], where, "double").items():
            self._booted(key, *left_)
        self.is_in_trouble = False

    def _after_kill(self, moment: Moment, where: str) -> None:
        life = self._life(Disk.after_kill(moment), moment.facts, where)
        for key, left_ in self._left(life.moments, where, "killed").items():
            self._booted(key, *left_)

    def _life(self, disk: Disk, facts: Any, where: str) -> Life:
        self.check()
        self.prepare(disk)
        life = self.live(disk, facts)
        self.count.blame(where, life.faults)
        return life

    def _left(self, moments: list[Moment], where: str, kind: str) -> dict[Key, tuple[Any, str]]:
        """Returns the states that a cut at these moments may leave, each with the facts that hold
        for it, and where it came from."""
        found: dict[Key, tuple[Any, str]] = {}
        is_long = self.is_long and kind == "single"
        few = left.FEW_LONG if is_long else left.FEW
        for number, moment in enumerate(moments):
            cuts = 0
            for told, state in left.states(moment, few, is_long, self.is_fat):
                cuts += 1
                at = f"{where}, cut {number}: {told}"
                key = state, moment.facts.phase
                known = found.get(key)
                if known is None or known[0] != moment.facts:
                    faults = self.problems(state, moment.facts)
                    self.count.blame(at, [one for one in faults if not self._is_excused(one)])
                    facts = known[0].with_(moment.facts) if known else moment.facts
                    found[key] = facts, known[1] if known else at
            setattr(self.count, kind, getattr(self.count, kind) + cuts)
        return found

    def _booted(self, key: Key, facts: Any, where: str) -> Life:
        if key not in self.booted:
            self.count.boot()
            self.booted[key] = self._life(Disk(key[0], facts), facts, where)
        return self.booted[key]
