"""Tests that devices are listed page by page, all of them once; and that what a page or one device
costs does not grow with the fleet."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_commands import Run, commands
from rollout_world import FLEET, NO_RELEASE, World
from sqlalchemy import event

from modelwave_controller.operations import device_list
from modelwave_controller.operations.device_list import DeviceList, Only
from modelwave_controller.storage import enrolled, tags
from modelwave_controller.storage.enrolled import Enrolled, Waiting
from modelwave_controller.storage.proven import OFF, SHOW
from modelwave_shared import topics

KNOWN = [f"d{number}" for number in range(12)]
STRANGERS = ["expected", "lost", "revoked-2", "waiting"]

CHOICES = [
    Only(target="esp32"),
    Only(tag="canary"),
    Only(model="digits", not_on=5),
    Only(model="faces"),
    Only(offline=True),
    Only(trouble=True),
    Only(named="1"),
    Only(model="digits", outcome="REJECTED"),
    Only(outcome="SUCCEEDED"),
    Only("linux-cpu", "canary", "digits", None, True),
    Only("esp32", None, "digits", 5, True, True),
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Devices of each kind: in trouble and not, online and not, known and not."""
    with closing(World(tmp_path, devices=8)) as made:
        made.now = time.time()
        made.add(4, "esp32")
        for device in list(made.devices.values())[::2]:
            made.inbox.put(topics.presence(FLEET, device.name), b"online")
        made.devices["d1"].models["digits"] = NO_RELEASE | {"release": 5}
        made.devices["d2"].models["faces"] = NO_RELEASE | {"release": 5}
        made.devices["d3"].models["digits"] |= {"outcome": "REJECTED", "reason": "flash", "seq": 1}
        made.devices["d4"].says = {"refused": "order: too long"}
        made.devices["d9"].says = {"extra": {"view": "withheld"}}
        made.hear(made.devices.values())
        made.inbox.put(topics.reported(FLEET, "d5"), made.devices["d5"].report(boot=0))
        for name in ("d6", "lost"):
            made.inbox.put(topics.reported(FLEET, name), b"{")
        made.hear([])
        with made.store.write() as connection:
            rows = [("d7", 0.0), ("expected", 0.0), ("revoked", 1.0), ("revoked-2", 1.0)]
            enrolled.put(connection, [Enrolled(d, "esp32", 1, "", 1, at, 0) for d, at in rows])
            waits = [Waiting(name, "", 1, made.now, made.now) for name in ("waiting", "revoked-2")]
            enrolled.put_waiting(connection, waits)
            tags.add(connection, [("d0", "canary"), ("d8", "canary"), ("d8", "site-7")])
        made.tick()
        yield made


def test_pages_have_each_device_once_in_the_lists_order(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_list, "PAGE", 3)
    every = [entry["device"] for entry in run("device", "list", "--json").json()]
    assert sorted(every) == sorted(KNOWN + STRANGERS)
    found: list[str] = []
    after: list[str] = []
    while True:
        page = run("device", "list", "--json", "--limit", "5", *after)
        found += [entry["device"] for entry in page.json()]
        after = ["--after", found[-1]]
        if not page.err:
            break
        assert f"--after {found[-1]}" in page.err
    assert found == every


def test_limit_counts_the_devices_that_a_filter_lets_through(world: World, run: Run) -> None:
    ran = run("device", "list", "--json", "--target", "esp32", "--limit", "2")
    assert ([entry["device"] for entry in ran.json()], "--after d11" in ran.err) == (
        ["d10", "d11"],
        True,
    )


@pytest.mark.parametrize("proof", [OFF, SHOW])
def test_database_leaves_out_no_device_that_is_wanted(world: World, proof: str) -> None:
    every = list(DeviceList(world.store, world.now, proof=proof))
    for only in CHOICES:
        found = list(DeviceList(world.store, world.now, only, proof))
        assert found == [entry for entry in every if only.applies(entry)], only
    troubled = DeviceList(world.store, world.now, Only(trouble=True))
    assert [entry["device"] for entry in troubled if entry["device"] in KNOWN] == [
        *("d3", "d4", "d5", "d6", "d9")
    ]


def test_list_of_nothing_is_json_too(world: World, run: Run) -> None:
    assert run("device", "list", "--json", "--tag", "none").json() == []
    nothing = run("device", "list", "--tag", "none")
    assert nothing.out.split()[0] == "device"
    assert "no device is like this: `modelwave device list` shows all" in nothing.err
    assert "no device is like this" in run("device", "list", "--after", "zzz").err
    assert "no device" not in run("device", "list").err


def test_list_of_a_fleet_without_devices_names_the_command_that_makes_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(World(tmp_path, devices=0)) as empty:
        assert "`modelwave device enrol`" in commands(empty, capsys)("device", "list").err


def test_each_device_has_a_line_of_json(world: World, run: Run) -> None:
    lines = run("device", "list", "--json").out.splitlines()
    assert (lines[0], lines[-1]) == ("[", "]")
    assert [json.loads(line.rstrip(","))["device"] for line in lines[1:-1]] == sorted(
        KNOWN + STRANGERS
    )


def test_wide_cell_beyond_the_first_page_moves_only_its_own_line(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwave_controller.terminal._MEASURED_ROWS", 1)
    lines = run("device", "list").lines()
    assert lines[1].startswith("d0      linux-cpu")
    assert next(line for line in lines if line.startswith("waiting")).startswith("waiting  unknown")


def test_revoked_device_is_shown_as_revoked(world: World, run: Run) -> None:
    assert "revoked at" in run("device", "show", "revoked").out
    assert run("device", "show", "revoked", "--json").json()["trouble"] == "revoked"
    assert "revoked, and still reports" in run("device", "list").out


@pytest.mark.parametrize(("said", "shown"), [(3, 3), (True, 0), (0, 0), ("3", 0), (2**63, 0)])
def test_device_shows_the_version_of_the_root_that_it_trusts(
    world: World, run: Run, said: object, shown: int
) -> None:
    world.devices["d0"].says = {"extra": {"root": said}}
    world.hear([world.devices["d0"]])
    assert run("device", "show", "d0", "--json").json()["root"] == shown
    line = "root          version 3"
    assert (line in run("device", "show", "d0").out) == bool(shown)


def steps(world: World, work: Callable[[], object]) -> int:
    """Returns how many thousands of steps SQLite takes for it."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    def begun(connection: object) -> None:
        connection.connection.dbapi_connection.set_progress_handler(count, 100)  # type: ignore[attr-defined]

    event.listen(world.store._engine, "begin", begun)
    work()
    event.remove(world.store._engine, "begin", begun)
    return counted[0]


def shown(world: World, name: str) -> dict[str, object]:
    with world.store.read() as connection:
        return device_list.device(connection, name, world.now)


def costs(folder: Path, devices: int) -> tuple[int, int]:
    """Returns the steps for the first page of the list, and for one device."""
    folder.mkdir()
    with closing(World(folder, devices=devices)) as world:
        page = DeviceList(world.store, world.now, limit=50)
        return steps(world, lambda: list(page)), steps(world, lambda: shown(world, "d7"))


def test_page_and_a_device_cost_the_same_in_a_larger_fleet(tmp_path: Path) -> None:
    page, one = costs(tmp_path / "small", 100)
    larger_page, larger_one = costs(tmp_path / "large", 1000)
    assert 0 < larger_page <= 1.3 * page
    assert 0 < larger_one <= 1.3 * one
