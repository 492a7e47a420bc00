"""Rollouts that begin through the API: what a plan says, and who may begin one."""

from pathlib import Path

import pytest

from modelwave_controller import cli
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


def test_a_service_lints_by_its_fleet_s_settings_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path, devices=1)
    settings = world.home.path / "controller.toml"
    line = "another_approves_from_percent = 50"
    settings.write_text(settings.read_text().replace(f"# {line}", line))
    plan = tmp_path / "plan.toml"
    plan.write_text("[[stages]]\npercent = 10\n[[stages]]\npercent = 100\n")
    monkeypatch.setenv("MODELWAVE_TOKEN", "viewer")
    lint = ("rollout", "lint", "--plan", str(plan))
    said = []
    with served(world) as url:
        for where in (["--home", str(world.home.path)], ["--server", url], []):
            assert cli.run([*where, *lint]) == 0
            said.append(capsys.readouterr().out)
    world.store.close()
    assert said[0] == said[1]
    asked = "opens after approval by another than who started it"
    assert (said[0].count(asked), said[2].count(asked)) == (1, 0)
