"""The evidence of roll-backs: its boundaries, its formula, chance."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate

from modelwave_controller.judge import rollbacks
from modelwave_controller.judge.rollbacks import GO_ON, HELD, REVERT, judge_rollbacks


@pytest.mark.parametrize(("k", "n"), [(1, 2), (2, 16), (3, 41), (4, 78), (5, 124)])
def test_so_many_rollbacks_revert_up_to_so_many_devices(k, n):
    assert judge_rollbacks(k, n).word == REVERT
    assert judge_rollbacks(k, n + 1).word == HELD
    assert judge_rollbacks(k, n).reverts_at == k
    assert judge_rollbacks(k, n + 1).reverts_at == k + 1


@pytest.mark.parametrize(("k", "n"), [(1, 14), (2, 46), (3, 93)])
def test_so_many_rollbacks_hold_up_to_so_many_devices(k, n):
    assert judge_rollbacks(k, n).word == HELD
    assert judge_rollbacks(k, n + 1).word == GO_ON


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 5), (3, 50), (0, 500), (60, 10_000)])
def test_evidence_is_the_average_likelihood_over_that_at_the_limit(k, n):
    limit = 0.005

    def ratio(p):
        return np.exp(k * np.log(p / limit) + (n - k) * np.log((1 - p) / (1 - limit)))

    around = sorted({limit, min(max(k / n, limit), 0.99), min(k / n + 0.05, 0.999), 1})
    whole = sum(integrate.quad(ratio, a, b)[0] for a, b in pairwise(around))
    assert rollbacks.e_value(k, n, limit) == pytest.approx(whole / (1 - limit), rel=1e-6)


def test_no_rollback_never_holds():
    assert all(judge_rollbacks(0, n).word == GO_ON for n in (0, 1, 3, 100, 10_000, 1_000_000))


def test_first_rollback_holds_a_small_fleet_and_not_a_large_one():
    assert judge_rollbacks(1, 3).word == HELD
    assert judge_rollbacks(1, 1000).word == GO_ON


def test_evidence_has_no_cliff():
    """One further device that is fine changes it little, at any size of the fleet."""
    for k in (1, 2, 5):
        values = [rollbacks.e_value(k, n) for n in range(4 * k, 500)]
        assert all(0.6 < b / a < 1 for a, b in pairwise(values))


@pytest.mark.parametrize(("k", "n", "limit"), [(3, 2, 0.005), (-1, 2, 0.005), (1, 2, 0), (1, 2, 1)])
def test_impossible_numbers_are_refused(k, n, limit):
    with pytest.raises(ValueError, match="count devices that were opened"):
        judge_rollbacks(k, n, limit)


def test_reason_has_numbers_limit_and_what_would_revert():
    reason = judge_rollbacks(1, 12).reason
    assert reason.startswith("1 of 12 opened devices rolled back (8.33 %); evidence ")
    assert reason.endswith(" that it is more than 0.5 % of all, 1 holds, 20 reverts (at 2 devices)")


def test_chance_reverts_a_good_release_in_less_than_5_percent_of_rollouts():
    rng, n = np.random.default_rng(1), 200
    reverts_at = np.array([judge_rollbacks(0, k).reverts_at for k in range(1, n + 1)])
    stray = np.cumsum(rng.random((4000, n)) < 0.005, 1)
    assert (stray >= reverts_at).any(1).mean() < 0.05
    bad = np.cumsum(rng.random((4000, 12)) < 0.2, 1)
    assert (bad >= reverts_at[:12]).any(1).mean() > 0.7


def test_evidence_beyond_all_numbers_is_the_largest():
    assert rollbacks.e_value(10_000, 10_000) == np.exp(700.0)
    assert judge_rollbacks(10_000, 10_000).word == REVERT


def test_evidence_of_far_too_few_is_none():
    assert rollbacks.e_value(1, 10**7) == 0.0


def test_where_not_even_all_would_revert_one_more_than_all_does():
    assert judge_rollbacks(0, 0).reverts_at == 1
    assert judge_rollbacks(1, 1, 0.9).reverts_at == 2
    assert judge_rollbacks(1, 1).reverts_at == 1


@pytest.mark.parametrize(("k", "n", "share"), [(0, 0, "0 %"), (1, 1, "100 %"), (2, 4, "50 %")])
def test_reason_has_the_share_of_those_that_were_opened(k, n, share):
    assert judge_rollbacks(k, n).reason.startswith(
        f"{k} of {n} opened devices rolled back ({share})"
    )
