"""Tests that the controller answers the nonces of devices with signed heartbeats, within bounds,
and shows what devices say of their view."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import FLEET, Device, World, quick
from sqlalchemy import update

from modelwave_controller.service import heartbeats
from modelwave_controller.service.heartbeats import Heartbeats
from modelwave_controller.storage import tables
from modelwave_shared import documents, dsse, topics
from modelwave_shared.words import FRESH, HEARTBEAT, UNANSWERED, WITHHELD

NONCE = "00112233445566ff"


class Answers:
    """What the controller has sent, and a clock for its bounds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seconds = 0.0
        self.beats = Heartbeats(lambda: self.seconds)
        self.sent: list[tuple[str, bytes]] = []
        world.writer.stored = self.beats.put

    def ask(self, device: Device, nonce: Any = NONCE) -> None:
        device.says = {"extra": {"nonce": nonce}}
        self.world.hear([device])

    def given(self) -> list[dict[str, Any]]:
        """The heartbeats of a turn, verified as a device does."""
        self.sent.clear()
        state = self.world.ticker.certain_state
        assert state is not None
        self.beats.answer(
            self.world.issuer, state, self.world.now, lambda *one: self.sent.append(one)
        )
        root = self.world.home.root_document
        return [documents.open_signed(HEARTBEAT, dsse.read(data), root) for _, data in self.sent]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=4)) as made:
        made.tick()
        yield made


@pytest.fixture
def answers(world: World) -> Answers:
    return Answers(world)


def test_a_nonce_is_answered_with_the_highest_order_of_each_model(
    world: World, answers: Answers
) -> None:
    world.start(1, quick(100))
    world.tick()
    device = world.devices["d1"]
    order = world.ordered(device)
    assert order is not None
    answers.ask(device)
    (found,) = answers.given()
    assert [topic for topic, _ in answers.sent] == [topics.heartbeat(FLEET, "d1")]
    assert found == {
        "fleet": FLEET,
        "device": "d1",
        "nonce": NONCE,
        "time": int(world.now),
        "epoch": 0,
        "root": 1,
        "models": {"digits": order["seq"]},
    }
    assert answers.given() == []


def test_a_device_whose_slot_is_not_open_yet_must_have_seen_nothing(
    world: World, answers: Answers
) -> None:
    world.start(1, quick(10, 100))
    world.tick()
    waiting = next(d for d in world.devices.values() if world.ordered(d) is None)
    answers.ask(waiting)
    assert answers.given()[0]["models"] == {"digits": 0}


def test_orders_of_an_earlier_epoch_are_not_named(world: World, answers: Answers) -> None:
    """Devices take none of them, so nobody keeps one back."""
    world.start(1, quick(100))
    world.tick()
    answers.ask(world.devices["d1"])
    assert answers.given()[0]["models"] == {"digits": 1}
    issuer = world.issuer
    issuer.take({**issuer.document, "epoch": 1}, issuer.key)
    answers.seconds += heartbeats.AGAIN_SECONDS
    answers.ask(world.devices["d1"])
    assert answers.given()[0]["models"] == {"digits": 0}


def test_a_report_without_a_nonce_or_with_a_wrong_one_is_not_answered(
    world: World, answers: Answers
) -> None:
    device = world.devices["d1"]
    world.hear([device])
    for wrong in ("", "0011", NONCE.upper(), 7, True, [NONCE]):
        answers.ask(device, wrong)
    assert answers.given() == []


def test_a_device_is_answered_once_in_a_while_and_its_newest_nonce(
    world: World, answers: Answers
) -> None:
    device = world.devices["d1"]
    answers.ask(device, "0" * 16)
    answers.ask(device, "1" * 16)
    assert [one["nonce"] for one in answers.given()] == ["1" * 16]
    answers.seconds += heartbeats.AGAIN_SECONDS - 1
    answers.ask(device, "2" * 16)
    assert answers.given() == []
    answers.seconds += 1
    answers.ask(device, "2" * 16)
    assert [one["nonce"] for one in answers.given()] == ["2" * 16]


def test_a_flood_of_made_up_devices_is_bounded(
    world: World, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "MAX_WAITING", 3)
    monkeypatch.setattr(heartbeats, "MAX_AT_ONCE", 2)
    for device in world.devices.values():
        answers.ask(device)
    assert len(answers.beats) == 3
    assert answers.beats.counts["dropped"] == 1
    assert [len(answers.given()) for _ in range(3)] == [2, 1, 0]
    assert len(answers.beats) == 0


def test_nothing_is_answered_while_the_clock_is_in_doubt(world: World) -> None:
    """The answer has the time, and devices believe it."""
    assert world.ticker.certain_state is not None
    world.jump(-40 * 86400)
    world.tick()
    assert world.ticker.certain_state is None


def says(world: World, name: str, word: Any, refused: str = "") -> None:
    device = world.devices[name]
    device.says = {"extra": {"view": word}, "refused": refused}
    world.hear([device])


def test_a_view_that_is_not_fresh_is_shown(world: World, run: Run) -> None:
    world.now = time.time()
    world.tick()
    says(world, "d0", FRESH)
    assert "view" not in run("device", "list").out
    assert "fresh" in run("device", "show", "d0").out
    says(world, "d1", WITHHELD, "withheld: order 7 of digits has not come")
    says(world, "d2", UNANSWERED)
    shown = run("device", "list").out
    assert "an order or a root is withheld from it" in " ".join(shown.split())
    assert {word for word in ("view", FRESH, WITHHELD, UNANSWERED) if word in shown} == {
        "view",
        FRESH,
        WITHHELD,
        UNANSWERED,
    }
    found = [one["device"] for one in run("device", "list", "--trouble", "--json").json()]
    assert found == ["d1", "d2"]
    assert "order 7 of digits has not come" in run("device", "show", "d1").out
    status = run("fleet", "status").out
    assert "1 device (d1): an order or a root is withheld from it" in " ".join(status.split())
    assert json.loads(run("fleet", "status", "--json").out)["views"] == {
        WITHHELD: ["d1"],
        UNANSWERED: ["d2"],
    }


@pytest.mark.parametrize("word", ["of next year", 7, True, ["fresh"], ""])
def test_a_word_that_is_not_known_is_not_shown(world: World, run: Run, word: Any) -> None:
    says(world, "d1", word)
    assert run("device", "show", "d1", "--json").json()["view"] == ""


def test_a_device_from_before_there_were_heartbeats_says_nothing(world: World, run: Run) -> None:
    with world.store.write() as connection:
        connection.execute(update(tables.devices).values(view=""))
    assert "view" not in run("device", "show", "d1").out
