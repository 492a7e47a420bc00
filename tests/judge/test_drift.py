"""How far predicted classes differ."""

import pytest

from modelwave_controller.judge.drift import Move, class_drift


def test_distance_is_the_share_of_predictions_that_would_have_to_be_others():
    found = class_drift({"a": 55, "b": 30, "c": 15}, {"a": 750, "b": 250})
    assert found.distance == pytest.approx(0.2)
    assert (found.canaries, found.controls) == (100, 1000)
    assert found.moved == [Move("a", 0.55, 0.75), Move("c", 0.15, 0.0), Move("b", 0.3, 0.25)]


def test_three_classes_that_moved_most_are_named_in_the_order_of_how_far():
    controls = {str(number): 25 for number in range(4)}
    found = class_drift({"0": 40, "1": 26, "2": 22, "3": 12}, controls)
    assert [move.name for move in found.moved] == ["0", "3", "2"]


def test_same_shares_are_no_drift_and_one_arm_alone_has_none():
    found = class_drift({"a": 1, "b": 2}, {"a": 10, "b": 20})
    assert (found.distance, found.moved) == (0, [])
    assert class_drift({"a": 1}, {}) is None
    assert class_drift({}, {"a": 1}) is None
