"""Tests the agent that a gateway runs for a board with MCUboot, against the server of smp_board.py:
the agent's core, the hooks and the carrier together."""

import os

import pytest

pytest.importorskip("smpclient", reason="needs the extra relay")

from modelwave_agent.host.carried.smp import SmpCarrier
from tests import signing
from tests.agent.carried_world import CarriedWorld, carried, until_settled
from tests.agent.fakes import TOPIC
from tests.agent.smp_board import Board, Program, hash_of
from tests.agent.smp_wires import Wire
from tests.core.mcuboot_images import image

LONG = os.environ.get("MODELWAVE_LONG") == "1"
NEEDS = {"flash": 4000, "ram": 1000, "kernels": [], "runtime": "mcuboot", "accelerator": ""}


def release(number, model):
    return signing.Release(number, image(model), v=2, format="mcuboot-image", needs=NEEDS)


OLD, GOOD, BAD = release(1, b"old" * 30), release(2, b"new" * 40), release(3, b"bad" * 40)
FACTORY = image(b"from its maker" * 9)
OUTCOMES = {"good": (GOOD, "SUCCEEDED", GOOD), "bad": (BAD, "ROLLED_BACK", OLD)}
FAULTS = ("answer lost", "board cut before")
if LONG:
    FAULTS += ("request lost", "garbage", "board cut after")


def image_of(one):
    return one.files[one.document["files"][0]["sha256"]]


class SmpBoard(Board):
    """The board, under the names by which CarriedWorld looks at it."""

    def __init__(self):
        programs = {hash_of(image_of(one)): Program(lambda _: b"\3") for one in (OLD, GOOD)}
        programs[hash_of(image_of(BAD))] = Program(lambda _: b"\4")
        super().__init__(FACTORY, {hash_of(FACTORY): Program(lambda _: b""), **programs})
        self.told, self.flashed = [], []

    @property
    def runs(self):
        return hash_of(self.primary)


class SmpWorld(CarriedWorld):
    def __init__(self, folder, keeps_removals=True):
        super().__init__(folder, keeps_removals)
        self.board = SmpBoard()
        self.spoils = lambda n: ""

    def carrier_class(self, _world):
        wire = Wire(self.board, lambda n: self.spoils(n))
        send = wire.send

        async def counted(data):
            self.call(lambda: None)
            await send(data)

        wire.send = counted
        return SmpCarrier(wire.line)

    def wanted(self):
        record = self.durable()
        entry = record["banks"][record["live"]]
        data = self.files[entry["files"][0]["sha256"]] if entry else FACTORY
        return hash_of(data)

    def is_whole(self):
        return (self.board.runs, self.board.is_confirmed) == (self.wanted(), True)

    def require_whole(self, when):
        if not self.is_whole():
            self.fault(f"{when}, and the board runs another file")


def prepared(folder, name):
    world = carried(folder, OLD, world=SmpWorld)
    one = OUTCOMES[name][0]
    world.files.update(one.files)
    world.retained[TOPIC] = signing.order(one, 2)
    return world


def ended(world, name):
    """Lives to the end, and checks it."""
    assert until_settled(world, 2)
    world.board.power_cut()
    _, outcome, runs = OUTCOMES[name]
    state = world.last_report()
    assert (state["outcome"], state["release"]) == (outcome, runs.document["release"])
    assert world.board.primary == image_of(runs)
    assert world.board.is_confirmed
    assert world.faults == []


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_release_is_proven_on_the_board_and_confirmed_or_taken_back(tmp_path, name):
    world = prepared(tmp_path, name)
    ended(world, name)
    if name == "bad":
        assert "golden" in world.last_report()["reason"]
    free = world.reports[-1]["free"]
    assert free["ram"] == 9000


@pytest.mark.parametrize("name", OUTCOMES)
def test_power_cut_of_the_gateway_at_any_message_ends_whole(tmp_path, name):
    cases = 0
    for call in range(1, 400, 1 if LONG else 60):
        world = prepared(tmp_path / str(call), name)
        if until_settled(world, 2, (call, "before")):
            break
        ended(world, name)
        cases += 1
    print(f"{name}: {cases} power cuts")
    assert cases > 1


@pytest.mark.parametrize("name", OUTCOMES)
def test_fault_at_any_message_ends_whole(tmp_path, name):
    cases = 0
    for what in FAULTS:
        for number in range(1, 400, 1 if LONG else 50):
            world = prepared(tmp_path / f"{what}-{number}", name)
            met = []
            world.spoils = lambda n, what=what, number=number, met=met: (
                met.append(n) or what if n == number else ""
            )
            until_settled(world, 2)
            world.spoils = lambda n: ""
            ended(world, name)
            if not met:
                break
            cases += 1
    print(f"{name}: {cases} faults")
    assert cases >= len(FAULTS)
