"""Judges the roll-backs among the devices that were opened, by an e-value.

E is how much better a share of roll-backs above the limit explains what happened than the limit
itself: the likelihood, averaged evenly over all shares above it, divided by that at the limit. If
the true share is within the limit, E reaches 1/ALPHA = 20 in at most 5 % of all rollouts, however
often it is looked at (Ville's inequality; Ramdas et al., Statistical Science 38, 2023). So:

    k of n devices rolled back        at the limit of 0.5 %
    E >= 20                  REVERT   1 of up to 2, 2 of 16, 3 of 41, 4 of 78, 5 of 124 …
    E >= 1 and k >= 1        HOLD     1 of up to 14, 2 of 46, 3 of 93 …
    otherwise                GO ON

n counts the devices that were *opened*: one that has not answered is fine so far. Roll-backs
answer first, and with n = answered devices a good release would be reverted in 97 % of the
rollouts of 10,000 devices. There is no share at which the verdict jumps, at any fleet size.
"""

from math import exp, log, log1p
from typing import NamedTuple

from modelwave_controller.judge.looks import ALPHA
from modelwave_controller.judge.statistics import incomplete_beta, log_beta

LIMIT = 0.005  # stray roll-backs of a good release: power cuts in the trial, full disks
REVERT_AT = 1 / ALPHA
HOLD_AT = 1.0
REVERT, HELD, GO_ON = "REVERT", "HOLD", "GO ON"
LARGEST_EXPONENT = 700.0  # of what `exp` can return


class RollBacks(NamedTuple):
    word: str
    rolled_back: int
    opened: int
    evidence: float
    limit: float
    reverts_at: int  # so many roll-backs of these devices revert

    @property
    def reason(self) -> str:
        share = 100 * self.rolled_back / max(self.opened, 1)
        return (
            f"{self.rolled_back} of {self.opened} opened devices rolled back ({share:.3g} %); "
            f"evidence {self.evidence:.3g} that it is more than {100 * self.limit:g} % of all, "
            f"{HOLD_AT:g} holds, {REVERT_AT:g} reverts (at {self.reverts_at} devices)"
        )


def judge_rollbacks(rolled_back: int, opened: int, limit: float = LIMIT) -> RollBacks:
    """Returns the verdict by the rules above. Raises ValueError unless 0 <= rolled back <= opened
    and the limit is above 0 and below 1."""
    evidence = e_value(rolled_back, opened, limit)
    word = GO_ON
    if rolled_back and evidence >= HOLD_AT:
        word = REVERT if evidence >= REVERT_AT else HELD
    return RollBacks(word, rolled_back, opened, evidence, limit, _reverts_at(opened, limit))


def e_value(rolled_back: int, opened: int, limit: float = LIMIT) -> float:
    """Returns E for so many roll-backs among so many opened devices."""
    if not (0 <= rolled_back <= opened and 0 < limit < 1):
        raise ValueError(
            f"{rolled_back} of {opened} devices and a limit of {limit} are no roll-backs: "
            "count devices that were opened, and give the limit as a share"
        )
    k, fine = rolled_back, opened - rolled_back
    above = incomplete_beta(fine + 1, k + 1, 1 - limit, limit)
    if above <= 0:  # the share is so far below the limit that it underflows
        return 0.0
    average = log_beta(k + 1, fine + 1) + log(above) - log1p(-limit)
    return exp(min(average - k * log(limit) - fine * log1p(-limit), LARGEST_EXPONENT))


def _reverts_at(opened: int, limit: float) -> int:
    """E grows with the roll-backs, so the fewest that revert are found by halving."""
    low, high = 0, opened + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if e_value(middle, opened, limit) >= REVERT_AT else (middle, high)
    return high
