"""Held-out metrics: how they are given, recorded in a manifest, read and compared."""

import pytest

from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import figures, heldout
from modelwave_controller.releases.heldout import Share


@pytest.mark.parametrize(
    ("texts", "n", "recorded"),
    [
        ([], None, {}),
        (["accuracy=0.968"], 360, {"accuracy_ppm": 968_000, "accuracy_n": 360}),
        (["accuracy=349/360"], None, {"accuracy_ppm": 969_444, "accuracy_n": 360}),
        (["a=0/7", "b=7/7"], None, {"a_ppm": 0, "a_n": 7, "b_ppm": 10**6, "b_n": 7}),
        (["a=0.0", "b=1.0"], 10**9, {"a_ppm": 0, "a_n": 10**9, "b_ppm": 10**6, "b_n": 10**9}),
        (["a/b=1/2", "epochs=-12"], None, {"a/b_ppm": 500_000, "a/b_n": 2, "epochs": -12}),
        (
            ["accuracy=0.5", "recall=1/2", "epochs=12"],
            8,
            {"accuracy_ppm": 500_000, "accuracy_n": 8, "recall_ppm": 500_000, "recall_n": 2}
            | {"epochs": 12},
        ),
    ],
)
def test_metrics_are_recorded_as_integers_that_every_agent_reads(
    texts: list[str], n: int | None, recorded: dict[str, int]
) -> None:
    assert figures.metrics(texts, n) == recorded


@pytest.mark.parametrize(
    ("texts", "n", "words"),
    [
        (["accuracy=0.968"], None, "--n: give how many held-out examples accuracy"),
        (["right=348"], 360, "--n: no --metric NAME=SHARE"),
        ([], 360, "--n: no --metric NAME=SHARE"),
        (["accuracy=348/360"], 360, "--n: no --metric NAME=SHARE"),
        (["accuracy=0.968"], 0, "--n: 0; give 1 to 1,000,000,000"),
        (["accuracy=0.968"], -1, "--n: -1; give"),
        (["accuracy=0.968"], 10**9 + 1, "--n: 1000000001; give"),
        (["accuracy=1.5"], 360, "--metric: accuracy: 1.5 is no share from 0 to 1"),
        (["accuracy=1.000001"], 360, "is no share"),
        (["accuracy=-0.1"], 360, "is no share"),
        (["accuracy=0.1234567"], 360, "at most six digits"),
        (["accuracy=NaN"], 360, "--metric: 'accuracy=NaN'"),
        (["accuracy=inf"], 360, "--metric: 'accuracy=inf'"),
        (["accuracy=1e-1"], 360, "--metric: 'accuracy=1e-1'"),
        (["accuracy=.5"], 360, "--metric: 'accuracy=.5'"),
        (["accuracy=٠.٥"], 360, "--metric: 'accuracy="),
        (["accuracy=0." + "1" * 5000], 360, "--metric: 'accuracy=0.1"),
        (["accuracy=9/8"], None, "--metric: accuracy: 9 of 8"),
        (["accuracy=1/0"], None, "--metric: accuracy: 1 of 0"),
        (["accuracy=1/1000000001"], None, "--metric: accuracy: 1 of 1000000001"),
        (["accuracy=-1/8"], None, "--metric: 'accuracy=-1/8'"),
        (["accuracy=0.968/360"], None, "--metric: 'accuracy=0.968/360'"),
        (["accuracy=1/" + "9" * 5000], None, "--metric: 'accuracy=1/9"),
        (["accuracy"], 1, "--metric: 'accuracy'"),
        (["=0.5"], 1, "--metric: "),
        (["é=0.5"], 1, "--metric: "),
        (["x" * 62 + "=0.5"], 1, "--metric: "),
        (["a=0.5", "a=0.6"], 9, "--metric: a_ppm is given twice"),
        (["a_n=5", "a=1/2"], None, "--metric: a_n is given twice"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_metric_is_refused_by_name(texts: list[str], n: int | None, words: str) -> None:
    with pytest.raises(OperatorError) as caught:
        figures.metrics(texts, n)
    assert str(caught.value).startswith(words) or words in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("recorded", "found"),
    [
        ({}, {}),
        ({"right": 348, "total": 360}, {}),
        ({"accuracy_ppm": 968_000, "accuracy_n": 360}, {"accuracy": Share(968_000, 360)}),
        ({"accuracy_ppm": 968_000}, {}),
        ({"accuracy_n": 360}, {}),
        ({"_ppm": 1, "_n": 1}, {}),
        ({"a_ppm": 10**6 + 1, "a_n": 1}, {}),
        ({"a_ppm": -1, "a_n": 1}, {}),
        ({"a_ppm": 1, "a_n": 0}, {}),
        ({"a_ppm": 1, "a_n": 10**9 + 1}, {}),
    ],
)
def test_only_a_share_with_its_count_is_a_held_out_metric(
    recorded: dict[str, int], found: dict[str, Share]
) -> None:
    """Releases from before counts, and those of other programs, may have any integers."""
    assert heldout.shares(recorded) == found


def compared(new: tuple[int, int], old: tuple[int, int]) -> heldout.Compared:
    (found,) = heldout.compare({"accuracy": Share(*new)}, {"accuracy": Share(*old)})
    return found


def test_comparison_is_told_with_its_interval() -> None:
    found = compared((968_000, 360), (972_000, 360))
    assert found.told("release 3") == (
        "accuracy 0.968 (n=360) beside 0.972 (n=360) of release 3: difference -0.4 points, "
        "95 % interval -3.1 to +2.3: lower, which may be chance"
    )
    assert not found.worse
    better = compared((972_000, 360), (968_000, 360))
    assert better.told("release 3").endswith("difference +0.4 points, 95 % interval -2.3 to +3.1")


def test_worse_is_an_interval_that_lies_wholly_below_zero() -> None:
    assert compared((900_000, 1000), (950_000, 1000)).worse
    assert "-5.0 points" in compared((900_000, 1000), (950_000, 1000)).told("release 3")
    assert compared((900_000, 1000), (950_000, 1000)).told("x").endswith(": worse")
    assert not compared((900_000, 50), (950_000, 50)).worse
    assert not compared((950_000, 1000), (900_000, 1000)).worse
    assert not compared((10**6, 10**9), (10**6, 10**9)).worse
    assert compared((10**6 - 1000, 10**9), (10**6, 10**9)).worse


def test_a_small_difference_is_not_shown_as_none() -> None:
    assert "difference -0.0001 points" in compared((999_999, 10**9), (10**6, 10**9)).told("x")


def test_shares_are_shown_without_exponents() -> None:
    shown = [str(Share(ppm, 9)) for ppm in (0, 1, 966_667, 970_000, 10**6)]
    assert shown == ["0 (n=9)", "0.000001 (n=9)", "0.966667 (n=9)", "0.97 (n=9)", "1 (n=9)"]


def test_only_metrics_that_both_have_are_compared() -> None:
    new, old = {"a": Share(1, 1), "b": Share(1, 1)}, {"b": Share(1, 1), "c": Share(1, 1)}
    assert [one.name for one in heldout.compare(new, old)] == ["b"]
