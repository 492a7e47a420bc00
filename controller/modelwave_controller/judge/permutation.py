"""How rare the canaries' sum is among all ways to choose the canaries (Fisher, The Design of
Experiments, 1935): a test that needs no assumption about how the devices' numbers are spread.

It is exact if the canaries were drawn at random. All choices are tried if they are few, else seeded
draws (Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010). Where
there are several targets, each keeps its number of canaries.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from math import comb, fsum, prod
from random import Random
from typing import NamedTuple

DRAWS = 6000


class Rarity(NamedTuple):
    p: float
    extreme: bool  # no other choice is as extreme; with few devices p cannot be small

    def at_most(self, level: float) -> bool:
        return self.extreme or self.p <= level


class _Pool(NamedTuple):
    """The numbers of one target less their mean, sorted, so that order does not matter; the sum
    over the canaries is `sign` times the sum over the `chosen`, the smaller of the two arms."""

    values: list[float]
    chosen: int
    sign: float


def rarity(groups: Sequence[tuple[Sequence[float], Sequence[float]]], seed: int) -> Rarity:
    """Returns how rare a sum of the canaries as low as theirs is. A group is the canaries and the
    controls of one target."""
    pools = [_pool(*group) for group in groups]
    observed = fsum(fsum(ours) - len(ours) * _mean(ours, others) for ours, others in groups)
    near = 1e-9 * fsum(abs(value) for pool in pools for value in pool.values)
    if prod(comb(len(pool.values), pool.chosen) for pool in pools) <= DRAWS:
        sums, extra = list(_all_sums(pools)), 0
    else:
        sums, extra = list(_drawn_sums(pools, Random(seed))), 1  # the real choice counts as one
    as_low = sum(1 for value in sums if value <= observed + near)
    lower = any(value < observed - near for value in sums)
    tied = as_low + extra > 1 and _tied(groups, near)
    return Rarity((as_low + extra) / (len(sums) + extra), not (lower or tied))


def _tied(groups: Sequence[tuple[Sequence[float], Sequence[float]]], near: float) -> bool:
    """Whether a control is as low as some canary, so that other choices are as low as theirs. Where
    all devices but one are alike, each choice with that one is."""
    return any(max(ours) >= min(others) - near for ours, others in groups if ours and others)


def _pool(canaries: Sequence[float], controls: Sequence[float]) -> _Pool:
    mean = _mean(canaries, controls)
    values = sorted(value - mean for value in (*canaries, *controls))
    if len(canaries) <= len(controls):
        return _Pool(values, len(canaries), 1.0)
    return _Pool(values, len(controls), -1.0)


def _mean(canaries: Sequence[float], controls: Sequence[float]) -> float:
    return fsum((*canaries, *controls)) / (len(canaries) + len(controls))


def _all_sums(pools: Sequence[_Pool]) -> Iterator[float]:
    each = ([p.sign * sum(c) for c in combinations(p.values, p.chosen)] for p in pools)
    return (sum(sums) for sums in product(*each))


def _drawn_sums(pools: Sequence[_Pool], chance: Random) -> Iterator[float]:
    """Only Random.random is used: it is the method whose numbers for a seed never change."""
    random = chance.random
    for _ in range(DRAWS):
        whole = 0.0
        for values, chosen, sign in pools:
            left, part = len(values), 0.0
            for place in range(chosen):  # a shuffle that stops after the chosen ones
                other = place + int(random() * left)
                left -= 1
                value = values[other]
                values[other] = values[place]
                values[place] = value
                part += value
            whole += sign * part
        yield whole
