"""Tests MicroPython agents together with CPython agents in one fleet: the real controller, real
brokers."""

import json
import os
from pathlib import Path
from typing import Any

import numpy
import pytest

from modelwave_controller.boards import package
from modelwave_controller.demo.examples import release_arguments
from modelwave_controller.demo.fleet import HOST, Device, Parts
from tests import micropython
from tests.e2e.conftest import DIGITS, REPO, House

BOARD = "pico-w"
BOARD_HEAP = "192064"  # of its firmware, as targets.toml has it
BOARD_PROGRAM = REPO / "examples/digits/board/main.py"
PATH = [REPO / "shared", REPO / "agent", BOARD_PROGRAM.parent]
BOARDS = ["pico-1", "pico-2"]
HOSTS = [Device(f"pi-{n}", HOST, daemon=n == 1) for n in range(1, 4)]
# Mosquitto writes each of thousands of retained orders to the disk, as it must: a minute.
BROKERS = ["embedded", "mosquitto"] if os.environ.get("MODELWAVE_LONG") else ["embedded"]
PLAN = (
    "--soak",
    "0",
    "--trial-seconds",
    "0",
    "--deadline",
    "60",
    "--max-rolled-back",
    "60",
    "--least-devices",
    "1",
)


def release(house: House, version: str, *more: str) -> None:
    for target in (HOST, BOARD):
        house.operator.asks(*release_arguments(DIGITS, version, target), *more)


def samples(folder: Path) -> Path:
    """The held-out pictures as the board's program reads them."""
    path = folder / "samples"
    with numpy.load(DIGITS / "heldout.npz") as arrays:
        pairs = zip(arrays["inputs"], arrays["labels"], strict=True)
        path.write_bytes(b"".join(picture.tobytes() + bytes([label]) for picture, label in pairs))
    return path


def start_board(house: House, name: str, program: Path = BOARD_PROGRAM, **changes: Any) -> None:
    """As it comes out of a reset: what it keeps stays in its folder."""
    host, _, port = house.broker_url.removeprefix("mqtt://").partition(":")
    settings = {
        "path": [str(path) for path in PATH],
        "device": name,
        "target": BOARD,
        "host": host,
        "port": int(port),
        "root": str(house.operator.home / "root.json"),
        "folder": str(house.folder / name),
        "bank_bytes": 0,
        "metrics_seconds": 1,
        "samples": str(samples(house.folder)),
        "pause": 50,
        **changes,
    }
    path = house.folder / f"{name}.json"
    path.write_text(json.dumps(settings))
    house.running.start(name, micropython.command(program, path, heap=BOARD_HEAP))


def start_fleet(house: House) -> None:
    root = house.operator.home / "root.json"
    Parts(house.folder, root, house.broker_url, house.files, DIGITS / "heldout.npz").start(
        house.running, HOSTS
    )
    for name in BOARDS:
        start_board(house, name)
    wanted = len(HOSTS) + len(BOARDS)
    found = house.operator.waits(["device", "list"], lambda found: len(found) == wanted)
    assert len(found) == wanted, {name: house.running.last_words(name) for name in BOARDS}


def live(house: House) -> dict[str, set[tuple[int, str]]]:
    """{target: releases and states of its devices}."""
    found: dict[str, set[tuple[int, str]]] = {}
    for device in house.operator.asks("device", "list"):
        told = {(model["release"], model["state"]) for model in device["models"]}
        found.setdefault(device["target"], set()).update(told)
    return found


@pytest.mark.e2e
@pytest.mark.parametrize("broker", BROKERS)
def test_boards_and_hosts_take_a_release_in_waves_and_give_a_bad_one_back(
    house: House, broker: str
) -> None:
    house.init()
    house.start_broker(broker)
    house.start_service()
    release(house, "v1")
    release(house, "v2")
    release(house, "v3", "--force", "to see devices refuse it")
    start_fleet(house)
    operator = house.operator

    for number, version in ((1, "v1"), (2, "v2")):
        assert operator.shows("rollout", "start", "digits", version, *PLAN) == 0
        assert operator.shows("rollout", "watch") == 0
        rows = operator.asks("rollout", "status")["rows"]
        assert [row["gate"] for row in rows] == ["PASS"] * 4
        assert sum(row["succeeded"] for row in rows) == len(HOSTS) + len(BOARDS)
        assert live(house) == {HOST: {(number, "idle")}, BOARD: {(number, "idle")}}

    # One canary of each target rolls back by itself, and nobody else is asked to try.
    assert operator.shows("rollout", "start", "digits", "v3", *PLAN) == 0
    # Between the first roll-back and the second it may be HELD, and `watch` ends then.
    operator.waits(["rollout", "status"], lambda found: found["status"].startswith("REVERT"))
    assert operator.shows("rollout", "watch") == 3  # REVERTED
    status = operator.asks("rollout", "status")
    assert status["status"] == "REVERTED"
    assert [row["rolled_back"] for row in status["rows"]][:4] == [2, 0, 0, 0]
    reasons = {problem["device"]: problem["reason"] for problem in status["problems"]}
    assert any(name in BOARDS for name in reasons), reasons
    assert all("golden set" in reason for reason in reasons.values())
    assert live(house) == {HOST: {(2, "idle")}, BOARD: {(2, "idle")}}
    assert house.running.dead() == []


@pytest.mark.e2e
def test_board_tells_what_its_inferences_came_to(house: House) -> None:
    house.init()
    house.start_broker("embedded")
    house.start_service()
    house.operator.asks(*release_arguments(DIGITS, "v2", BOARD))
    installed = house.folder / "lib"
    package.write(package.build(), installed)
    start_board(house, "pico-1", pause=5, path=[str(installed), str(BOARD_PROGRAM.parent)])
    house.operator.waits(["device", "list"], lambda found: len(found) == 1)
    assert house.operator.shows("rollout", "start", "digits", "v2", *PLAN) == 0

    def enough(found: Any) -> bool:
        return any(sums["labelled"] >= 100 for sums in found["metrics"])

    found = house.operator.waits(["fleet", "status"], enough)
    sums = next(sums for sums in found["metrics"] if sums["labelled"] >= 100)
    assert sums["accuracy"] > 0.9, found
