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

Key = tuple[State, int]  # a state, and the phase of the world
SHOWN = 5  # faults of each kind


class Count:
    """What a sweep has seen."""

    def __init__(self) -> None:
        self.single = self.double = self.killed = 0
        self.boots = 0
        self.bad = 0
        self.faults: dict[str, list[str]] = {}

    def blame(self, where: str, faults: Iterable[str]) -> None:
        for number, fault in enumerate(faults):
            self.bad += number == 0
            shown = self.faults.setdefault(fault, [])
            if len(shown) < SHOWN:
                shown.append(where)

    def line(self) -> str:
        return (
            f"{self.single} single and {self.double} double cuts, {self.killed} after a kill: they "
            f"left {self.boots} states, each was booted; {self.bad} bad"
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

    def run(self, start: State, facts: Any, pairs: int = 0, kills: int = 0) -> None:
        """`pairs`: of every so many first cuts the second ones are made too; 0: of none. `kills`:
        at every so many moments the program is killed, and the power cut later."""
        first = self._life(Disk(start, facts), facts, self.name)
        for number in range(kills and kills - 1, len(first.moments) * bool(kills), kills or 1):
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

    def _after_kill(self, moment: Moment, where: str) -> None:
        life = self._life(Disk.after_kill(moment), moment.facts, where)
        for key, left_ in self._left(life.moments, where, "killed").items():
            self._booted(key, *left_)

    def _life(self, disk: Disk, facts: Any, where: str) -> Life:
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
                    self.count.blame(at, self.problems(state, moment.facts))
                    facts = known[0].with_(moment.facts) if known else moment.facts
                    found[key] = facts, known[1] if known else at
            setattr(self.count, kind, getattr(self.count, kind) + cuts)
        return found

    def _booted(self, key: Key, facts: Any, where: str) -> Life:
        if key not in self.booted:
            self.count.boots += 1
            self.booted[key] = self._life(Disk(key[0], facts), facts, where)
        return self.booted[key]
