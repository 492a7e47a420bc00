"""Tests that a plan's gates are read, and that a bad one is refused with its place and a remedy."""

import math
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import World

from modelwave_controller.errors import OperatorError
from modelwave_controller.rollout.latency_edges import Edge, find_edge
from modelwave_controller.rollout.plan import DEFAULT_GATES, MAX_GATES, Plan, make_plan
from modelwave_controller.rollout.planned_gates import (
    DIFFERENCE,
    LIMIT,
    MAX_GATE,
    RATIO,
    PlannedGate,
    parse_gate,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path)) as made:
        yield made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy >= baseline - 0.02", ("accuracy", 0.0, True, DIFFERENCE, 0.02)),
        ("accuracy>=0.9", ("accuracy", 0.0, True, LIMIT, 0.9)),
        ("failures <= 0.001", ("failures", 0.0, False, LIMIT, 0.001)),
        ("failures <= baseline+0.01", ("failures", 0.0, False, DIFFERENCE, 0.01)),
        ("p95(latency_ms) <= 1.25 * baseline", ("latency_ms", 0.95, False, RATIO, 0.25)),
        ("  mean( latency_ms )  <=  baseline * 1.5  ", ("latency_ms", 0.0, False, RATIO, 0.5)),
        ("mean(power_mw) <= baseline + 20", ("power_mw", 0.0, False, DIFFERENCE, 20.0)),
        ("mean(power.mw-2) <= 310.5", ("power.mw-2", 0.0, False, LIMIT, 310.5)),
        ("mean(fps) >= 0.75 * baseline", ("fps", 0.0, True, RATIO, 0.25)),
        ("mean(temp) >= -40", ("temp", 0.0, True, LIMIT, -40.0)),
        ("over(latency_ms) <= 0.05", ("over(latency_ms)", 0.0, False, LIMIT, 0.05)),
        (
            "over(latency_ms) <= baseline + 0.01",
            ("over(latency_ms)", 0.0, False, DIFFERENCE, 0.01),
        ),
        (
            "estimated_accuracy >= baseline - 0.02",
            ("estimated_accuracy", 0.0, True, DIFFERENCE, 0.02),
        ),
    ],
)
def test_a_gate_becomes_values(text: str, expected: tuple[Any, ...]) -> None:
    assert parse_gate(text) == PlannedGate(text, *expected)


def with_gates(*gates: Any, **stage: Any) -> dict[str, Any]:
    stages = [{"percent": 10} | stage, {"percent": 100}]
    return {"gates": list(gates), "stages": stages}


BAD_PLANS = [
    (with_gates(""), "at 1: begin with accuracy"),
    (with_gates(">= 0.9"), "at 1: begin with accuracy"),
    (with_gates("acuracy >= 0.9"), "at 1: 'acuracy' cannot be judged; give accuracy"),
    (with_gates("latency_ms <= 20"), "at 1: 'latency_ms' cannot be judged"),
    (with_gates("max(latency_ms) <= 20"), "at 1: 'max' cannot be judged"),
    (with_gates("accuracy"), "at 9: give <= or >="),
    (with_gates("accuracy = 0.9"), "at 10: give <= or >="),
    (with_gates("accuracy == 0.9"), "at 10: give <= or >="),
    (with_gates("accuracy > 0.9"), "at 10: give <= or >="),
    (with_gates("accuracy => 0.9"), "at 10: give <= or >="),
    (with_gates("accuracy <= 0.9"), "at 10: more of it is better; give >="),
    (with_gates("failures >= 0.001"), "at 10: less of it is better; give <="),
    (with_gates("mean(latency_ms) >= 0.5 * baseline"), "less of it is better; give <="),
    (with_gates("accuracy >="), "at 12: give a limit, or baseline - 0.02"),
    (with_gates("accuracy >= high"), "at 13: give a limit, or baseline - 0.02"),
    (with_gates("accuracy >= baseline"), "at 13: a baseline needs a margin; give baseline - 0.02"),
    (with_gates("accuracy >= baseline - x"), "at 13: a baseline needs a margin"),
    (with_gates("accuracy >= baseline - 0"), "at 13: it must allow some harm"),
    (with_gates("accuracy >= baseline + 0.02"), "give baseline - a margin above 0"),
    (with_gates("failures <= baseline - 0.02"), "give baseline + a margin above 0"),
    (with_gates("accuracy >= baseline - 2"), "at 13: a share is from 0 to 1; give 0.02 for 2 %"),
    (with_gates("accuracy >= 90"), "at 13: a share is from 0 to 1"),
    (with_gates("failures <= -0.1"), "at 13: a share is from 0 to 1"),
    (with_gates("accuracy >= 0.98 * baseline"), "a share is compared by a difference"),
    (
        with_gates("accuracy >= 0.9 0.8"),
        "at 17: nothing may follow; write each gate as a text of its own",
    ),
    (with_gates("accuracy >= 0.9 and failures <= 0.1"), "at 17: nothing may follow"),
    (with_gates("accuracy >= nan"), "at 13: give a limit"),
    (with_gates("over(power_mw) <= 0.1"), "at 6: only latency_ms has a limit in releases"),
    (with_gates("over(latency_ms) <= 50"), "at 21: a share is from 0 to 1; give 0.02 for 2 %"),
    (with_gates("over(latency_ms) <= 1.2 * baseline"), "a share is compared by a difference"),
    (with_gates("over(latency_ms) >= 0.1"), "at 18: less of it is better; give <="),
    (with_gates("mean(accuracy) <= 0.9"), "at 1: give accuracy without mean(), or another name"),
    (with_gates("p95(failures) <= 0.9"), "at 1: give failures without p95(), or another name"),
    (with_gates("estimated_accuracy >= 0.9"), "at 23: an estimate is compared with the controls'"),
    (with_gates("estimated_accuracy >= 0.9 * baseline"), "a share is compared by a difference"),
    (with_gates("estimated_accuracy <= baseline + 0.1"), "more of it is better; give >="),
    (with_gates("accuracy >= 1e-3"), "at 14: nothing may follow"),
    (with_gates("mean <= 20"), "at 6: name in brackets what is meant, such as mean(latency_ms)"),
    (with_gates("mean() <= 20"), "at 6: '' is no name of a number: give 1 to 16 letters"),
    (with_gates("mean(power mw) <= 20"), "at 6: 'power mw' is no name of a number"),
    (with_gates("mean(a_very_long_number) <= 20"), "is no name of a number"),
    (with_gates("mean(power_mw) <= 99999999999"), "nothing may follow"),
    (with_gates("mean(power_mw) <= 9999999999"), "give a number of at most 1000000000"),
    (with_gates("p95(power_mw) <= 1.2 * baseline"), "only latency_ms has a histogram; give mean("),
    (with_gates("p100(latency_ms) <= 1.2 * baseline"), "at 1: give p50 to p99"),
    (with_gates("p5(latency_ms) <= 1.2 * baseline"), "at 1: give p50 to p99"),
    (with_gates("p95(latency_ms) <= 20"), "latency is compared by a ratio; give 1.2 * baseline"),
    (with_gates("mean(latency_ms) <= baseline + 5"), "latency is compared by a ratio"),
    (with_gates("mean(latency_ms) <= 0.9 * baseline"), "it must allow some harm; give a factor"),
    (with_gates("mean(fps) >= 1.1 * baseline"), "give a factor such as 0.8, below 1"),
    (with_gates("mean(x) <= 1000 * baseline"), "above 1 and at most 100"),
    (with_gates("accuracy >= 0.9" + " " * MAX_GATE), "a gate has at most 120 letters"),
    (with_gates("accuracy >= 0.9", "accuracy >= 0.8"), '"accuracy >= 0.9" names it already'),
    (with_gates(*(f"mean(n{i}) <= 1" for i in range(MAX_GATES + 1))), "gates: more than 8 entries"),
    (with_gates(0.9), "gates.0: give a text, in quotes"),
    (with_gates(gates=["accuracy >= x"]), "stages.0.gates: "),
    (with_gates("accuracy >= 0.9", soak="10m"), "stages.0.soak: shorter than a window of 900 s"),
    ({"gates": "accuracy >= 0.9"}, "gates: give a list, in square brackets"),
    ({"judge": {"window": 15}}, 'judge.window: give a duration in quotes, such as "90s" or "1h"'),
    ({"judge": {"window": "0s"}}, "judge.window_seconds: "),
    ({"judge": {"grace": "2d"}}, "judge.grace_seconds: "),
    (
        {"judge": {"inconclusive": "ignore"}},
        "judge.inconclusive: give 'hold' or 'go on'",
    ),
    ({"judge": {"least_devices": 0}}, "judge.least_devices: "),
    ({"judge": {"max_false_fail_percent": 0}}, "judge.max_false_fail_percent: "),
    ({"judge": {"alpha": 0.05}}, "judge.alpha: unknown key"),
]


@pytest.mark.parametrize(("settings", "told"), BAD_PLANS)
def test_a_bad_plan_is_refused_with_the_gate_its_place_and_a_remedy(
    settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(OperatorError) as refused:
        make_plan(settings)
    assert told in str(refused.value)
    for gate in settings.get("gates", ()) if ": at" in told else ():
        assert f'"{gate}"' in str(refused.value)


def test_there_are_at_least_forty_bad_plans() -> None:
    assert len(BAD_PLANS) >= 40


def gates_of(plan: Plan) -> list[list[str]]:
    return [[gate.text for gate in plan.gates_of(n)] for n in range(len(plan.stages))]


def test_a_stage_has_its_own_gates_or_the_plans_or_the_defaults() -> None:
    limit, other = "failures <= 0.001", "accuracy >= baseline - 0.02"
    assert gates_of(make_plan(with_gates(limit, other))) == [[limit, other], [limit]]
    assert gates_of(make_plan(with_gates(limit, gates=[other]))) == [[other], [limit]]
    assert gates_of(make_plan(with_gates(limit, gates=[]))) == [[], [limit]]
    assert gates_of(make_plan({"stages": [{"percent": 100}]})) == [[]]
    assert gates_of(make_plan({}))[0] == list(DEFAULT_GATES)


def test_gates_that_a_plan_names_hold_and_the_defaults_go_on() -> None:
    named, default = make_plan(with_gates("accuracy >= 0.9")), make_plan({})
    assert (named.holds(0), default.holds(0)) == (True, False)
    assert make_plan({"judge": {"inconclusive": "hold"}}).holds(0)
    assert not make_plan(
        with_gates("accuracy >= 0.9") | {"judge": {"inconclusive": "go on"}}
    ).holds(0)


def test_lint_says_what_is_judged_at_each_stage_and_when(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(
        """
        gates = ["accuracy >= baseline - 0.02", "failures <= 0.001"]
        [[stages]]
        percent = 10
        soak = "2h"
        [[stages]]
        percent = 20
        gates = []
        soak = "10m"
        [[stages]]
        percent = 100
        """
    )
    out = run("rollout", "lint", "--plan", str(file)).out
    assert "accuracy >= baseline - 0.02, failures <= 0.001, silence, roll-backs, by evidence" in out
    assert (
        "20m (after 1 window), 35m (after 2 windows), 65m (after 4 windows), 125m (after 8" in out
    )
    assert "no looks at what devices measure: its soak is shorter than a window of 15m" in out
    rows = run("rollout", "lint", "--plan", str(file), "--json").json()
    assert [row["gates"][:-1] for row in rows] == [
        ["accuracy >= baseline - 0.02", "failures <= 0.001", "silence"],
        [],
        ["failures <= 0.001"],
    ]
    file.write_text('gates = ["estimated_accuracy >= baseline - 0.02"]')
    out = run("rollout", "lint", "--plan", str(file)).out
    assert "estimated_accuracy >= baseline - 0.02 (by tables of reliability; may only HOLD)" in out
    file.write_text('gates = ["accuracy > 0.9"]')
    ran = run("rollout", "lint", "--plan", str(file))
    assert ran.code == 2
    assert '"accuracy > 0.9": at 10: give <= or >=' in ran.err


@pytest.mark.parametrize(
    ("bins", "edge"),
    [
        ([0, 0, 60, 30, 8, 2], (4, 0.3 * math.log2(1.2))),  # 10 % above: nearest to 5 %
        ([0, 0, 0, 100], (0, 0.0)),  # all in one bin
        ([0] * 6, (0, 0.0)),
        ([0, 50, 50], (2, 0.5 * math.log2(1.2))),
    ],
)
def test_the_edge_for_a_quantile_is_near_it_and_has_something_below(
    bins: list[int], edge: tuple[int, float]
) -> None:
    found = find_edge([bins], 0.05, 1.2)
    assert found.bin == edge[0]
    assert found.margin == pytest.approx(edge[1])


def test_twice_and_more_as_slow_moves_whole_bins_above_the_edge() -> None:
    assert find_edge([[10, 20, 40, 30]], 0.3, 2.0) == pytest.approx(Edge(3, 0.4))
    assert find_edge([[10, 20, 40, 30]], 0.3, 4.0) == pytest.approx(Edge(3, 0.6))


def test_a_quantile_of_latency_is_limited_where_its_histogram_ends() -> None:
    """Its last edge is 0.25 ms doubled 14 times."""
    assert parse_gate("p95(latency_ms) <= 4096").value == 4096
    assert parse_gate("mean(latency_ms) <= 4097").value == 4097
    with pytest.raises(ValueError, match="at 20: give at most 4096 ms: longer ones are counted"):
        parse_gate("p95(latency_ms) <= 4096.5")


def at_most(letters: int) -> str:
    return "accuracy >= 0.9".ljust(letters)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (at_most(MAX_GATE), 0.9),
        *(("p50(latency_ms) <= 5", 5.0), ("p99(latency_ms) <= 5", 5.0)),
        *(("mean(latency_ms) <= 0.001", 0.001), ("mean(x) <= 100 * baseline", 99.0)),
        *(("mean(x) <= 1000000000", 1e9), ("mean(x) >= -1000000000", -1e9)),
        *(("accuracy >= 0", 0.0), ("accuracy >= 1", 1.0), ("agreement >= expected - 0.1", 0.1)),
    ],
)
def test_a_gate_at_its_bound_is_taken(text: str, value: float) -> None:
    assert parse_gate(text).value == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            at_most(MAX_GATE + 1),
            "'accuracy >= 0.9     '…: at 121: a gate has at most 120 letters",
        ),
        ("p49(latency_ms) <= 5", "at 1: give p50 to p99"),
        ("p100(latency_ms) <= 5", "at 1: give p50 to p99"),
        ("mean(latency_ms) <= 0", "at 21: give a limit above 0 ms"),
        ("mean(latency_ms) <= -1", "at 21: give a limit above 0 ms"),
        ("mean(fps) >= 1 * baseline", "give a factor such as 0.8, below 1"),
        ("mean(fps) >= 0 * baseline", "give a factor such as 0.8, below 1"),
        ("mean(fps) >= -0.5 * baseline", "give a factor such as 0.8, below 1"),
        ("mean(x) <= 1 * baseline", "give a factor such as 1.2, above 1 and at most 100"),
        ("mean(x) <= 100.1 * baseline", "give a factor such as 1.2, above 1 and at most 100"),
        ("mean(x) <= 1000000000.1", "at 12: give a number of at most 1000000000"),
        ("accuracy >= 0.98 * baseline", "by a difference; give baseline - 0.02"),
        ("failures <= 1.02 * baseline", "by a difference; give baseline + 0.02"),
        ("accuracy >= expected - 0.1", "at 13: only agreement is compared with what a release"),
        (f"{'a' * 30} >= 1", f"at 1: '{'a' * 20}' cannot be judged"),
        (f"mean({'a' * 30}) >= 1", f"at 6: '{'a' * 20}' is no name of a number"),
    ],
)
def test_a_gate_beyond_its_bound_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        parse_gate(text)


@pytest.mark.parametrize(
    ("text", "is_share"),
    [
        *(("accuracy >= 0.9", True), ("over(latency_ms) <= 0.1", True)),
        *(("p95(latency_ms) <= 5", True), ("mean(latency_ms) <= 5", False)),
        ("mean(power_mw) <= 5", False),
    ],
)
def test_shares_are_those_and_quantiles(text: str, is_share: bool) -> None:
    assert parse_gate(text).is_share == is_share
