"""The form that starts a rollout: what it says, what it would do, and where its errors stand."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwave_controller.errors import OperatorError
from modelwave_controller.web.page import start_fields
from modelwave_controller.web.page.start_fields import asked, beside
from tests.controller.rollout_world import World, newest, quick
from tests.web.page_reader import PageReader
from tests.web.served import served

WHAT = {"model": "digits", "release": "2"}
TOML = '[[stages]]\npercent = 100\nsoak = "5m"\napproval = true\n'


# Pure.


def test_fields_say_what_the_options_of_the_command_say() -> None:
    said = asked(
        WHAT
        | {"targets": "esp32, linux-cpu", "stages": "5, 50 100%", "soak": "90s", "trial": "5s"}
        | {"window": "30s", "gates": "failures <= 0.1\n\n", "approval": "2,3", "another": "true"}
        | {"start_in": "2h", "supersede": "urgent", "seed": "7"},
        now=1000.0,
    )
    assert said.plan is not None
    assert [
        (one.percent, one.soak_seconds, one.approval, one.approval_by) for one in said.plan.stages
    ] == [
        (5, 90, False, "anybody"),
        (50, 90, True, "another"),
        (100, 90, True, "another"),
    ]
    assert said.plan.gates == ("failures <= 0.1",)
    assert (said.plan.trial.seconds, said.plan.judge.window_seconds) == (5, 30)
    assert (said.targets, said.seed, said.start_at) == (["esp32", "linux-cpu"], 7, 8200.0)
    assert said.supersede == "urgent"


def test_without_a_plan_it_is_the_default_one() -> None:
    assert asked(WHAT, 0).plan is None


def test_a_whole_plan_is_read_as_from_a_file() -> None:
    plan = asked(WHAT | {"plan": TOML}, 0).plan
    assert plan is not None
    assert plan.stages[0].approval is True


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"targets": "a b!"}, "targets", "is no name"),
        ({"stages": "1, x"}, "stages", "commas between"),
        ({"stages": "50, 10, 100"}, "stages", "percent must rise"),
        ({"stages": "0, 100"}, "stages", "above 0"),
        ({"soak": "soon"}, "soak", "90s"),
        ({"soak": "10m", "gates": "failures <= 0.1"}, "soak", "shorter than a window"),
        ({"trial": "-1"}, "trial", ""),
        ({"window": "0s"}, "window", ""),
        ({"approval": "5"}, "approval", "from 1 to 4"),
        ({"approval": "³"}, "approval", "from 1 to 4"),
        ({"approval": "00019"}, "approval", "from 1 to 4"),
        ({"plan": "a = " + "9" * 5000}, "plan", "not TOML"),
        ({"another": "true"}, "approval", "name the stages"),
        ({"gates": "accuracy"}, "gates", "accuracy"),
        ({"plan": "stages = 1"}, "plan", "list"),
        ({"plan": "no toml"}, "plan", "TOML"),
        ({"plan": TOML, "soak": "1h"}, "plan", "not both"),
        ({"start_in": "tomorrow"}, "start_in", "tomorrow"),
        ({"seed": "x"}, "seed", "whole number"),
        ({"supersede": "x" * 201}, "supersede", "200"),
    ],
)
def test_an_error_stands_beside_its_field(given: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(OperatorError) as caught:
        asked(WHAT | given, 0)
    found, told = beside(str(caught.value))
    assert found == field, caught.value
    assert words in told


def test_an_error_of_no_field_is_told_whole() -> None:
    assert beside("--target: it is not for it") == ("targets", "it is not for it")
    assert beside("cannot start: because") == ("", "cannot start: because")
    assert beside("none") == ("", "none")


# On the page.


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world", devices=20)
    made.start(1, quick(100))
    made.tick()
    made.answer("SUCCEEDED", made.devices.values())
    made.tick()
    made.shelve(2)
    yield made
    made.store.close()


def test_an_operator_looks_at_what_it_would_do_and_starts_it_with_the_same_draw(
    world: World,
) -> None:
    with served(world) as url:
        reader = PageReader(url)
        reader.log_in("operator")
        assert 'href="start"' in reader.get("/rollouts").text
        empty = reader.get("/start?model=digits&release=2").text
        assert 'id="model" name="model" value="digits"' in empty
        assert '<option value="digits"></option>' in empty
        assert '<option value="2">digits v2</option>' in empty
        fields = WHAT | {"stages": "10, 100", "gates": "failures <= 0.5", "approval": "2"}
        page = reader.act("/start", act="preview", **fields).text
        assert len(world.state().rollouts) == 1, "nothing was started"
        assert "1 (10 %)" in page
        assert "after approval" in page
        assert 'value="10, 100"' in page
        assert ">\nfailures &lt;= 0.5</textarea>" in page
        seed = re.search(r'name="seed" value="(\d+)"', page)
        assert seed
        page = reader.act("/start", act="start", seed=seed[1], **fields).text
        assert "Started." in page
        assert "some-operator" in page
    assert newest(world).created.seed == int(seed[1])


def test_an_error_is_shown_beside_its_field_and_what_was_typed_stays(world: World) -> None:
    with served(world) as url:
        reader = PageReader(url)
        reader.log_in("operator")
        answer = reader.act("/start", act="preview", model="Digits!", release="2")
        assert 'id="model-problem"' in answer.text
        for act in ("preview", "start"):
            answer = reader.act("/start", act=act, model="digits", release="77", soak="5m")
            assert answer.status == 422
            assert re.search(r'id="release"[^>]* aria-invalid="true"', answer.text)
            assert '<p class="problem" id="release-problem">digits has no release 77' in answer.text
            assert 'id="soak" name="soak" value="5m"' in answer.text
        answer = reader.act("/start", act="start", **WHAT, plan="<script>\n'")
        assert "<details open" in answer.text
        assert "&lt;script&gt;\n&#x27;</textarea>" in answer.text
    assert len(world.state().rollouts) == 1


@pytest.mark.parametrize("role", ["viewer", "approver"])
def test_who_may_not_operate_looks_only(world: World, role: str) -> None:
    with served(world) as url:
        reader = PageReader(url)
        reader.log_in(role)
        assert "start" not in reader.get("/rollouts").text.partition("<main")[2]
        page = reader.act("/start", act="preview", **WHAT).text
        assert "What it would do" in page
        assert 'value="start"' not in page
        answer = reader.act("/start", act="start", **WHAT)
        assert answer.status == 422
        assert "may not operate" in answer.text
        foreign = reader.post("/start", WHAT | {"act": "start"}, Origin="https://elsewhere.example")
        assert foreign.status == 403
    assert len(world.state().rollouts) == 1


def test_the_form_has_every_field_and_no_other() -> None:
    template = Path(start_fields.__file__).parent / "templates/start.html"
    named = set(re.findall(r'(?:line|lines)\("(\w+)"', template.read_text())) | {"seed", "another"}
    assert named == set(start_fields.FIELDS)
