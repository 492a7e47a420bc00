"""Tests that a gateway is enrolled with a user that has presence alone, and that the files of a
board behind one are divided: the board's key is not in what the gateway gets."""

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from operator_home import Run, as_json, make_home, refused, runner

from modelwave_agent.board.enrolled import Enrolled
from modelwave_agent.host.relay.config import read_config
from modelwave_controller.broker import pbkdf2, read_credentials
from modelwave_controller.broker.acl import FleetAcl
from modelwave_controller.home import Home
from modelwave_controller.storage import enrolled
from modelwave_controller.storage.store import Store
from modelwave_controller.storage.tables import presence
from modelwave_shared import topics

BOARD = ("--target", "pico-w", "--model", "digits", "--board", "--behind-gateway")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def run(home: Home, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def enrol(run: Run, out: Path, *more: object) -> Any:
    return as_json(run("device", "enrol", *more, "--out", out, "--json"))


def acl_of(home: Home) -> FleetAcl:
    users = read_credentials(home.path / "broker" / "credentials")
    return FleetAcl(home.config.fleet, targets=users.targets)


def test_a_gateway_gets_a_folder_with_its_settings_and_no_report_key(
    run: Run, home: Home, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert enrol(run, out, "gw-1", "--gateway")["enrolled"] == ["gw-1"]
    assert {path.name for path in (out / "gw-1").iterdir()} == {
        "relay.toml",
        "root.json",
        "password",
    }
    settings = tomllib.loads((out / "gw-1" / "relay.toml").read_text())
    assert (settings["gateway"], settings["root"]) == ("gw-1", "root.json")
    assert settings["broker"]["user"] == "gw-1"
    assert settings["files"]["hosts"]
    users = read_credentials(home.path / "broker" / "credentials")
    password = (out / "gw-1" / "password").read_text().strip()
    assert pbkdf2.verify(users.hashes["gw-1"], password)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (out / "gw-1").iterdir()}
    assert modes == {0o600}


def test_a_relay_reads_its_settings_with_a_table_for_each_board(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    enrol(run, out, "gw-1", "--gateway")
    enrol(run, out, "pico-1", *BOARD)
    (out / "pico-1.password").rename(out / "gw-1" / "pico-1.password")
    with (out / "gw-1" / "relay.toml").open("a") as settings:
        settings.write('[[board]]\ndevice = "pico-1"\nport = "/dev/ttyACM0"\n')
        settings.write('password_file = "pico-1.password"\n')
    found = read_config(out / "gw-1" / "relay.toml")
    assert (found.gateway, found.broker.user) == ("gw-1", "gw-1")
    assert found.file_hosts
    [board] = found.boards
    assert (board.device, board.broker.user) == ("pico-1", "pico-1")
    assert board.broker.password == (out / "gw-1" / "pico-1.password").read_text().strip()


def test_a_board_reads_its_file_without_what_the_broker_asks_for(
    run: Run, home: Home, tmp_path: Path
) -> None:
    enrol(run, tmp_path, "pico-1", *BOARD)
    found = Enrolled(str(tmp_path / "pico-1.json"), str(tmp_path / "root.json"))
    assert (found.device, found.target, found.models) == ("pico-1", "pico-w", ["digits"])
    assert len(found.report_key) == 64
    assert (tmp_path / "root.json").read_bytes() == home.root_envelope


def test_a_gateway_may_tell_its_presence_and_nothing_else(
    run: Run, home: Home, tmp_path: Path
) -> None:
    enrol(run, tmp_path / "out", "gw-1", "--gateway")
    acl, fleet = acl_of(home), home.config.fleet
    assert list(acl.writes("gw-1")) == [topics.presence(fleet, "gw-1")]
    assert list(acl.reads("gw-1")) == []
    assert acl.may_publish("gw-1", topics.presence(fleet, "gw-1"))
    for topic in (topics.reported, topics.metrics, topics.file_get):
        assert not acl.may_publish("gw-1", topic(fleet, "gw-1"))
        assert not acl.may_publish("gw-1", topic(fleet, "pico-1"))
    assert not acl.may_publish("gw-1", topics.presence(fleet, "pico-1"))
    assert not acl.may_subscribe("gw-1", topics.root(fleet, 1))
    rules = (home.path / "broker" / "acl").read_text().splitlines()
    at = rules.index("user gw-1")
    assert [line for line in rules[at + 1 :] if "gw-1" in line] == [
        f"topic write {topics.presence(fleet, 'gw-1')}"
    ]


def test_a_gateway_is_listed_as_one_and_expected_until_it_was_heard(
    run: Run, home: Home, tmp_path: Path
) -> None:
    enrol(run, tmp_path / "out", "gw-1", "--gateway", "--tag", "site-7")
    [entry] = as_json(run("device", "list", "--json"))
    assert (entry["device"], entry["speaks_for"]) == ("gw-1", 0)
    assert entry["trouble"] == "enrolled, and never heard"
    assert "gateway" in run("device", "list")[1]
    assert "as a gateway at" in run("device", "show", "gw-1")[1]
    assert run("fleet", "status")[1].count("gw-1") == 1  # as missing
    store = Store(home.database_url)
    with store.write() as connection:
        connection.execute(presence.insert().values(device="gw-1", online=True, at=1e9))
        assert enrolled.missing(connection) == []
    store.close()
    [entry] = as_json(run("device", "list", "--json"))
    assert entry["trouble"] == ""
    assert "never heard" not in run("device", "show", "gw-1")[1]
    [shown] = as_json(run("fleet", "status", "--json"))["gateways"]
    assert (shown["gateway"], shown["since"], shown["devices"]) == ("gw-1", 1e9, 0)
    run("device", "revoke", "gw-1")
    assert "gw-1" not in read_credentials(home.path / "broker" / "credentials").hashes
    assert as_json(run("device", "show", "gw-1", "--json"))["trouble"] == "revoked"
    assert as_json(run("fleet", "status", "--json"))["gateways"] == []


def test_what_a_gateway_cannot_have_is_refused(run: Run, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    for more in (
        ("--gateway", "--target", "pico-w"),
        ("--gateway", "--model", "digits"),
        ("--gateway", "--board"),
        ("--gateway", "--behind-gateway"),
    ):
        refused(run("device", "enrol", "gw-1", *more, *out), "-gateway: ")
    refused(run("device", "enrol", "--gateway", *out), "--gateway: give DEVICES")
    host = ("--target", "linux-cpu", "--model", "digits", "--behind-gateway")
    refused(run("device", "enrol", "pi-1", *host, *out), "--behind-gateway: ")
    enrol(run, tmp_path / "out", "gw-1", "--gateway")
    said = "gw-1 is enrolled as a gateway, not as linux-cpu"
    refused(run("device", "enrol", "gw-1", *host[:-1], *out), said)


def test_files_of_a_board_behind_a_gateway_are_divided(
    run: Run, home: Home, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    enrol(run, out, "pico-1", *BOARD)
    board = json.loads((out / "pico-1.json").read_text())
    password = (out / "pico-1.password").read_text().strip()
    users = read_credentials(home.path / "broker" / "credentials")
    assert pbkdf2.verify(users.hashes["pico-1"], password)
    assert len(board["report_key"]) == 64
    assert not board.keys() & {"password", "certificate", "key"}
    assert stat.S_IMODE((out / "pico-1.password").stat().st_mode) == 0o600
    again = enrol(run, out, "pico-1", *BOARD, "--renew")
    assert again["renewed"] == ["pico-1"]
    assert (out / "pico-1.password").read_text().strip() != password
    assert sorted(path.name for path in out.iterdir()) == ["pico-1.json", "pico-1.password"]
