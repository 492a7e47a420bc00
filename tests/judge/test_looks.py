"""When a stage is judged, and what error each look may use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwave_controller.judge import looks
from modelwave_controller.judge.devices import Window, fold
from modelwave_controller.judge.looks import Budget, Course


@pytest.mark.parametrize(
    ("soak", "after"),
    [
        (1, (1,)),
        (2, (1, 2)),
        (3, (1, 2, 3)),
        (4, (1, 2, 4)),
        (8, (1, 2, 4, 8)),
        (9, (1, 2, 4, 9)),
        (12, (1, 2, 4, 8, 12)),
        (16, (1, 2, 4, 8, 16)),
    ],
)
def test_looks_double_up_to_the_soaks_end(soak, after):
    assert looks.planned(soak) == after


def test_a_held_stage_is_looked_at_after_twice_and_four_times_its_soak():
    assert [looks.extension(8, n) for n in (1, 2)] == [16, 32]


@pytest.mark.parametrize(
    ("stages", "margins"), [(1, [1]), (2, [2, 1]), (3, [3, 2, 1]), (5, [3, 2, 2, 2, 1])]
)
def test_early_stages_allow_more_and_the_last_one_margin(stages, margins):
    assert [looks.allowance(stage, stages) for stage in range(stages)] == margins


@given(st.integers(1, 20), st.integers(1, 10), st.integers(1, 8), st.booleans())
def test_all_looks_together_use_no_more_than_the_permitted_error(
    quantities, stages, number, extend
):
    budget = Budget(quantities, stages, number, extend)
    each = [budget.to_fail(look) for look in range(number + (40 if extend else 0))]
    assert sum(each) * quantities * stages == pytest.approx(looks.ALPHA)


def test_extensions_take_a_fifth_of_the_error_halving_each_time():
    budget = Budget(1, 1, 4, True)
    assert [budget.to_fail(n) for n in (0, 3, 4, 5)] == pytest.approx([0.01, 0.01, 0.005, 0.0025])


def test_targets_share_the_error_of_fail_but_not_that_of_pass():
    whole, part = Budget(4, 3, 4, False), Budget(4, 3, 4, False, share=1 / 40)
    assert part.to_fail(0) == pytest.approx(whole.to_fail(0) / 40)
    assert part.to_pass(0) == whole.to_pass(0) == looks.ALPHA / 4


COURSE = Course(opened=1000, window_seconds=60, grace_seconds=30)


@given(st.lists(st.floats(0, 30), min_size=4, max_size=4), st.permutations(range(4)))
def test_windows_delayed_within_the_watermark_count_as_those_in_time(delays, order):
    def seen(arrivals):
        return fold(
            Window(n, 100, 90 - n)
            for n in order
            if COURSE.counts(1000 + 60 * n, 1060 + 60 * n, arrivals[n], 4)
        )

    ends = [COURSE.end(n + 1) for n in range(4)]
    late = [end + delay for end, delay in zip(ends, delays, strict=True)]
    assert seen(late) == seen(ends)


def test_window_after_the_watermark_counts_at_the_next_look():
    arrived = COURSE.watermark(1) + 1
    assert not COURSE.counts(1000, 1060, arrived, 1)
    assert COURSE.counts(1000, 1060, arrived, 2)


def test_window_that_began_before_the_stage_counts_at_no_look():
    assert not COURSE.counts(990, 1050, 1050, 4)
