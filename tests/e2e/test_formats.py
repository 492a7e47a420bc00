"""Agents and a controller one format apart: real processes, a real broker, hosts and boards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.demo.examples import release_arguments
from modelwave_controller.demo.fleet import HOST, Device, Parts
from tests.e2e.conftest import DIGITS, House
from tests.e2e.next_year import (
    READS_TWO_FORMATS,
    SAYS_MORE,
    SIGNS_MORE,
    WRITES_THE_SECOND,
    NextYear,
)
from tests.e2e.other_programs import Prefixed
from tests.e2e.test_boards import BOARD, BOARD_PROGRAM, PATH, start_board

pytestmark = pytest.mark.e2e

PLAN = ("--stages", "100", "--soak", "0", "--trial-seconds", "0", "--deadline", "60")
PI, PICO, LATE = "pi-1", "pico-1", "pi-2"


class Fleet:
    """A host and a board, with their controller."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.init()
        house.start_broker("embedded")
        self.root = house.operator.home / "root.json"

    def start_controller(self, program: NextYear | None = None) -> None:
        """That of today or of next year, in the place of the one that is at work."""
        self.end("serve")
        if program:
            self.house.operator = program.operator(self.house.operator.home)
        self.house.start_service()

    def start_agents(self, program: NextYear | None = None) -> None:
        """The same for agents."""
        self.end(PI, PICO)
        self.start_host(PI, program)
        path = [*program.sources, BOARD_PROGRAM.parent] if program else PATH
        start_board(self.house, PICO, path=[str(place) for place in path])
        self.wait(["device", "list"], lambda found: len(found) == 2)

    def start_host(self, name: str, program: NextYear | None = None) -> None:
        house = self.house
        parts = Parts(
            house.folder, self.root, house.broker_url, house.files, DIGITS / "heldout.npz"
        )
        device = Device(name, HOST, daemon=True)
        parts.configure(device)
        parts.start_daemon(Prefixed(house.running, program.prefix if program else ()), device)

    def end(self, *names: str) -> None:
        for name in names:
            if name in self.house.running.running:
                self.house.running.end(name)

    def roll_out(self, version: str) -> None:
        operator = self.house.operator
        for target in (HOST, BOARD):
            operator.asks(*release_arguments(DIGITS, version, target))
        operator.asks("rollout", "start", "digits", version, *PLAN)

    def wait(self, asked: list[str], until: Callable[[Any], bool]) -> Any:
        found = self.house.operator.waits(asked, until)
        running = self.house.running
        assert until(found), (found, {name: running.last_words(name) for name in running.running})
        return found

    def wait_for_status(self, word: str) -> Any:
        return self.wait(["rollout", "status"], lambda found: found["status"] == word)

    def wait_until_both_run_it(self) -> None:
        status = self.wait_for_status("FINISHED")
        assert [row["succeeded"] for row in status["rows"]] == [2]
        assert self.house.running.dead() == []


def test_controller_of_next_year_with_agents_of_today(house: House, tmp_path: Path) -> None:
    """What it signs in `extra` holds nobody up. Once it writes the format that they cannot read,
    the rollout holds and names them, until they are of next year too; who joins later with the
    agent of today is named with what it says."""
    fleet = Fleet(house)
    fleet.start_controller(NextYear(tmp_path / "next-year", READS_TWO_FORMATS, SIGNS_MORE))
    fleet.start_agents()
    fleet.roll_out("v1")
    fleet.wait_until_both_run_it()

    later = NextYear(tmp_path / "later", READS_TWO_FORMATS, SIGNS_MORE, WRITES_THE_SECOND)
    fleet.start_controller(later)
    fleet.roll_out("v2")
    why = fleet.wait_for_status("HELD")["why"]
    assert "2 known devices cannot read it: " in why
    lacks = "reads manifest v 2 at most, v 3 is needed and reads order v 2 at most, v 3 is needed"
    for name in (PI, PICO):
        assert f"{name} {lacks}" in why

    fleet.start_agents(later)
    fleet.wait_until_both_run_it()
    fleet.start_host(LATE)
    (problem,) = fleet.wait(["rollout", "status"], lambda found: found["problems"])["problems"]
    assert problem["device"] == LATE
    assert problem["reason"].startswith(
        "fields: order.v: 3 is a newer format; order v 2 is read here"
    )


def test_agents_of_next_year_with_a_controller_of_today(house: House, tmp_path: Path) -> None:
    """What they report in `extra` holds nothing up."""
    fleet = Fleet(house)
    fleet.start_controller()
    fleet.start_agents(NextYear(tmp_path / "next-year", READS_TWO_FORMATS, SAYS_MORE))
    fleet.roll_out("v1")
    fleet.wait_until_both_run_it()
    for found in house.operator.asks("device", "list"):
        assert (found["reads"]["order"], found["bad"]) == (3, None)
