"""Tests that an invalid plan is refused when it is made, and that no threshold is lost."""

import re
from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from modelwave_controller import phrases
from modelwave_controller.errors import OperatorError
from modelwave_controller.rollout import plan
from modelwave_controller.rollout.shadow import Shadow


def toml(text: str) -> plan.Plan:
    return plan.parse_plan(text.encode(), "--plan plan.toml")


def test_without_settings_the_defaults_are_1_10_50_100_percent() -> None:
    made = plan.make_plan({})
    assert [stage.percent for stage in made.stages] == [1, 10, 50, 100]
    assert made.on_fail == "revert"
    assert made.trial.seconds == plan.DEFAULT_TRIAL_SECONDS


def test_the_example_in_the_docstring_is_a_plan_with_the_defaults() -> None:
    assert plan.__doc__
    example = [line[4:] for line in plan.__doc__.splitlines() if line.startswith("    ")]
    with pytest.raises(OperatorError, match="end at 100"):
        toml("\n".join(example))  # one stage, of 1 %
    made = toml("\n".join(example).replace("percent = 1 ", "percent = 100 ", 1))
    shadow, named, last = made.stages
    assert (shadow.whom, shadow.gates) == ("5 % in shadow", ("agreement >= 0.97",))
    assert made.shadow == Shadow()
    assert (named.tags, named.devices) == (("canary",), ("d1", "d2"))
    default = plan.make_plan({"stages": [{"percent": 100}]})
    assert len(made.gates or ()) == 4
    assert last.gates == ("failures <= 0.001",)
    assert (last.approval, last.approval_by) == ("see the dashboard", "another")
    changes: dict[str, Any] = {"max_rolled_back_percent": None, "gates": None, "approval": False}
    changes["approval_by"] = "anybody"
    last = last.model_copy(update=changes)
    judge = made.judge.model_copy(update={"inconclusive": None})
    assert (made.rate_of(1), made.rate_of(2)) == (200, 50)
    last = last.model_copy(update={"devices_per_minute": None})
    assert made.maintenance is not None
    absent = dict.fromkeys(("gates", "devices_per_minute", "maintenance", "shadow"))
    assert made.model_copy(update={"stages": (last,), "judge": judge} | absent) == default


def test_toml_and_options_make_the_same_plan() -> None:
    from_file = toml(
        """
        on_fail = "hold"
        trial = { seconds = 5, inferences = 3, max_failed_percent = 0.5 }
        stages = [
            { percent = 5, soak_seconds = 7, max_silent_percent = 1.5 },
            { percent = 100, soak_seconds = 7, max_silent_percent = 1.5 },
        ]
        """,
    )
    from_options = plan.from_options(
        "5,100",
        {"soak_seconds": 7, "max_silent_percent": 1.5, "max_failed_percent": None},
        {"seconds": 5, "inferences": 3, "max_failed_percent": 0.5},
        {"on_fail": "hold", "expires_seconds": None},
    )
    assert from_file == from_options
    assert from_file.trial.max_failed_ppm == 5000


@pytest.mark.parametrize("field", [f for f in plan.Stage.model_fields if f.endswith("_percent")])
@pytest.mark.parametrize(
    "value", ["5", "5 %", float("nan"), float("inf"), -1, 100.5, True, None, [5]]
)
def test_a_threshold_that_cannot_be_read_is_refused_by_its_name(field: str, value: Any) -> None:
    if value is None and field == "max_rolled_back_percent":
        pytest.skip("without it the evidence decides; TOML has no null")
    with pytest.raises(OperatorError, match=field):
        plan.make_plan({"stages": [{"percent": 100, field: value}]})


def test_nan_in_toml_is_refused() -> None:
    with pytest.raises(OperatorError, match="max_failed_percent"):
        toml("stages = [{ percent = 100, max_failed_percent = nan }]")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"stages": []}, "stages"),
        ({"stages": "1,10"}, "stages"),
        ({"stages": [{"percent": 10}, {"percent": 5}, {"percent": 100}]}, "rise"),
        ({"stages": [{"percent": 10}, {"percent": 10}, {"percent": 100}]}, "rise"),
        ({"stages": [{"percent": 10}]}, "end at 100"),
        ({"stages": [{"percent": 0}, {"percent": 100}]}, "percent"),
        ({"stages": [{"percent": 101}]}, "percent"),
        ({"stages": [{}]}, "stages.0: percent"),
        ({"stages": [{"percent": 100}] * 33}, "stages"),
        ({"on_fail": "ignore"}, "on_fail"),
        ({"on_fall": "hold"}, "on_fall: unknown key"),
        ({"stages": [{"percent": 100, "max_fialed_percent": 3}]}, "max_fialed_percent: unknown"),
        ({"trial": {"second": 3}}, "trial.second: unknown"),
        ({"trial": {"seconds": -1}}, "trial.seconds"),
        ({"trial": 5}, r"trial: give a table: \[trial\]"),
        ({"on_fall": "hold"}, 'docs/operations.md, "A plan in a file", lists them'),
        ({"trial": {"max_failed_percent": 100.5}}, "trial.max_failed_percent"),
        ({"trial": {"max_failed_percent": "2"}}, "trial.max_failed_percent"),
        ({"trial": {"max_failed_percent": 0.00001}}, "max_failed_percent: give at most 4 digits"),
        ({"expires_seconds": 0}, "expires_seconds"),
        ({"expires_seconds": 1.5}, "expires_seconds"),
        ({"stages": [{"percent": 100, "soak_seconds": 90000}]}, "soak_seconds: longer"),
        ({"stages": [{"percent": 100, "soak_seconds": 1.5}]}, "soak_seconds"),
        ({"trial": {"seconds": 86400}}, "deadline_seconds: not longer than trial"),
    ],
)
def test_a_bad_plan_is_refused_and_the_key_is_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(OperatorError, match=named):
        plan.make_plan(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stages": 7}, "stages: give a list, in square brackets"),
        ({"stages": ["canary"]}, "stages.0: give a table: a name and a value for each key"),
        ({"stages": [{"tags": "canary"}]}, "stages.0.tags: give a list, in square brackets"),
        (
            {"stages": [{"devices": [f"d{n}" for n in range(101)]}]},
            "stages.0.devices: more than 100 entries; give at most so many",
        ),
        ({"stages": []}, "stages: fewer entries than 1; give at least so many"),
        ({"stages": [{"percent": "all"}]}, "stages.0.percent: give a number"),
        ({"stages": [{"percent": 101}]}, "stages.0.percent: give at most 100"),
        ({"stages": [{"percent": 0}]}, "stages.0.percent: give a number above 0"),
        ({"stages": [{"percent": float("nan")}]}, "stages.0.percent: give at most 100"),
        ({"expires_seconds": 1.5}, "expires_seconds: give a whole number"),
        ({"expires_seconds": 1}, "expires_seconds: give a number from 60 on"),
        ({"on_fail": "pray"}, "on_fail: give 'revert' or 'hold'"),
        ({"on_fail": 1}, "on_fail: give 'revert' or 'hold'"),
        ({"trial": {"inferences": True}}, "trial.inferences: "),
    ],
)
def test_a_bad_plan_is_refused_in_plain_words(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(OperatorError) as refused:
        plan.make_plan(settings)
    message = str(refused.value)
    assert message.startswith(f"plan: {words}")
    for jargon in ("Input", "valid", "tuple", "validation", "literal", "dictionary"):
        assert jargon not in message


@pytest.mark.parametrize("stage", [{"percent": 0}, {"percent": 100, "soak": "soon"}])
def test_a_refused_key_of_a_stage_has_the_number_that_the_status_shows(stage: Any) -> None:
    with pytest.raises(OperatorError, match=r"stages\.1\..* \(stages\.1 is stage 2\)$"):
        plan.make_plan({"stages": [{"percent": 5}, stage]})


def test_durations_with_units_are_those_in_seconds() -> None:
    short = """
        expires = "90d"
        trial = { time = "10m" }
        stages = [{ percent = 100, soak = "1.5h", deadline = "2d" }]
        """
    long = """
        expires_seconds = 7776000
        trial = { seconds = 600 }
        stages = [{ percent = 100, soak_seconds = 5400, deadline_seconds = 172800 }]
        """
    assert toml(short) == toml(long)
    assert toml('stages = [{ percent = 100, soak_seconds = "1h" }]') == toml(
        "stages = [{ percent = 100, soak_seconds = 3600 }]"
    )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"expires": "soon"}, "plan: expires: 'soon' is no duration"),
        ({"expires": 90}, "plan: expires: give a duration in quotes"),
        (
            {"expires": "1h", "expires_seconds": 3600},
            "expires_seconds: means the same as expires: give only one of them",
        ),
        (
            {"stages": [{"percent": 100, "soak_seconds": 5, "soak": "5s"}]},
            "stages.0.soak: means the same as soak_seconds: give only one of them",
        ),
        ({"expires": "99999d"}, "expires_seconds"),
        ({"trial": {"time": "-1s"}}, "plan: trial.time: '-1s'"),
        ({"trial": {"time": "0.5s"}}, "plan: trial.time: '0.5s' has a part of a second"),
        ({"stages": [{"percent": 100, "soak": "1 week"}]}, "plan: stages.0.soak: '1 week'"),
        ({"stages": [{"percent": 100, "deadline": True}]}, "plan: stages.0.deadline: give"),
        ({"stages": [{"percent": 100, "soak_seconds": "1y"}]}, "plan: stages.0.soak_seconds"),
        ({"stages": [{"percent": 100, "soak": "2d"}]}, "soak_seconds: longer"),
        ({"soak": "1h"}, "soak: unknown key"),
    ],
)
def test_bad_duration_is_refused_by_its_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(OperatorError, match=re.escape(named)):
        plan.make_plan(settings)


def test_stages_that_name_tags_or_devices_come_before_those_with_percent() -> None:
    made = toml(
        """
        stages = [
            { tags = ["canary"], soak = "1d" },
            { devices = ["d1", "d2"] },
            { tags = ["a", "b"], devices = ["d3"] },
            { devices = ["d4"] },
            { percent = 10 },
            { percent = 100 },
        ]
        """
    )
    shown = ["tag canary", "2 devices", "tags a, b", "d4", "10 %", "100 %"]
    assert [stage.whom for stage in made.stages] == shown


@pytest.mark.parametrize(
    ("stages", "named"),
    [
        ([{"tags": ["canary"]}], "end at 100"),
        ([{"percent": 10}, {"tags": ["canary"]}, {"percent": 100}], "come before"),
        ([{"percent": 5, "tags": ["canary"]}, {"percent": 100}], "percent: give it, or"),
        ([{"tags": []}, {"percent": 100}], "percent: give it, or"),
        ([{"tags": ["Canary"]}, {"percent": 100}], "stages.0.tags.0"),
        ([{"tags": "canary"}, {"percent": 100}], "stages.0.tags"),
        ([{"devices": ["../d1"]}, {"percent": 100}], "stages.0.devices.0"),
        ([{"devices": [f"d{n}" for n in range(101)]}, {"percent": 100}], "stages.0.devices"),
        ([{"tags": [f"t{n}" for n in range(17)]}, {"percent": 100}], "stages.0.tags"),
    ],
)
def test_bad_stage_of_named_devices_is_refused(stages: list[Any], named: str) -> None:
    with pytest.raises(OperatorError, match=named):
        plan.make_plan({"stages": stages})


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 90, 3600, 5400, 86400, 31536000])
def test_duration_is_read_back_as_it_was_written(seconds: int) -> None:
    assert phrases.whole_seconds_of(phrases.duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "1,,100", "ten,100", "1;100", "nan", "1,inf", "1" * 5000])
def test_percents_that_are_no_numbers_are_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="stages"):
        plan.from_options(text, {}, {}, {})


@pytest.mark.parametrize("text", ["stages = [", "\x00", "a = " + "[" * 5000])
def test_a_file_that_is_not_toml_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="not TOML"):
        toml(text)


def test_a_share_is_what_was_written_not_its_nearest_float() -> None:
    assert plan.share(0.1) == Fraction(1, 1000)
    assert plan.share(1e-7) == Fraction(1, 10**9)
    assert plan.share(100.0) == 1


def test_of_many_stages_that_are_wrong_the_first_is_looked_at() -> None:
    with pytest.raises(ValidationError) as refused:
        plan.Plan.model_validate({"stages": [{}] * 1000})
    assert refused.value.error_count() < 5
