"""Lives that were lived, found again by what they read.

A life does what its medium and its orders make it do, so it is decided by what it reads of the
medium that it has not written itself. Another medium that has the same there leads to the same
life, whatever else is on it. So the lives of an order are a tree: the first thing that is read,
then, by what it was, the next one, and so on.
"""

import hashlib

from tests.board.sweep.flash import UNIT_BYTES


class Undecided(Exception):
    """Two lives have read the same, and then not done the same: the sweep cannot count on it."""


class Reads:
    """What is read next; `found`: {what it was, as a digest: Reads or a Life}."""

    def __init__(self, units):
        self.units = units
        self.found = {}

    def of(self, image):
        digest = hashlib.sha256()
        for unit in self.units:
            digest.update(image[unit * UNIT_BYTES : (unit + 1) * UNIT_BYTES])
        return digest.digest()


class Known:
    """Has lives of one kind."""

    def __init__(self):
        self.top = Reads(())  # of nothing, as the first step of each life

    def find(self, image):
        """Returns the Life on this medium, None if none like it is known."""
        step = self.top
        while isinstance(step, Reads):
            step = step.found.get(step.of(image))
        return step

    def add(self, image, life):
        """`life` was lived on the medium `image`."""
        step = self.top
        for units in life.reads:
            following = step.found.setdefault(step.of(image), Reads(units))
            if not isinstance(following, Reads) or following.units != units:
                raise Undecided(f"read {units}, and another life has not")
            step = following
        if step.found.setdefault(step.of(image), life) is not life:
            raise Undecided("a life that has read the same is known")
