"""Tests a rollout to boards that a gateway flashes by commands, with real parts: `modelwave-agent
relay`, and a tool that is a script, which writes a file in place of a board's flash.

Only MODELWAVE_LONG=1 runs it; tests/agent/test_carrying.py has the same without processes.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.demo.processes import AGENT
from tests.e2e.conftest import House
from tests.e2e.test_whole_path import PLAN
from tests.tools import LONG_SWEEPS

BOARDS = ("esp-1", "esp-2", "esp-3")
TOOL = """#!/bin/sh
cd "$(dirname "$0")"
case $1 in
  write) cp "$3" "$2.flash" ;;
  health) test ! -e ill || { echo "it is too hot" >&2; exit 1; } ;;
  state) sha256sum < "$2.flash" | cut -d' ' -f1 ;;
esac
"""
TABLE = """
[[board]]
device = "{board}"
kind = "command"
target = "linux-cpu"
models = ["digits"]
write = ["{tool}", "write", "{board}", "{{file}}"]
health = ["{tool}", "health", "{board}"]
state = ["{tool}", "state", "{board}"]
limits = {{ flash_bytes = 1000000, ram_bytes = 1000000 }}
runtime = {{ version = "2.23.0" }}
"""


def start_gateway(house: House) -> None:
    tool = house.folder / "tool"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    for board in BOARDS:
        (house.folder / f"{board}.flash").write_bytes(b"from its maker")
    config = house.folder / "relay.toml"
    config.write_text(
        f'gateway = "gw-1"\nstate = "{house.folder / "relay"}"\n'
        f'root = "{house.operator.home / "root.json"}"\n'
        f'[broker]\nurl = "{house.broker_url}"\n'
        f'[files]\nhosts = ["{house.files}"]\n'
        + "".join(TABLE.format(board=board, tool=tool) for board in BOARDS)
    )
    house.running.start("relay", [*AGENT, "relay", "--config", str(config)])


def flashed(folder: Path) -> set[bytes]:
    return {(folder / f"{board}.flash").read_bytes() for board in BOARDS}


def states(house: House) -> list[dict[str, Any]]:
    return [device["models"][0] for device in house.operator.asks("device", "list")]


@pytest.mark.e2e
@pytest.mark.skipif(os.environ.get("MODELWAVE_LONG") != "1", reason=LONG_SWEEPS)
def test_a_release_is_flashed_and_one_that_the_board_does_not_bear_comes_back(
    house: House,
) -> None:
    house.init()
    house.start_broker("embedded")
    house.start_service()
    house.release("v1")
    house.release("v2")
    start_gateway(house)
    operator = house.operator
    operator.waits(["device", "list"], lambda found: len(found) >= len(BOARDS))

    assert operator.shows("rollout", "start", "digits", "v1", *PLAN) == 0
    assert operator.shows("rollout", "watch") == 0
    (first,) = flashed(house.folder)
    assert first != b"from its maker"
    assert {state["release"] for state in states(house)} == {1}
    assert {path.name for path in (house.folder / "relay/files").iterdir() if path.stat().st_size}

    (house.folder / "ill").touch()
    assert operator.shows("rollout", "start", "digits", "v2", *PLAN) == 0
    assert operator.shows_outside("rollout", "watch") == 3  # REVERTED
    status = operator.asks("rollout", "status")
    assert "it is too hot" in status["problems"][0]["reason"]
    assert flashed(house.folder) == {first}
