"""Tests that boards are shown with the gateway that they are reached through, and that a gateway
that is down is named as the reason why they are silent."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run, commands
from rollout_world import FLEET, TARGET, World, quick, seen
from sqlalchemy import event, func, select
from test_scans import plans

from modelwave_controller.alerts.settings import AlertSettings
from modelwave_controller.operations import overview
from modelwave_controller.operations.device_entries import SILENT_SECONDS
from modelwave_controller.rollout import alerts
from modelwave_controller.rollout.events import InTrouble
from modelwave_controller.rollout.lines import line_of
from modelwave_controller.service.in_trouble import TroubleWatch
from modelwave_controller.storage import gateways, listed, log, strangers, tables
from modelwave_shared import topics


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """d0 has a network; d1 and d2 are behind gw-1, d3 is behind gw-2."""
    with closing(World(tmp_path, devices=4)) as made:
        made.now = time.time()
        for name, via in (("d1", "gw-1"), ("d2", "gw-1"), ("d3", "gw-2")):
            made.devices[name].says = {"extra": {"via": via}}
        tell(made, b"online", *made.devices, "gw-1", "gw-2")
        made.hear(made.devices.values())
        made.tick()
        yield made


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str]) -> Run:
    return commands(world, capsys)


def tell(world: World, presence: bytes, *names: str) -> None:
    for name in names:
        world.inbox.put(topics.presence(FLEET, name), presence)
    while world.writer.write_batch(0):
        pass


def goes_down(world: World, gateway: str, *boards: str) -> None:
    """The broker sends the last will of each of the connections that a gateway had."""
    tell(world, b"offline", gateway, *boards)


def entries(run: Run, *options: str) -> dict[str, dict[str, Any]]:
    return {one["device"]: one for one in run("device", "list", "--json", *options).json()}


def test_each_board_is_listed_with_its_gateway_and_by_it(run: Run) -> None:
    found = entries(run)
    assert {name: one["via"] for name, one in found.items()} == {
        "d0": "",
        "d1": "gw-1",
        "d2": "gw-1",
        "d3": "gw-2",
    }
    assert list(entries(run, "--gateway", "gw-1")) == ["d1", "d2"]
    assert list(entries(run, "--gateway", "gw-9")) == []
    assert found["d1"]["gateway"]["online"] is True
    assert found["d0"]["gateway"] is None
    assert "gw-1, online since" in run("device", "list").out
    assert "gw-1, online since" in run("device", "show", "d1").out


def test_a_fleet_without_gateways_has_no_column_of_them(tmp_path: Path, capsys: Any) -> None:
    with closing(World(tmp_path, devices=1)) as world:
        assert "gateway" not in commands(world, capsys)("device", "list").out


def test_a_gateway_that_is_no_name_of_another_device_is_none(world: World) -> None:
    query = select(tables.devices.c.via, tables.devices.c.n).where(tables.devices.c.device == "d1")
    for said in ("", "GW", "../gw", "g" * 64, 7, ["gw-1"], {"a": 1}, "d1"):
        world.devices["d1"].says = {"extra": {"via": said}}
        world.hear([world.devices["d1"]])
        with world.store.read() as connection:
            assert connection.execute(query).one() == ("", world.devices["d1"].n), said


def test_a_board_that_moved_to_another_gateway_is_listed_with_that(world: World, run: Run) -> None:
    world.devices["d1"].says = {"extra": {"via": "gw-2"}}
    world.hear([world.devices["d1"]])
    assert list(entries(run, "--gateway", "gw-2")) == ["d1", "d3"]
    world.devices["d1"].says = {}
    world.hear([world.devices["d1"]])
    assert list(entries(run, "--gateway", "gw-2")) == ["d3"]


def test_boards_of_a_gateway_that_is_down_are_offline_with_that_reason(
    world: World, run: Run
) -> None:
    goes_down(world, "gw-1", "d1", "d2")
    reason = "offline: its gateway gw-1 is offline since 20"
    assert reason in run("device", "show", "d1").out
    assert reason in run("device", "show", "d2").out
    assert "its gateway" not in run("device", "show", "d3").out
    assert list(entries(run, "--offline", "--gateway", "gw-1")) == ["d1", "d2"]
    tell(world, b"online", "gw-1", "d1")
    assert "its gateway" not in run("device", "show", "d1").out
    assert "its gateway" not in run("device", "show", "d2").out


def test_a_board_that_is_online_all_the_same_has_no_such_reason(world: World, run: Run) -> None:
    goes_down(world, "gw-1")
    assert "its gateway" not in run("device", "show", "d1").out
    assert "gw-1, offline since" in run("device", "show", "d1").out


@pytest.mark.parametrize("told", ["the board: no answer", "the board runs another file: no answer"])
def test_what_a_gateway_says_of_a_board_without_an_agent_is_no_refusal(
    world: World, run: Run, told: str
) -> None:
    world.devices["d1"].says = {"extra": {"via": "gw-1"}, "refused": told}
    world.devices["d2"].says = {"extra": {"via": "gw-1"}, "refused": "sequence: it is older"}
    world.hear([world.devices["d1"], world.devices["d2"]])
    found = entries(run, "--trouble")
    assert (found["d1"]["trouble"], found["d2"]["trouble"]) == (told, "refused a message")
    shown = run("device", "show", "d1").out
    assert told in shown
    assert "refusal" not in shown
    assert "last refusal" in run("device", "show", "d2").out


def test_silent_boards_have_the_reason_too(world: World, run: Run) -> None:
    goes_down(world, "gw-1")
    world.now += 2 * SILENT_SECONDS
    world.tick()
    said = run("device", "show", "d1").out
    assert "silent for" in said
    assert "its gateway gw-1 is offline since" in said


def test_the_status_names_a_gateway_that_is_down_once_with_its_devices(
    world: World, run: Run
) -> None:
    assert "gateway" not in run("fleet", "status").out
    goes_down(world, "gw-1", "d1", "d2")
    said = run("fleet", "status").out
    assert said.count("gw-1") == 1
    assert "gw-1 is offline since" in said
    assert "2 devices are behind it" in said
    assert "gw-2" not in said
    down, up = run("fleet", "status", "--json").json()["gateways"]
    assert (down["gateway"], down["online"], down["devices"]) == ("gw-1", False, 2)
    assert down["since"] == pytest.approx(world.now)
    assert (up["gateway"], up["online"], up["devices"]) == ("gw-2", True, 1)


def test_what_is_not_known_without_a_service_is_not_said_of_gateways(world: World) -> None:
    goes_down(world, "gw-1", "d1", "d2")
    with world.store.read() as connection:
        found = overview.fleet(connection, FLEET, world.now + 3600)
    assert [one.online for one in found.gateways] == [None, None]


def test_the_gateway_itself_is_shown(world: World, run: Run) -> None:
    said = run("device", "show", "gw-1").out
    assert "gateway of" in said
    assert "2 devices" in said
    goes_down(world, "gw-1", "d1", "d2")
    found = run("device", "show", "gw-1", "--json").json()
    assert (found["online"], found["speaks_for"]) == (False, 2)
    assert found["trouble"].startswith("offline since")
    assert run("device", "history", "gw-1").code == 0
    assert run("device", "show", "gw-9").code != 0


def test_a_gateway_of_which_only_boards_speak_is_told_as_such(world: World, run: Run) -> None:
    world.devices["d0"].says = {"extra": {"via": "gw-7"}}
    world.hear([world.devices["d0"]])
    said = run("fleet", "status").out
    assert "1 device names gw-7, from which nothing came itself" in said
    assert "gw-7, from which nothing came itself" in run("device", "show", "d0").out
    tell(world, b"online", "gw-7")
    assert "gw-7" not in run("fleet", "status").out


def test_presence_of_a_gateway_has_its_place_among_strangers(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "MAX_STRANGERS", 3)
    tell(world, b"online", *(f"x{number}" for number in range(9)))
    world.devices["d0"].says = {"extra": {"via": "gw-7"}}
    world.hear([world.devices["d0"]])
    tell(world, b"online", "gw-7")
    assert entries(run)["d0"]["gateway"]["online"] is True


def test_a_gateway_is_forgotten_and_its_boards_stay(world: World, run: Run) -> None:
    goes_down(world, "gw-1", "d1", "d2")
    assert run("device", "forget", "gw-1").code == 0
    assert "from which nothing came itself" in run("fleet", "status").out
    assert list(entries(run, "--gateway", "gw-1")) == ["d1", "d2"]


def test_a_report_that_repeats_the_one_before_writes_as_little_as_without_a_gateway(
    world: World,
) -> None:
    written: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "BEGIN", "PRAGMA", "COMMIT")):
            written.append(statement)

    def writes(name: str) -> list[str]:
        world.hear([world.devices[name]])  # as the service knows it then
        world.now += 900
        written.clear()
        world.hear([world.devices[name]])
        return [*written]

    event.listen(world.store._engine, "before_cursor_execute", note)
    assert writes("d1") == writes("d0") != []
    with world.store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.devices)) == 4
        assert set(gateways.names(connection)) == {"gw-1", "gw-2"}


def test_both_databases_know_gateways(tmp_path: Path, url: str) -> None:
    with closing(World(tmp_path, url=url, devices=2)) as world:
        for name, via in (("d0", "gw-1"), ("d1", "gw-2")):
            world.devices[name].says = {"extra": {"via": via}}
        world.hear(world.devices.values())
        tell(world, b"online", "gw-2", "d1")
        goes_down(world, "gw-1", "d0")
        with world.store.read() as connection:
            found = gateways.every(connection)
            assert [(one.name, one.online, one.devices) for one in found] == [
                ("gw-1", False, 1),
                ("gw-2", True, 1),
            ]
            assert sorted(gateways.names(connection)) == ["gw-1", "gw-2"]
            assert list(gateways.silencing(connection, ["d0", "d1"])) == ["d0"]
            [down] = gateways.down_with(connection, "digits", [TARGET])
            assert (down.name, down.devices) == ("gw-1", 1)
            assert gateways.is_heard(connection, "gw-1")
            only = listed.Wanted(gateway="gw-1")
            assert listed.names(connection, only, "", 10) == ["d0"]


def test_gateways_that_are_down_are_found_by_an_index_of_their_boards_alone(world: World) -> None:
    def find() -> None:
        with world.store.read() as connection:
            assert [one.name for one in gateways.down_with(connection, "digits", [TARGET])] == [
                "gw-1"
            ]

    goes_down(world, "gw-1")
    found = [plan for plan in plans(world, find) if " devices " in plan.split(" <- ")[0]]
    assert found
    assert all("INDEX devices_by_gateway" in plan for plan in found)


def test_a_board_that_does_not_answer_in_a_rollout_has_its_gateway_as_the_reason(
    world: World, run: Run
) -> None:
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", [world.devices["d0"], world.devices["d3"]])
    goes_down(world, "gw-1", "d1", "d2")
    world.tick()
    assert any("gateway gw-1 is offline since" in one for one in seen(world).warnings)
    world.now += 200
    world.tick()
    late = {one.device: one for one in seen(world).problems}
    assert late.keys() == {"d1", "d2"}
    assert all(one.then.startswith("its gateway gw-1 is offline since") for one in late.values())
    assert "its last report is of" in late["d1"].then
    said = run("rollout", "status").out
    assert "d1 silent: no answer by the deadline; its gateway gw-1 is offline since" in said


def test_an_alert_of_devices_in_trouble_names_the_gateway_that_is_down(world: World) -> None:
    config = world.home.config.model_copy(
        update={"alerts": [AlertSettings(name="a", on=["in_trouble"], command=["true"])]}
    )
    watch = TroubleWatch(world.store, config)
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", [world.devices["d0"], world.devices["d3"]])
    goes_down(world, "gw-1", "d1", "d2")
    world.tick()
    world.now += 101
    world.tick()
    with world.store.read() as connection:
        state = log.folded(connection)
    watch.step(state, world.now, 10)
    with world.store.read() as connection:
        [noted] = log.of_kinds(connection, ("in_trouble",), 0, 10**9, 99)
        events = log.page(connection, log.Wanted(1), 0, noted.id, 999)
    assert isinstance(noted.body, InTrouble)
    assert noted.body.gateways == {"gw-1": 2}
    assert "gateway gw-1 is offline (2 devices)" in line_of(noted).reason
    [told] = alerts.alerts([noted], lambda *_: events)
    assert told.why.endswith("or silent; gateway gw-1 is offline (2 devices)")
