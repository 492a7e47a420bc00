"""Each release that is kept works with the present program: its agents under the present
controller, and the present agents under its controller, each through a judged rollout and a
revert. Real processes, a real broker, hosts and boards."""

from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.demo.examples import release_arguments
from modelwave_controller.demo.fleet import FLEET_NAME, HOST, Device, Parts
from modelwave_controller.demo.story import JUDGED_PLAN
from modelwave_shared import checkout, words
from tests.e2e.conftest import DIGITS, House
from tests.e2e.other_programs import Prefixed, Program
from tests.e2e.test_boards import BOARD, BOARD_PROGRAM, start_board
from tests.frozen.kept import Release, board_archive, releases, unpacked_board

KEPT = pytest.mark.parametrize("release", releases(), ids=lambda release: release.name)
HOSTS = [Device(f"pi-{n:02}", HOST, daemon=n == 1) for n in range(1, 13)]
BOARDS = ("pico-01", "pico-02")
PLAN = ("--stages", "50,100", "--soak", "0", "--trial-seconds", "0", "--deadline", "60")
VERSIONS = {HOST: ("v1", "v2", "v5"), BOARD: ("v1", "v2", "v3")}
GATE = "accuracy >= baseline - 0.05"  # of the demo's plan
FORCED = ("--force", "to see devices refuse it")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


class Site:
    """A controller, and its fleet of hosts and boards."""

    def __init__(self, house: House) -> None:
        self.house = house

    @property
    def operator(self) -> Any:
        return self.house.operator

    def start_controller(self, program: Program | None) -> None:
        """`program`: None is the present one."""
        if program:
            self.house.operator = program.operator(self.operator.home)
        assert self.operator.shows("init", FLEET_NAME) == 0
        self.house.start_broker("embedded")
        self.house.start_service()
        for target, versions in VERSIONS.items():
            for version in versions:
                more = FORCED if version == "v3" else ()
                self.operator.asks(*release_arguments(DIGITS, version, target), *more)

    def start_agents(self, prefix: list[str], board: list[Path], program: Path) -> None:
        """`prefix` stands before the hosts' command; `board` is what a board imports from, where
        `program` runs."""
        house = self.house
        root = self.operator.home / "root.json"
        parts = Parts(house.folder, root, house.broker_url, house.files, DIGITS / "heldout.npz")
        parts.start(Prefixed(house.running, prefix), HOSTS)
        for name in BOARDS:
            start_board(house, name, program, path=[str(folder) for folder in board])
        number = len(HOSTS) + len(BOARDS)
        found = self.operator.waits(["device", "list"], lambda found: len(found) == number)
        assert len(found) == number, {name: house.running.last_words(name) for name in BOARDS}

    def agents(self) -> set[str]:
        """The versions that the devices report."""
        return {device["agent"] for device in self.operator.asks("device", "list")}

    def goes_through_a_judged_rollout_and_a_revert(self) -> None:
        for version in ("v1", "v2"):
            assert self._rolled_out(version, BOARD, *PLAN)["status"] == "FINISHED"
        assert self._rolled_out("v1", HOST, *PLAN)["status"] == "FINISHED"
        plan = self.house.folder / "judged.toml"
        plan.write_text(JUDGED_PLAN)

        better = self._rolled_out("v2", HOST, "--plan", str(plan))
        assert better["status"] == "FINISHED"
        # A dozen devices need not be enough for PASS, and the plan goes on then.
        [judged] = [row for row in better["judged"] if row["gate"] == GATE]
        assert judged["verdict"] != "FAIL"
        assert judged["canaries"] >= 2
        assert judged["controls"] >= 2
        worse = self._rolled_out("v5", HOST, "--plan", str(plan))
        assert worse["status"] == "REVERTED"
        assert "accuracy" in worse["why"]
        broken = self._rolled_out("v3", BOARD, *PLAN)
        assert broken["status"] == "REVERTED"
        assert "golden set" in broken["problems"][0]["reason"]

        told = self.operator.waits(["device", "list"], lambda found: _live(found) == {(2, "idle")})
        assert _live(told) == {(2, "idle")}
        assert self.house.running.dead() == []

    def _rolled_out(self, version: str, target: str, *plan: str) -> Any:
        start = ("rollout", "start", "digits", version, "--target", target, *plan)
        assert self.operator.shows(*start) == 0
        self.operator.shows("rollout", "watch")
        return self.operator.asks("rollout", "status")


def _live(devices: Any) -> set[tuple[int, str]]:
    return {(m["release"], m["state"]) for device in devices for m in device["models"]}


def _said(release: Release, folder: Path) -> str:
    """The version that its agents report."""
    found: dict[str, str] = {}
    exec((folder / "modelwave_shared/version.py").read_text(), found)
    assert found["VERSION"] == release.name
    return f"{words.PROGRAM} {found['VERSION']}+g{found['COMMIT']}"


@KEPT
def test_agents_of_a_release_under_the_present_controller(
    house: House, tmp_path: Path, release: Release
) -> None:
    unpacked = release.unpack(tmp_path / "release")
    board = release.unpack_board(tmp_path / "board")
    program = unpacked / "modelwave_controller/digits_board/main.py"
    site = Site(house)
    site.start_controller(None)
    site.start_agents(Program(unpacked).prefix, [board, program.parent], program)
    assert site.agents() == {_said(release, unpacked)}
    site.goes_through_a_judged_rollout_and_a_revert()


@KEPT
def test_present_agents_under_the_controller_of_a_release(
    house: House, tmp_path: Path, release: Release
) -> None:
    board = unpacked_board(board_archive(), tmp_path / "board")
    site = Site(house)
    site.start_controller(Program(release.unpack(tmp_path / "release")))
    site.start_agents([], [board, BOARD_PROGRAM.parent], BOARD_PROGRAM)
    assert site.agents() == {f"{words.PROGRAM} {checkout.described()}"}
    site.goes_through_a_judged_rollout_and_a_revert()
