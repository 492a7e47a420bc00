"""Tests that a plan's shadow stages are read, and that bad ones are refused with a remedy."""

from typing import Any

import pytest

from modelwave_controller.errors import OperatorError
from modelwave_controller.rollout.plan import DEFAULT_GATES, Plan, make_plan, parse_plan
from modelwave_controller.rollout.planned_gates import EXPECTED, LIMIT, PlannedGate, parse_gate
from modelwave_controller.rollout.shadow import DEFAULT_GATES as SHADOW_GATES

LAST = {"percent": 100}


def shadowed(*gates: str, plan: dict[str, Any] | None = None, **stage: Any) -> dict[str, Any]:
    """A plan with one shadow stage; its gates are `gates`, if there are any."""
    its = {"percent": 5, "shadow": True} | ({"gates": list(gates)} if gates else {}) | stage
    return {"shadow": {}, "stages": [its, {"percent": 10}, LAST]} | (plan or {})


def with_shadow(**settings: Any) -> dict[str, Any]:
    return shadowed(plan={"shadow": settings})


def test_shadow_is_read_and_signed_in_the_units_of_an_order() -> None:
    text = """
    [shadow]
    time = "2h"
    share_percent = 0.5
    ram = "64 MiB"
    latency_ms = 12.5
    compare = "classes"
    else_trial = true
    [[stages]]
    shadow = true
    percent = 5
    [[stages]]
    percent = 100
    """
    made = parse_plan(text.encode(), "plan.toml")
    assert made.shadow is not None
    assert made.shadow.in_order == {
        "seconds": 7200,
        "share_ppm": 5000,
        "ram": 64 * 2**20,
        "latency_us": 12500,
        "classes": True,
        "else_trial": True,
    }
    assert [stage.whom for stage in made.stages] == ["5 % in shadow", "100 %"]


def test_a_shadow_stage_soaks_until_its_last_windows_are_in_unless_told() -> None:
    made = make_plan(with_shadow(seconds=2 * 86400))
    assert made.stages[0].soak_seconds == 2 * 86400 + 900
    assert made.stages[0].deadline_seconds == 3 * 86400 + 900
    assert made.stages[1].soak_seconds == 3600
    made = make_plan(shadowed(soak="3h", plan={"judge": {"window": "5m"}}))
    assert made.stages[0].soak_seconds == 3 * 3600


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agreement >= 0.97", ("agreement", 0.0, True, LIMIT, 0.97)),
        ("agreement >= expected - 0.02", ("agreement", 0.0, True, EXPECTED, 0.02)),
        ("p95(latency_ms) <= 50", ("latency_ms", 0.95, False, LIMIT, 50.0)),
        ("mean(latency_ms) <= 20", ("latency_ms", 0.0, False, LIMIT, 20.0)),
    ],
)
def test_a_gate_of_a_shadow_becomes_values(text: str, expected: tuple[Any, ...]) -> None:
    assert parse_gate(text) == PlannedGate(text, *expected)


def gates_of(plan: Plan) -> list[list[str]]:
    return [[gate.text for gate in plan.gates_of(n)] for n in range(len(plan.stages))]


def test_gates_about_agreement_are_for_shadow_stages_and_all_others_are_not() -> None:
    agrees, answers = "agreement >= 0.9", "accuracy >= baseline - 0.02"
    default = [*DEFAULT_GATES]
    assert gates_of(make_plan(shadowed())) == [[*SHADOW_GATES], default, []]
    assert gates_of(make_plan(shadowed(plan={"gates": [agrees]}))) == [[agrees], default, []]
    both = {"gates": [answers, agrees]}
    assert gates_of(make_plan(shadowed(plan=both))) == [[agrees], [answers], []]
    own = make_plan(shadowed("failures <= 0.001", plan=both))
    assert gates_of(own) == [["failures <= 0.001"], [answers], []]
    assert gates_of(make_plan(shadowed(plan={"gates": []}))) == [[], [], []]


def test_gates_that_are_named_hold_a_shadow_stage_and_the_default_does_not() -> None:
    assert not make_plan(shadowed()).holds(0)
    assert not make_plan(shadowed(plan={"gates": ["accuracy >= baseline - 0.02"]})).holds(0)
    assert make_plan(shadowed(plan={"gates": ["agreement >= 0.9"]})).holds(0)


BAD = [
    ({"stages": [{"percent": 1, "shadow": True}, LAST]}, "stages.0.shadow: the plan does not say"),
    ({"shadow": {}, "stages": [LAST]}, "shadow: no stage has shadow = true; put one first"),
    ({"shadow": {}}, "or leave [shadow] out"),
    (
        {"shadow": {}, "stages": [{"percent": 1}, {"percent": 5, "shadow": True}, LAST]},
        "stages.1.shadow: a stage before it lets the release answer already; put the",
    ),
    (shadowed(percent=None, shadow=1), "stages.0.shadow: give true or false"),
    ({"shadow": {}, "stages": [{"percent": 100, "shadow": True}]}, "end at 100"),
    (
        {"shadow": {}, "stages": [{"percent": p, "shadow": True} for p in (5, 2)] + [LAST]},
        "percent must rise from stage to stage",
    ),
    (with_shadow(seconds=0), "shadow.seconds: "),
    (with_shadow(compare="labels"), "shadow.compare: "),
    (with_shadow(time=60), 'shadow.time: give a duration in quotes, such as "90s" or "1h"'),
    (with_shadow(time="8d"), "shadow.seconds: "),
    (with_shadow(share_percent=0), "shadow.share_percent: give a number above 0"),
    (with_shadow(share_percent=101), "shadow.share_percent: give at most 100"),
    (with_shadow(ram="64 MB"), "shadow.ram: '64 MB' is no size; give bytes, or one such as"),
    (with_shadow(ram=64), "shadow.ram: "),
    (with_shadow(latency_ms=0), "shadow.latency_ms: give a number above 0"),
    (with_shadow(else_trial="yes"), "shadow.else_trial: give true or false"),
    (with_shadow(minutes=3), "shadow.minutes: unknown key"),
    (shadowed(plan={"shadow": 3}), "shadow: give a table"),
    (shadowed(soak="10m"), "stages.0.soak: shorter than shadow.time, so that its last look"),
    (
        shadowed(deadline="1h", soak="1h"),
        "stages.0.deadline: not longer than shadow.time, so that no device could answer in time; "
        "give more than 1h",
    ),
    (
        shadowed(deadline="65m", soak="1h", plan={"shadow": {"else_trial": True}}),
        "not longer than shadow.time and trial.time, so that no device could answer in time; give "
        "more than 70m",
    ),
    (shadowed("accuracy >= 0.9"), "a release that runs beside the live one is judged by agreement"),
    (shadowed("mean(power_mw) <= 300"), "give it to another stage"),
    (
        shadowed("failures <= baseline + 0.01"),
        "no device has a baseline of a release that does not answer; give a limit, such as",
    ),
    (shadowed("p95(latency_ms) <= 1.2 * baseline"), "such as p95(latency_ms) <= 50"),
    (shadowed("agreement >= baseline - 0.02"), "at 14: a release agrees with the live one itself"),
    (shadowed("agreement <= 0.9"), "more of it is better; give >="),
    (shadowed("agreement >= 97"), "a share is from 0 to 1"),
    (shadowed("agreement >= expected"), "at 14: what is expected needs a margin"),
    (shadowed("agreement >= expected + 0.01"), "give expected - a margin above 0"),
    (shadowed("failures <= expected + 0.01"), "only agreement is compared with what a release"),
    (shadowed("p95(latency_ms) <= 5000"), "give at most 4096 ms: longer ones are counted together"),
    (shadowed("mean(latency_ms) <= 0"), "give a limit above 0 ms"),
    ({"gates": ["agreement >= 0.9"]}, "only a release that runs beside the live one agrees with"),
    (
        {"stages": [{"percent": 1, "gates": ["agreement >= 0.9"]}, LAST]},
        'stages.0.gates: "agreement >= 0.9": only a stage with shadow = true measures agreement',
    ),
    ({"gates": ["mean(latency_ms) <= 20"]}, "or the limit to a stage with shadow = true"),
]


@pytest.mark.parametrize(("settings", "told"), BAD)
def test_a_bad_shadow_stage_is_refused_with_its_place_and_a_remedy(
    settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(OperatorError) as refused:
        make_plan(settings)
    assert told in str(refused.value)
