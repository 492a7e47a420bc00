"""A device's page: what it shows of it, and the acts that a role may do with it."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwave_controller.storage import tags
from modelwave_shared import topics
from tests.controller.observing_fleet import ObservingFleet, judging
from tests.controller.rollout_world import FLEET, World
from tests.web.page_reader import PageReader
from tests.web.served import served


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world", devices=3)
    yield made
    made.store.close()


@pytest.fixture
def reader(world: World) -> Iterator[PageReader]:
    with served(world) as url:
        yield PageReader(url)


def tags_of(world: World, device: str) -> list[str]:
    with world.store.read() as connection:
        return tags.of(connection, device)


def test_an_operator_gives_a_device_tags_and_takes_them_away(
    world: World, reader: PageReader
) -> None:
    reader.log_in("operator")
    page = reader.act("/devices/d0/tag", add="canary, site-7").text
    assert "The tags are changed." in page
    assert "take canary away" in page
    assert tags_of(world, "d0") == ["canary", "site-7"]
    reader.act("/devices/d0/tag", add="old", **{"remove.canary": "true"})
    assert tags_of(world, "d0") == ["old", "site-7"]
    assert "some-operator" in reader.get("/log").text


def test_a_wrong_tag_is_said_beside_the_form(world: World, reader: PageReader) -> None:
    reader.log_in("operator")
    for fields, why in (
        ({"add": "No"}, "add"),
        ({}, "--add"),
        ({"add": "a", "remove.a": "true"}, "both have a"),
        ({"add": " ".join(f"t{n}" for n in range(17))}, "add"),
    ):
        answer = reader.act("/devices/d0/tag", **fields)
        assert answer.status == 422
        assert 'role="alert"' in answer.text
        assert why in answer.text
    assert tags_of(world, "d0") == []
    assert reader.act("/devices/d77/tag", add="a").status == 422


def test_an_operator_forgets_a_device(world: World, reader: PageReader) -> None:
    reader.log_in("operator")
    page = reader.act("/devices/d1/forget").text
    assert "forgotten until it reports again" in page
    assert 'href="devices/d0"' in page
    assert 'href="devices/d1"' not in page
    assert reader.act("/devices/d1/forget").status in (404, 422)


@pytest.mark.parametrize("role", ["viewer", "approver"])
def test_who_may_not_operate_is_offered_no_act_and_refused(
    world: World, reader: PageReader, role: str
) -> None:
    reader.log_in(role)
    assert "<details" not in reader.get("/devices/d0").text
    for act in ("tag", "forget"):
        answer = reader.act(f"/devices/d0/{act}", add="canary")
        assert answer.status == 422
        assert "may not operate" in answer.text
    assert tags_of(world, "d0") == []
    assert reader.get("/devices/d0").status == 200


def test_a_form_of_another_page_changes_no_device(world: World, reader: PageReader) -> None:
    reader.log_in("admin")
    csrf = reader.csrf()
    for fields, headers in (
        ({"csrf": csrf}, {"Origin": "https://elsewhere.example"}),
        ({"csrf": "wrong"}, {}),
        ({}, {}),
    ):
        for act in ("tag", "forget"):
            answer = reader.post(f"/devices/d0/{act}", {"add": "x", **fields}, **headers)
            assert answer.status == 403
    assert tags_of(world, "d0") == []
    assert reader.get("/devices/d0").status == 200


def test_a_device_is_shown_with_its_order_answers_windows_and_acts(tmp_path: Path) -> None:
    world = World(tmp_path / "observing", devices=3)
    fleet = ObservingFleet(world)
    fleet.begin(judging("accuracy >= baseline - 0.05", stages=(100,)), before=4)
    fleet.step()
    world.answer("ROLLED_BACK", [world.devices["d0"]], "its golden set failed")
    with served(world) as url:
        reader = PageReader(url)
        reader.log_in("operator")
        assert "It has answered no order." not in reader.get("/devices/d0").text
        page = reader.act("/devices/d0/tag", add="canary").text
    world.store.close()
    assert "its golden set failed" in page
    assert 'class="word yes"' in page
    assert page.count('class="spark"') >= 3
    assert "tagged" in page
    assert '<a href="../rollouts/1">' in page


def test_devices_are_found_by_a_part_of_their_name_and_their_last_answer(
    world: World, reader: PageReader
) -> None:
    world.start(1)
    world.tick()
    world.answer("FAILED", world.devices.values(), "no disk")
    failed = [one for one in world.devices.values() if one.models["digits"]["outcome"]]
    reader.log_in("viewer")

    def found(query: str) -> list[str]:
        return re.findall(r'href="devices/(d\d)"', reader.get(f"/devices?{query}").text)

    assert found("named=1") == ["d1"]
    assert found("named=D") == []
    assert found("outcome=FAILED") == [one.name for one in failed]
    assert "selected>FAILED" in reader.get("/devices?outcome=FAILED").text
    assert found("outcome=SUCCEEDED") == []


def test_a_board_is_shown_with_its_gateway_and_why_it_is_silent(
    world: World, reader: PageReader
) -> None:
    world.devices["d1"].says = {"extra": {"via": "gw-1"}}
    world.hear([world.devices["d1"]])
    for name in ("gw-1", "d1"):
        world.inbox.put(topics.presence(FLEET, name), b"offline")
    world.now = time.time()
    world.tick()
    world.hear([])
    reader.log_in("viewer")
    assert 'data-label="gateway"' in reader.get("/devices").text
    listed = reader.get("/devices?gateway=gw-1").text
    assert listed.count('data-label="device"') == 1
    assert "gw-1, offline since" in listed
    assert "its gateway gw-1 is offline since" in reader.get("/devices/d1").text
    itself = reader.get("/devices/gw-1").text
    assert "/devices?gateway=gw-1" in itself
    assert "1 device is behind it" in itself
    assert "gw-1 is offline since" in reader.get("/").text
    assert "its gateway" not in reader.get("/devices/d0").text
