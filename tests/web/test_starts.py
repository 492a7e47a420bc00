"""Rollouts that begin through the API: what a plan says, and who may begin one."""

from pathlib import Path

import pytest

from modelwave_controller.api import starts as calls
from modelwave_controller.client import Remote
from modelwave_controller.errors import ForbiddenError, OperatorError
from modelwave_controller.rollout.plan import make_plan
from tests.controller.rollout_world import World
from tests.web.served import served


def test_a_plan_arrives_as_it_was_sent() -> None:
    made = make_plan(
        {
            "shadow": {"time": "1h"},
            "stages": [
                {"shadow": True, "percent": 5, "soak": "1h"},
                {"percent": 100, "deadline": "30d", "approval": True, "approval_by": "another"},
            ],
            "maintenance": {"windows": ["mon-fri 01:00-04:00"], "timezone": "Europe/Berlin"},
            "judge": {"window": "5m"},
        }
    )
    asked = calls.Start(model="digits", release="1", plan=made)
    sent = asked.model_dump(mode="json", exclude_defaults=True)
    assert calls.Start.model_validate(sent).plan == made


def test_who_may_start_and_who_may_only_see_what_would_be(tmp_path: Path) -> None:
    world = World(tmp_path, devices=4)
    world.shelve(1)
    said = calls.Start(model="digits", release="1", plan=make_plan({}))
    with served(world) as url:
        with Remote(url, "viewer") as there:
            assert len(there.ask(calls.DRY_RUN, said).devices) == 4
            with pytest.raises(ForbiddenError):
                there.ask(calls.START, said)
        assert world.state().rollouts == {}
        with Remote(url, "operator") as there:
            assert there.ask(calls.START, said).status.status == "NEW"
            later = said.model_copy(update={"start_at": world.now + 400 * 86400})
            with pytest.raises(OperatorError, match=r"start_at: .* more than a year away"):
                there.ask(calls.START, later)
    world.store.close()


def test_a_wrong_plan_is_refused_by_its_key() -> None:
    with pytest.raises(OperatorError, match=r"plan: stages\.0\.percent"):
        calls.Lint(plan={"stages": [{"percent": 101}]})  # type: ignore[arg-type]
