"""Tests that rollouts are judged without labels: by confidences and the tables that releases sign.
Predicted classes are compared, and judge nothing."""

import io
import json
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from observing_fleet import LABELS, NEW, OLD, WINDOW, ObservingFleet, judging
from rich.console import Console
from rollout_world import World, newest, seen

from modelwave_controller.cli import report_markdown, view
from modelwave_controller.errors import OperatorError
from modelwave_controller.judge.estimated import Bin, Table
from modelwave_controller.operations import report, rollouts
from modelwave_controller.releases import reliability
from modelwave_controller.rollout import course
from modelwave_controller.rollout.events import Finding, Looked, load_event
from modelwave_controller.rollout.plan import make_plan
from modelwave_controller.rollout.state import FINISHED, HELD
from modelwave_controller.storage import log
from modelwave_shared.window_format import BINS, confidence_bin, packed

ESTIMATED = "estimated_accuracy >= baseline - 0.02"


def table(better: float = 0.0, examples: int = 2000) -> Table:
    """Of a model that is right as often as it is confident, or more often by `better`."""
    shares = (min(max((b + 0.5) / BINS + better, 0.0), 1.0) for b in range(BINS))
    return tuple(Bin(examples, round(examples * share)) for share in shares)


HONEST = table()


def signed(found: Table | None) -> dict[str, Any]:
    return {"extra": reliability.recorded(found)} if found else {}


@pytest.fixture
def dozen(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=12)) as made:
        yield made


class UnlabelledFleet(ObservingFleet):
    """`falls`: by how much the new release is less confident."""

    def __init__(
        self, world: World, falls: float = 0.0, old: Table | None = HONEST, new: Table = HONEST
    ) -> None:
        super().__init__(world)
        self.falls = falls
        self.old, self.signed = old, signed(new)
        self.chance = random.Random(1)
        self.extra = self.unlabelled

    def unlabelled(self, release: int) -> dict[str, Any]:
        bins = [0] * BINS
        for _ in range(LABELS):
            drawn = self.chance.gauss(0.8 - self.falls * (release == NEW), 0.1)
            bins[confidence_bin(min(max(drawn, 0.0), 1.0))] += 1
        return {"labelled": 0, "correct": 0, "confidence": packed(bins)}

    def judged(self, *gates: str, **changes: Any) -> str:
        """Runs a rollout whose first stage opens a half; returns its status."""
        plan = judging(*gates, stages=(50, 100), **changes)
        first = plan.stages[0].model_copy(update={"soak_seconds": 4 * WINDOW})
        self.plan = plan.model_copy(update={"stages": (first, plan.stages[1])})
        self.bring_old(**signed(self.old))
        self.begin(self.plan, before=4)
        return self.run(20).status


def looks(world: World) -> list[Looked]:
    with world.store.read() as connection:
        found = [event.body for event in log.events_after(connection, 0, reports_of=[])]
    return [body for body in found if isinstance(body, Looked)]


def estimates(world: World) -> list[Finding]:
    return [f for look in looks(world) for f in look.findings if f.gate == ESTIMATED]


@pytest.mark.parametrize(
    ("gates", "judge"),
    [((), {}), ((), {"inconclusive": "go on"}), ((ESTIMATED,), {"inconclusive": "go on"})],
    ids=["by default", "a plan that goes on", "named"],
)
def test_a_fall_of_confidence_holds_at_once_and_until_a_person_decides(
    dozen: World, gates: tuple[str, ...], judge: dict[str, Any]
) -> None:
    fleet = UnlabelledFleet(dozen, falls=0.1)
    assert fleet.judged(*gates, judge=judge) == HELD
    assert [look.windows for look in looks(dozen)] == [1]  # before the soak's end
    assert [found.verdict for found in estimates(dozen)] == ["HOLD"]
    status = seen(dozen)
    assert f"HOLD: {ESTIMATED}: estimated accuracy: harm 0." in status.why
    assert status.next.startswith("a person decides: `modelwave rollout resume 2 --accept REASON`")
    row = next(row for row in status.judged if row.gate == ESTIMATED)
    assert (row.verdict, row.margin, row.canaries, row.controls) == ("HOLD", 0.02, 6, 6)
    fleet.falls = 0.0
    for _ in range(8):
        fleet.step()
    assert newest(dozen).status == HELD
    assert newest(dozen).back is None
    rollouts.resume(dozen.store, "2", "the labels of a person say that it is good", dozen.now)
    assert fleet.run().status == FINISHED


@pytest.mark.parametrize("gates", [(), (ESTIMATED, "failures <= baseline + 0.1")])
def test_equal_confidence_lets_a_rollout_go_on_and_is_no_pass(
    dozen: World, gates: tuple[str, ...]
) -> None:
    assert UnlabelledFleet(dozen).judged(*gates) == FINISHED
    assert {found.verdict for found in estimates(dozen)} == {"INCONCLUSIVE"}
    reason = newest(dozen).stages[0].verdict_reason
    assert f"each gate passed; {ESTIMATED}: estimated accuracy: harm " in reason


def test_a_model_that_is_less_confident_and_knows_it_is_not_held(dozen: World) -> None:
    assert UnlabelledFleet(dozen, falls=0.1, new=table(better=0.1)).judged() == FINISHED
    assert estimates(dozen)


def test_an_over_confident_model_is_held_by_its_table(dozen: World) -> None:
    assert UnlabelledFleet(dozen, falls=0.0, new=table(better=-0.1)).judged() == HELD


def test_tables_of_a_few_examples_prove_nothing(dozen: World) -> None:
    few = table(examples=3), table(better=0.01, examples=4)
    assert UnlabelledFleet(dozen, falls=0.1, old=few[0], new=few[1]).judged() == FINISHED
    assert {found.verdict for found in estimates(dozen)} == {"INCONCLUSIVE"}


def test_without_a_table_of_the_release_before_nothing_is_estimated(dozen: World) -> None:
    assert UnlabelledFleet(dozen, falls=0.1, old=None).judged() == FINISHED
    assert looks(dozen)
    assert estimates(dozen) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (HONEST, None, "release 2 of digits for linux-cpu has no table of reliability: sign one"),
        (None, HONEST, "release 1 of digits for linux-cpu has no table of reliability: sign one"),
    ],
)
def test_a_named_estimate_without_tables_is_refused_at_the_start(
    dozen: World, old: Table | None, new: Table | None, told: str
) -> None:
    fleet = ObservingFleet(dozen)
    fleet.bring_old(**signed(old))
    with pytest.raises(OperatorError, match="modelwave release create --reliability FILE") as error:
        dozen.start(NEW, judging(ESTIMATED), **signed(new))
    assert f'--plan: "{ESTIMATED}" cannot be judged: {told}' in str(error.value)


def test_a_named_estimate_of_a_first_release_is_refused_at_the_start(dozen: World) -> None:
    dozen.tick()
    with pytest.raises(OperatorError, match="no rollout has brought a release of digits"):
        dozen.start(NEW, judging(ESTIMATED), **signed(HONEST))


def test_a_named_estimate_that_no_device_sends_confidences_for_holds_with_the_remedy(
    dozen: World,
) -> None:
    fleet = UnlabelledFleet(dozen)
    fleet.extra = lambda release: {"labelled": 0, "correct": 0}
    assert fleet.judged(ESTIMATED) == HELD
    assert "observe(confidence=…)" in newest(dozen).reason


def test_a_window_of_a_release_that_no_rollout_has_ordered_does_not_count(dozen: World) -> None:
    fleet = UnlabelledFleet(dozen)
    named, strange = fleet.document, list[str]()

    def choose_a_control() -> None:
        orders = {name: dozen.ordered(device) for name, device in dozen.devices.items()}
        names = (name for name, order in orders.items() if order and order["seq"] == fleet.old_seq)
        strange.extend(() if strange else [next(names)])

    def document(device: Any, release: int, age: int) -> dict[str, Any]:
        found = named(device, release, age)
        return found | ({"release": 7} if device.name in strange and release == OLD else {})

    fleet.document = document  # type: ignore[method-assign]
    fleet.before_step = choose_a_control
    fleet.judged()
    last = estimates(dozen)[-1]
    assert (last.canaries, last.controls) == (6, 5)


def test_one_target_that_is_less_confident_is_named(tmp_path: Path) -> None:
    with closing(World(tmp_path, devices=20)) as world:
        world.add(20, "rp2040")
        fleet = UnlabelledFleet(world)
        fleet.targets = ("linux-cpu", "rp2040")
        named = fleet.document

        def document(device: Any, release: int, age: int) -> dict[str, Any]:
            fleet.falls = 0.15 if device.target == "rp2040" else -0.1
            return named(device, release, age)

        fleet.document = document  # type: ignore[method-assign]
        assert fleet.judged() == HELD
        rows = {row.target: row.verdict for row in seen(world).judged if row.gate == ESTIMATED}
        assert rows == {"": "HOLD", "linux-cpu": "INCONCLUSIVE", "rp2040": "HOLD"}


def test_an_estimate_takes_no_error_from_the_gates_that_may_fail() -> None:
    without = make_plan({"gates": ["failures <= baseline + 0.1"]})
    beside = make_plan({"gates": ["failures <= baseline + 0.1", ESTIMATED]})
    assert course.budget(without, 0) == course.budget(beside, 0)
    assert course.budget(make_plan({}), 0).quantities == 4


# --- predicted classes


def drifting(fleet: ObservingFleet) -> None:
    def classes(release: int) -> dict[str, Any]:
        ones = 50 if release == NEW else 30
        return {"classes": {"1": ones, "7": 90 - ones}, "classes_rest": 10}

    fleet.extra = classes


def test_classes_that_differ_are_shown_and_judge_nothing(dozen: World) -> None:
    fleet = UnlabelledFleet(dozen)
    drifting(fleet)
    assert fleet.judged("failures <= baseline + 0.1") == FINISHED
    found = looks(dozen)[-1].drift[0]
    assert (found.target, found.canaries, found.controls) == ("linux-cpu", 2400, 2400)
    assert found.distance == pytest.approx(0.2)
    assert [move.name for move in found.moved] == ["1", "7"]
    status = seen(dozen)
    assert status.json()["drift"][0]["moved"][0] == {"name": "1", "canaries": 0.5, "controls": 0.3}
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(view.rollout(status))
    told = (
        "predicted classes in stage 1, linux-cpu: 20 % of 2,400 predictions of canaries differ "
        "from 2,400 of controls (1 50 % beside 30 %, 7 40 % beside 60 %); this judges nothing"
    )
    assert told in " ".join(console.export_text().split())
    page = report_markdown.page(report.make(dozen.store, None, "f", "test", dozen.now), utc=True)
    assert "## Predicted classes" in page
    assert "1 50 % beside 30 %, 7 40 % beside 60 %" in page
    assert "This judges nothing" in page


def test_classes_without_a_name_count_together(dozen: World) -> None:
    fleet = UnlabelledFleet(dozen)
    fleet.extra = lambda release: {"classes": {"1": 10}, "classes_rest": 5 if release == NEW else 1}
    fleet.judged()
    assert [row.name for row in seen(dozen).drift[0].moved] == ["1", "the other classes"]


def test_a_look_of_an_older_program_has_no_drift() -> None:
    body = {"kind": "looked", "stage": 0, "look": 0, "windows": 1, "observed": True, "findings": []}
    event = load_event(1, 1, 0.0, "looked", json.dumps(body))
    assert isinstance(event.body, Looked)
    assert event.body.drift == []
