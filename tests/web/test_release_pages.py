"""The pages of releases: of all models, of one, and of a release with its lineage and arena."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelwave_controller.models.targets import Targets
from modelwave_controller.releases import arenas
from tests.controller.rollout_world import World, quick
from tests.web.page_reader import PageReader
from tests.web.served import served
from tests.web.shelved import BOARD, shelve_keywords

TOO_MUCH = {"flash": 1500, "ram": 10**9, "kernels": [], "runtime": "tflite", "accelerator": ""}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with closing(World(tmp_path_factory.mktemp("releases"), devices=4)) as made:
        for number in range(1, 7):
            made.shelve(number)
        made.shelve(3, (BOARD,), needs=TOO_MUCH)
        shelve_keywords(made, 7, 951_000)
        shelve_keywords(made, 8, 930_000)
        made.start(6, quick(100))
        made.tick()
        made.answer("SUCCEEDED", list(made.devices.values())[:3])
        made.tick()
        yield made


@pytest.fixture
def reader(world: World) -> Iterator[PageReader]:
    with served(world) as url:
        made = PageReader(url)
        made.log_in("viewer")
        yield made


def test_models_are_listed_with_their_newest_releases(reader: PageReader) -> None:
    page = reader.get("/releases").text
    assert re.findall(r"digits (\d)</a>", page) == ["8", "7", "6", "5", "4"]
    assert "All 8 releases of digits" in page
    assert "accuracy 93.0 %" in page
    assert 'data-label="devices" class="number">3<' in page
    assert re.findall(r"digits (\d)</a>", reader.get("/releases/digits").text)[-1] == "1"
    older = reader.get("/releases/digits?before=3").text
    assert re.findall(r"digits (\d)</a>", older) == ["2", "1"]


def test_a_release_says_where_it_runs_and_by_which_rollouts(reader: PageReader) -> None:
    page = reader.get("/releases/digits/6").text
    assert "3 of 4" in page
    assert 'href="../../rollouts/1"' in page
    assert "1,500 bytes" in page
    assert "None yet." in reader.get("/releases/digits/5").text


def test_a_release_is_shown_with_lineage_metrics_fit_and_golden_set(
    world: World, reader: PageReader
) -> None:
    page = reader.get("/releases/digits/8").text
    board = Targets(world.home.targets).get(BOARD)
    assert f"{24 * 1024:,} of {board.free_ram_bytes:,} bytes" in page
    assert "spoken words of 2026" in page
    assert "at least 90 % of the answers have to be right" in page
    assert "93.0 % of 4,000" in page
    assert "worse</span> −2.1 points (−3.1 to −1.1)" in page
    assert "64 inputs with right classes" in page
    assert "<dt>epochs</dt><dd>12</dd>" in page


def test_what_a_target_lacks_is_said(world: World, reader: PageReader) -> None:
    page = reader.get("/releases/digits/3").text
    free = Targets(world.home.targets).get(BOARD).free_ram_bytes
    assert free is not None
    assert 'class="word no"' in page
    assert f"RAM: {10**9 - free:,} bytes missing" in page


def test_the_arena_is_drawn_once_and_stands_in_the_page(reader: PageReader) -> None:
    path = f"/releases/digits/8?arena={BOARD}"
    drawn = reader.get(f"/api/v1/models/digits/releases/8/arenas/{BOARD}")
    assert '"why":""' in drawn.text
    page = reader.get(path).text
    assert "arena over time" in page
    assert "peak:" in page
    assert not re.search(r" style=|<style|<script(?![^>]* src=)", page)
    assert "only a .tflite on a board" in reader.get("/releases/digits/8?arena=linux-cpu").text


def test_what_there_is_not_is_said(reader: PageReader) -> None:
    for path in ("letters", "digits/9", "digits/x", "digits/8?arena=rp2040", "digits?before=x"):
        answer = reader.get(f"/releases/{path}")
        assert answer.status in (404, 422), path
        assert 'role="alert"' in answer.text


def test_a_picture_that_failed_in_any_way_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arenas, "_drawn", lambda *_: (b"\xff".decode(), ""))
    made = arenas.Arenas()
    assert "could not be drawn" in made.picture(tmp_path / "a", "m0", "a", True)[1]
    monkeypatch.setattr(arenas, "_drawn", lambda *_: ("<svg/>", ""))
    assert made.picture(tmp_path / "b", "m0", "b", True) == ("<svg/>", "")
