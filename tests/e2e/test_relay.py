"""Boards behind a gateway: real MicroPython, the real line, broker and controller."""

from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.demo.examples import release_arguments
from tests.e2e.conftest import DIGITS, House
from tests.e2e.relayed import GATEWAY, TARGET, Relay, RelayedBoard, image, plugged, wait_for
from tests.e2e.test_boards import PLAN

pytest.importorskip("serial")


def release(house: House, version: str, *more: str) -> None:
    house.operator.asks(*release_arguments(DIGITS, version, TARGET), *more)


def runs(house: House, name: str, number: int) -> Any:
    """Waits until the device has confirmed this release."""

    def does(found: Any) -> bool:
        models = [model for one in found if one["device"] == name for model in one["models"]]
        return [(one["release"], one["state"]) for one in models] == [(number, "idle")]

    found = house.operator.waits(["device", "list"], does)
    assert does(found), found
    return found


@pytest.mark.e2e
def test_boards_behind_a_gateway(house: House, tmp_path: Path) -> None:
    """One set-up for all: an update in blocks, one over HTTP in which the board and then the
    gateway lose their power, a model that fails its golden set, a late joiner."""
    house.init()
    house.start_broker("embedded")
    house.start_service()
    release(house, "v1")
    release(house, "v2")
    release(house, "v3", "--force", "to see boards refuse it")
    rom = image(house.folder)
    first, late = boards = [RelayedBoard(house, rom, name) for name in ("pico-1", "pico-2")]
    relay, operator, files = Relay(house, boards), house.operator, (house.files,)
    relay.start()
    with plugged(*boards):
        first.plug_in()
        found = operator.waits(["device", "list"], lambda found: len(found) == 1)
        assert [one["device"] for one in found] == ["pico-1"], relay.log.read_text()
        assert operator.shows("rollout", "start", "digits", "v1", *PLAN) == 0
        assert operator.shows("rollout", "watch") == 0
        runs(house, "pico-1", 1)
        assert relay.said("pico-1: prints: release 1 serves")

        first.unplug()
        first.plug_in(gate=1, hosts=files)
        assert operator.shows("rollout", "start", "digits", "v2", *PLAN) == 0
        first.stops_at_its_gate()
        first.unplug()  # in the middle of the download
        first.plug_in(gate=2000, hosts=files)
        first.stops_at_its_gate()
        relay.kill()
        relay.start()
        first.go()
        assert operator.shows("rollout", "watch") == 0
        runs(house, "pico-1", 2)
        fetched = relay.said("bytes fetched")
        assert len(fetched) == len(set(fetched)) == 4, fetched  # each file once, of two releases

        assert operator.shows("rollout", "start", "digits", "v3", *PLAN) == 0
        assert operator.shows("rollout", "watch") == 3  # REVERTED
        status = operator.asks("rollout", "status")
        assert [problem["device"] for problem in status["problems"]] == ["pico-1"]
        assert "golden set" in status["problems"][0]["reason"]
        runs(house, "pico-1", 2)

        late.plug_in(hosts=files)
        runs(house, "pico-2", 2)
        assert len(relay.said("bytes fetched")) == 6  # the delta of v3, and the model of v2
        wait_for(lambda: all(relay.status()["boards"].values()))
    assert relay.status()["gateway"] == GATEWAY
    assert house.running.dead() == []
