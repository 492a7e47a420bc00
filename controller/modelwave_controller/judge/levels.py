"""Judges a quantity at two levels: all devices together, and each target by itself, so that one bad
kind of board at 5 % of a fleet does not hide in the mean.

Half of the error is for all devices, half is divided among the targets; one target alone has it
all. Targets may only FAIL: that a stage is good is shown by all devices together, and a target of
five canaries could not show it.

    any level FAILs           FAIL (or HOLD, if the quantity may not FAIL)
    all devices PASS          PASS
    otherwise                 INCONCLUSIVE
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from modelwave_controller.judge.compare import Occasion, Pair, Verdict, compare
from modelwave_controller.judge.devices import Quantity
from modelwave_controller.judge.looks import Budget
from modelwave_controller.judge.verdicts import FAIL, HOLD, INCONCLUSIVE, PASS


class _Verdict(Protocol):
    @property
    def word(self) -> str: ...
    @property
    def reason(self) -> str: ...


V = TypeVar("V", bound=_Verdict)


class Judged(NamedTuple, Generic[V]):
    word: str
    whole: V
    targets: dict[str, V]  # empty if there is only one
    reason: str


def judge(
    pairs: Mapping[str, Pair],
    quantity: Quantity,
    occasion: Occasion,
    common_errors: Mapping[str, float] | None = None,
) -> Judged[Verdict]:
    """Returns the verdict of a quantity at a look. `pairs` has the arms of each target; it must
    name every target of the rollout, also one without a canary so far, as the error is divided
    among them. `common_errors` has the standard error, in raw units, that all canaries of a target
    share; None: of none."""
    errors = common_errors or {}

    def judged(names: Sequence[str], occasion: Occasion) -> Verdict:
        its = {name: pairs[name] for name in names}
        return compare(list(its.values()), quantity, occasion, _mean_error(its, errors))

    return at_levels(sorted(pairs), judged, occasion)


def at_levels(
    names: Sequence[str], judged: Callable[[Sequence[str], Occasion], V], occasion: Occasion
) -> Judged[V]:
    """Returns the verdict of the targets `names` by the rules above. `judged` gives that of some of
    them together, at the occasion that they have."""
    together, each = divided(occasion.budget, len(names))
    whole = judged(names, occasion._replace(budget=together))
    if len(names) <= 1:
        return Judged(whole.word, whole, {}, whole.reason)
    part = occasion._replace(budget=each)
    return _together(whole, {name: judged([name], part) for name in names})


def _mean_error(pairs: Mapping[str, Pair], errors: Mapping[str, float]) -> float:
    """Returns the error that all canaries of all targets share at most, with the weights that the
    targets have (contrast.py): one table may be behind the errors of all of them."""
    sizes = {name: (len(one.canaries.z), len(one.controls.z)) for name, one in pairs.items()}
    weights = {name: a * b / (a + b) for name, (a, b) in sizes.items() if a and b}
    whole = sum(weights.values())
    return sum(weight * errors.get(name, 0.0) for name, weight in weights.items()) / (whole or 1)


def divided(budget: Budget, targets: int) -> tuple[Budget, Budget]:
    """Returns the budget of all devices together, and of each of so many targets by itself."""
    if targets <= 1:
        return budget, budget
    half = budget.share / 2
    return budget._replace(share=half), budget._replace(share=half / targets)


def _together(whole: V, targets: dict[str, V]) -> Judged[V]:
    for word in (FAIL, HOLD):
        if whole.word == word:
            return Judged(word, whole, targets, whole.reason)
        for name, verdict in targets.items():
            if verdict.word == word:
                return Judged(word, whole, targets, f"{name}: {verdict.reason}")
    word = PASS if whole.word == PASS else INCONCLUSIVE
    return Judged(word, whole, targets, whole.reason)
