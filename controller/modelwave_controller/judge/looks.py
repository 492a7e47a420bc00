"""Says when a stage is judged, and what share of the permitted error each look may use.

A look comes after windows 1, 2, 4, 8 … of a stage and at the soak's end, and at twice, four times …
the soak while the rollout is held. It is computed once, at its watermark: when its last window has
ended and the grace for late ones is over. A window that comes later counts at the next look.
Between two looks the verdict stands, so that watching more often cannot find harm by chance.

The error is that a good release FAILs: at most ALPHA for a whole rollout, whatever the number of
quantities, stages and looks, as each gets an equal part (the union bound; even parts lose at most a
fifth against the best ones that were tried). A plan that may hold keeps a fifth for its further
looks: a half of it for the first, a quarter for the second, and so on.

PASS needs no such division over quantities and stages: it wants all of them to pass (the
intersection-union test of Berger, Technometrics 24, 1982).
"""

from typing import NamedTuple

ALPHA = 0.05
KEPT_FOR_EXTENSIONS = 0.2
LEAST_CANARIES = 3  # a stage opens at least so many devices of each target
FIRST_ALLOWANCE = 3  # the first judged stage passes within so many margins


def planned(soak_windows: int) -> tuple[int, ...]:
    """Returns after how many windows of a stage its looks are: each power of two below the soak,
    except one that is close to its end, and the end."""
    powers = [1 << n for n in range(soak_windows.bit_length())]
    return (*(power for power in powers if 3 * power <= 2 * soak_windows), soak_windows)


def extension(soak_windows: int, number: int) -> int:
    """Returns after how many windows the further look `number`, from 1, of a held stage is."""
    return soak_windows << number


def allowance(stage: int, stages: int) -> int:
    """Returns by how many margins of harm judged stage `stage`, from 0, of `stages` may still pass:
    3, 2, 1 for the first, those between and the last; 2, 1 for two."""
    if stage >= stages - 1:
        return 1
    return FIRST_ALLOWANCE if stage == 0 and stages > 2 else 2


class Budget(NamedTuple):
    """The error that one comparison may make. `stages` are those that have controls; `share` is the
    part of it for this one, where all devices and each target are compared."""

    quantities: int
    stages: int
    looks: int
    may_extend: bool
    share: float = 1.0
    alpha: float = ALPHA

    def to_fail(self, look: int) -> float:
        """Returns the level of FAIL at look `look`, from 0; from `looks` on they are extensions."""
        return self.to_pass(look) * self.share / (self.quantities * self.stages)

    def to_pass(self, look: int) -> float:
        """Returns the level of the bounds of the interval, which decide about PASS."""
        if look >= self.looks:
            return self.alpha * KEPT_FOR_EXTENSIONS / (1 << (look - self.looks + 1))
        kept = KEPT_FOR_EXTENSIONS if self.may_extend else 0.0
        return self.alpha * (1 - kept) / self.looks


class Course(NamedTuple):
    """The times of a stage's windows, in seconds of whatever clock its caller uses."""

    opened: float
    window_seconds: float
    grace_seconds: float

    def end(self, windows: int) -> float:
        return self.opened + windows * self.window_seconds

    def watermark(self, windows: int) -> float:
        """Returns when the look after so many windows is computed."""
        return self.end(windows) + self.grace_seconds

    def counts(self, start: float, end: float, arrived: float, windows: int) -> bool:
        """Says whether a window from `start` to `end` counts at the look after so many windows."""
        inside = self.opened <= start and end <= self.end(windows)
        return inside and arrived <= self.watermark(windows)
