"""The rules of judge/compare.py a second time, in numpy and SciPy, for comparison. One target."""

from itertools import combinations
from math import comb

import numpy as np
from scipy import stats

DRAWS = 6000


def theta(before):
    """before: devices x windows"""
    r = np.corrcoef(before[:, 1::2].mean(1), before[:, ::2].mean(1))[0, 1]
    r = np.clip(np.nan_to_num(r), 0, 1)
    return 2 * r / (1 + r)


def arms(before, now, opened, shares):
    """Returns z and raw numbers of canaries and of controls. now: devices x windows."""
    factor = theta(before)
    raw = now.mean(1) - factor * before.mean(1)
    z = raw
    if shares:
        z = np.arcsin(np.sqrt(now.mean(1))) - factor * np.arcsin(np.sqrt(before.mean(1)))
    return z[opened], z[~opened], raw[opened], raw[~opened]


def t_test(canaries, controls):
    """Returns SciPy's result for 'canaries are lower'."""
    pooled = min(len(canaries), len(controls)) < 10
    return stats.ttest_ind(canaries, controls, equal_var=pooled, alternative="less")


def permutation(canaries, controls, seed=0):
    """Returns the share of choices that are as low, and whether none is lower."""
    everything = np.concatenate([canaries, controls])
    everything -= everything.mean()
    number, observed = len(canaries), everything[: len(canaries)].sum()
    if comb(len(everything), number) <= DRAWS:
        chosen, extra = np.array(list(combinations(range(len(everything)), number))), 0
    else:
        random = np.random.default_rng(seed).random((DRAWS, len(everything)))
        chosen, extra = np.argsort(random, 1)[:, :number], 1
    sums = everything[chosen].sum(1)
    share = ((sums <= observed + 1e-9).sum() + extra) / (len(sums) + extra)
    return share, not (sums < observed - 1e-9).any()


def verdict(before, now, opened, shares, margin, allowance, to_fail, to_pass):
    """Returns (word, estimate, upper bound, p of t, (p of the permutation, nothing is lower))"""
    z1, z0, raw1, raw0 = arms(before, now, opened, shares)
    shown, judged = t_test(raw1, raw0), t_test(z1, z0)
    p = judged.pvalue
    if shares:  # the arcsine of the root of a share of n has the variance 1/4n
        least = np.sqrt(0.25 / now[opened].size + 0.25 / now[~opened].size) / 10  # of 100 labels
        distance = z0.mean() - z1.mean()
        error = distance / -judged.statistic if judged.statistic else 0.0
        p = stats.t.sf(distance / max(error, least), judged.df)
    harm = raw0.mean() - raw1.mean()
    error = harm / -shown.statistic if shown.statistic else np.inf
    if shares:
        error = max(error, counting_error(now, opened))
    bound = harm + stats.t.isf(to_pass, shown.df) * error
    rare = None
    if p <= to_fail and min(len(z1), len(z0)) < 100:
        rare = permutation(z1, z0)
    proven = p <= to_fail and (rare is None or rare[1] or rare[0] <= to_fail)
    word = "PASS" if bound <= allowance * margin else "INCONCLUSIVE"
    if proven and harm > margin:
        word = "FAIL"
    return word, harm, bound, p, rare


def counting_error(now, opened, labels=100):
    """The binomial standard error of two shares, with one more of each kind."""
    variance = 0.0
    for side in (now[opened], now[~opened]):
        trials = side.size * labels
        share = (side.sum() * labels + 1) / (trials + 2)
        variance += share * (1 - share) / trials
    return np.sqrt(variance)
