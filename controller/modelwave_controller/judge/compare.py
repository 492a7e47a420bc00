"""Compares canaries with controls at one look. The first row that applies decides:

    no two devices to compare                                      INCONCLUSIVE
    t, the permutation and an estimate beyond the margin say harm  FAIL
    the bound of harm is within its allowance                      PASS
    otherwise                                                      INCONCLUSIVE

t            one-sided, on the devices' numbers: p at most the level that the look's budget gives
permutation  the same level; not computed from MIN_NORMAL devices in both arms on, where t alone is
             exact enough, nor where t does not say harm, or the estimate does not
estimate     in raw units; with a margin of 0 any proven harm FAILs
bound        the estimate plus t times its standard error, in raw units; early stages, with few
             canaries, allow two or three margins, but not to harm that is proven to be beyond one

A quantity that may not FAIL gets HOLD instead, and INCONCLUSIVE instead of PASS.

A share has a smallest standard error, that of counting: where no device of few had a failure, there
is no spread, but no proof either, and a single failure is none of harm.
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

from modelwave_controller.judge import needs
from modelwave_controller.judge.contrast import (
    Contrast,
    bent_counting_variance,
    contrast,
    counting_variance,
    pooled,
)
from modelwave_controller.judge.devices import SHARE, Arm, Quantity
from modelwave_controller.judge.looks import Budget
from modelwave_controller.judge.needs import Need
from modelwave_controller.judge.permutation import Rarity, rarity
from modelwave_controller.judge.statistics import t_quantile
from modelwave_controller.judge.verdicts import FAIL, HOLD, INCONCLUSIVE, PASS

MIN_NORMAL = 100  # devices in both arms, from where t needs no permutation beside it


class Pair(NamedTuple):
    """The two arms of one target."""

    canaries: Arm
    controls: Arm


class Occasion(NamedTuple):
    """The look in whose course the arms are compared. `number` counts the looks of the stage from
    0, `windows` are those of the stage so far, `allowance` is by how many margins it may pass, and
    `seed` is the plan's, for the draws of the permutation."""

    budget: Budget
    number: int
    windows: int
    allowance: int
    seed: int

    @property
    def to_fail(self) -> float:
        return self.budget.to_fail(self.number)

    @property
    def to_pass(self) -> float:
        return self.budget.to_pass(self.number)


class Verdict(NamedTuple):
    """One comparison, with all that a person wants to see of it. Harm is positive where canaries
    are worse, in the units of the quantity; of a RATIO it is relative, 0.2 for a fifth."""

    word: str
    canaries: int
    controls: int
    margin: float
    allowed: float  # the harm within which it passes here: the margin, two or three of them
    level: float  # what the p-values are compared with
    reason: str
    harm: float | None = None  # None, as those below, if there is nothing to compare
    low: float | None = None
    high: float | None = None  # PASS if this is within `allowed`
    t_p: float | None = None
    permutation_p: float | None = None  # None also if it was not needed
    need: Need | None = None


def compare(
    pairs: Sequence[Pair], quantity: Quantity, occasion: Occasion, common_error: float = 0.0
) -> Verdict:
    """Returns the verdict by the rules above. `pairs` has one row for each target; those without
    a canary or a control are left out. `common_error` is a standard error, in raw units, that all
    canaries share."""
    pairs = [pair for pair in pairs if pair.canaries.z and pair.controls.z]
    judged = contrast([(a.z, b.z) for a, b in pairs]) if pairs else None
    shown = contrast([(a.raw, b.raw) for a, b in pairs]) if pairs else None
    if judged is None or shown is None:
        return _nothing(pairs, quantity, occasion)
    judged, shown = judged.widened(common_error), shown.widened(common_error)
    if quantity.scale is SHARE:
        shown = shown._replace(error=max(shown.error, _counting_error(pairs)))
        judged = judged._replace(error=max(judged.error, _bent_counting_error(pairs)))
    return _Comparison(pairs, quantity, occasion, judged, shown).verdict()


class _Comparison(NamedTuple):
    pairs: Sequence[Pair]
    quantity: Quantity
    occasion: Occasion
    judged: Contrast
    shown: Contrast

    def verdict(self) -> Verdict:
        level, tail = self.occasion.to_fail, self.occasion.to_pass
        reach = t_quantile(tail, self.shown.freedom) * self.shown.error
        bounds = (self.shown.harm, self.shown.harm - reach, self.shown.harm + reach)
        rare = self._rarity(level)
        word = self._word(level, bounds[2], rare)
        need = self._need(tail) if word == INCONCLUSIVE and self.quantity.may_fail else None
        harm, low, high = (self.quantity.shown(value) for value in bounds)
        reason = f"{self.quantity.name}: harm {harm:.3g} ({low:.3g} to {high:.3g}); "
        return _verdict(word, self.pairs, self.quantity, self.occasion)._replace(
            harm=harm,
            low=low,
            high=high,
            t_p=self.judged.p,
            permutation_p=rare.p if rare else None,
            need=need,
            reason=reason + self._of_what() + (f"; {need.words}" if need else ""),
        )

    def _of_what(self) -> str:
        """The second half of a reason, such as "12 canaries, 40 controls; the margin is 0.02"."""
        canaries, controls = _numbers(self.pairs)
        words = (
            f"{canaries} canaries, {controls} controls; the margin is {self.quantity.margin:.3g}"
        )
        if self.occasion.allowance > 1 and self.quantity.may_fail:
            words += f", in this stage {self.quantity.shown(self._allowed):.3g}"
        return words

    @property
    def _allowed(self) -> float:
        return self.occasion.allowance * self.quantity.margin_on_scale

    def _rarity(self, level: float) -> Rarity | None:
        """The permutation's, where it is needed."""
        if self.judged.p > level or self.shown.harm <= self.quantity.margin_on_scale:
            return None
        if min(_numbers(self.pairs)) >= MIN_NORMAL:
            return None
        return rarity([(a.z, b.z) for a, b in self.pairs], self.occasion.seed)

    def _word(self, level: float, high: float, rare: Rarity | None) -> str:
        proven = self.judged.p <= level and (rare is None or rare.at_most(level))
        if proven and self.shown.harm > self.quantity.margin_on_scale:
            return FAIL if self.quantity.may_fail else HOLD
        if self.quantity.may_fail and self.shown.error > 0 and high <= self._allowed:
            return PASS
        return INCONCLUSIVE

    def _need(self, tail: float) -> Need:
        canaries, controls = _numbers(self.pairs)
        return needs.need(
            needs.Arms(canaries, controls, self.shown.error, self.shown.freedom),
            self._allowed - self.shown.harm,
            tail,
            self.occasion.windows,
            _counting_noise(self.pairs) if self.quantity.scale is SHARE else None,
        )


def _numbers(pairs: Sequence[Pair]) -> tuple[int, int]:
    return sum(len(a.z) for a, _ in pairs), sum(len(b.z) for _, b in pairs)


def _verdict(
    word: str, pairs: Sequence[Pair], quantity: Quantity, occasion: Occasion, reason: str = ""
) -> Verdict:
    """Returns a verdict with what is known before anything is compared."""
    allowed = quantity.shown(occasion.allowance * quantity.margin_on_scale)
    return Verdict(word, *_numbers(pairs), quantity.margin, allowed, occasion.to_fail, reason)


def _nothing(pairs: Sequence[Pair], quantity: Quantity, occasion: Occasion) -> Verdict:
    canaries, controls = _numbers(pairs)
    reason = f"{canaries} canaries and {controls} controls with a window are too few to compare"
    return _verdict(INCONCLUSIVE, pairs, quantity, occasion, reason)


def _counting_error(pairs: Sequence[Pair]) -> float:
    return sqrt(sum(_binomial_variance([arms[side] for arms in pairs]) for side in (0, 1)))


def _bent_counting_error(pairs: Sequence[Pair]) -> float:
    sides = (pooled([arms[side].counted for arms in pairs]) for side in (0, 1))
    return sqrt(sum(bent_counting_variance(side.weight) for side in sides))


def _binomial_variance(arms: Sequence[Arm]) -> float:
    found = pooled([arm.counted for arm in arms])
    return counting_variance(found.weight, found.total)


def _counting_noise(pairs: Sequence[Pair]) -> float:
    """Returns the variance of a canary's share that comes from counting alone."""
    arms = [pair.canaries for pair in pairs]
    return _binomial_variance(arms) * sum(len(arm.z) for arm in arms)
