"""Cuts the power of a scene at each program and each erase of its medium, once and twice, in each
way of flash.py, and lives on what is left to the end of the scene (lives.py)."""

import hashlib
from collections import Counter
from typing import NamedTuple

from tests.board.sweep.facts import Facts
from tests.board.sweep.fat import Fat
from tests.board.sweep.flash import MODES, left

FAT_ACCOUNTS = ("table", "root", "directory")
SHOWN = 5  # faults of each kind


class Cut(NamedTuple):
    name: str  # mode and number of the operation, through all lives
    mode: str
    at: int  # the byte of the medium
    image: bytearray  # what is left; only until the next cut
    facts: Facts


def cuts(image, lives, facts, step=1, first=0):
    """Yields each Cut of these lives on the medium `image`, after these facts; of every `step`-th
    operation, from `first` on."""
    total = 0
    for life in lives:
        image = bytearray(image)
        for number, (at, data, told) in enumerate(life.operations, 1):
            total += 1
            end, is_last = at + len(data), number == len(life.operations)
            if (total - 1 - first) % step == 0:
                old = bytes(image[at:end])
                for mode in MODES:
                    image[at:end] = left(mode, data, old, number)
                    # After the last one the life may have said more.
                    known = life.facts if is_last and mode == "whole" else told
                    yield Cut(f"{mode} {total}", mode, at, image, facts.then(known))
            image[at:end] = data
        facts = facts.then(life.facts)


class Count:
    """What a sweep has seen. `known`: {kind: cuts that left what FAT does not promise}."""

    def __init__(self):
        self.single = self.double = self.lived = self.bad = 0
        self.known = Counter()
        self.faults = {}  # {fault: [where]}

    def add(self, other):
        for name in ("single", "double", "lived", "bad"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.known.update(other.known)

    def line(self):
        """`bad` are all that are not as they must be, those that are known with them."""
        bad = self.bad + self.known.total()
        return f"{self.single} single cuts, {self.double} double, {bad} bad"


class Sweep:
    """The cuts of one scene on one file system."""

    def __init__(self, lives, count, tick=lambda: None):
        """`count`: a Count that it adds to. `tick` is called at each cut."""
        self.lives, self.count, self.tick = lives, count, tick
        self.scene = lives.scene
        self.image = lives.start()
        self.uncut, problem = lives.to_the_end(self.image, Facts())
        faults = self._faults(Facts(), self.uncut, problem)
        assert not faults, faults
        self.judged = {}
        self.fat = None
        if lives.filesystem == "fat":
            after = self.image
            for life in self.uncut:
                after = life.after(after)
            self.fat = Fat(bytes(after))

    def run(self, pairs=1, step=1, again=1):
        """Cuts at every `step`-th operation. Of every `pairs`-th state that this leaves, 0: of
        none, the power goes again at every `again`-th operation that follows."""
        seen = set()
        for first in cuts(self.image, self.uncut, Facts(), step):
            lives = self._judge([first])
            self.count.single += 1
            state = hashlib.sha256(first.image).digest(), first.facts
            if state in seen:
                continue
            if pairs and len(seen) % pairs == 0:
                self._again(first, lives, again, len(seen) % again)
            seen.add(state)
        self.count.lived += self.lives.lived
        self.lives.lived = 0

    def only(self, names):
        """The faults of one case: the name of a cut, or those of two."""
        image, lives, facts = self.image, self.uncut, Facts()
        for name in names:
            cut = next((one for one in cuts(image, lives, facts) if one.name == name), None)
            if cut is None:
                return [f"there is no operation as in {name}"]
            image, facts = bytes(cut.image), cut.facts
            lives, problem = self.lives.to_the_end(image, facts)
        return self._faults(facts, lives, problem)

    def _again(self, first, lives, step, start):
        for second in cuts(bytes(first.image), lives, first.facts, step, start):
            self._judge([first, second])
            self.count.double += 1

    def _judge(self, made):
        """The lives after these cuts, the last of which is on the medium now."""
        self.tick()
        cut = made[-1]
        lives, problem = self.lives.to_the_end(cut.image, cut.facts)
        key = cut.facts, tuple(map(id, lives))
        if key not in self.judged:
            self.judged[key] = self._faults(cut.facts, lives, problem)
        if faults := self.judged[key]:
            self._blame(made, faults)
        return lives

    def _faults(self, facts, lives, problem):
        found = []
        for life in lives:
            if life.boot:
                found += self.scene.at_boot(life.boot, facts)
            facts = facts.then(life.facts)
        if lives[-1].end:
            found += self.scene.at_the_end(lives[-1].end, facts.outcome)
        return [*found, problem] if problem else found

    def _blame(self, made, faults):
        kind = self._known(made)
        if kind:
            self.count.known[kind] += 1
            return
        self.count.bad += 1
        for fault in faults:
            shown = self.count.faults.setdefault(fault, [])
            if len(shown) < SHOWN:
                shown.append(", ".join(one.name for one in made))

    def _known(self, made):
        """The kind of damage from which FAT protects nobody, "" if these cuts did none: it writes
        its accounts in place, and uses no second copy of them."""
        for cut in made if self.fat else ():
            area = self.fat.area(cut.at)
            if cut.mode in ("rot", "garbage") and area in FAT_ACCOUNTS:
                return f"{cut.mode} in FAT's {area}"
        return ""
