"""Tests `modelwave device enrol`, `revoke` and `approve`: what they write, for whom, and that it is
all of it or nothing."""

import json
import os
import stat
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from operator_home import Run, as_json, make_home, refused, runner
from tests.trust.figures import tell

from modelwave_controller.broker import pbkdf2, read_credentials
from modelwave_controller.enrolment import lists
from modelwave_controller.home import Home
from modelwave_controller.interruption import Interrupted
from modelwave_controller.operations import enrolling
from modelwave_controller.storage import enrolled
from modelwave_controller.storage.enrolled import Waiting
from modelwave_controller.storage.store import Store
from modelwave_controller.trust import report_keys

LONG = os.environ.get("MODELWAVE_LONG") == "1"
HOST = ("--target", "linux-cpu", "--model", "digits")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def run(home: Home, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with closing(Store(home.database_url)) as opened:
        yield opened


def enrol(run: Run, out: Path, *more: object) -> Any:
    return as_json(run("device", "enrol", *more, "--out", out, "--json"))


def listed(run: Run) -> dict[str, dict[str, Any]]:
    return {one["device"]: one for one in as_json(run("device", "list", "--json"))}


def modes(folder: Path) -> set[str]:
    return {oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.rglob("*") if path.is_file()}


def csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("device,target,models,tags", *lines)) + "\n")
    return path


def test_each_device_knows_all_addresses_and_not_all_begin_with_the_same(
    run: Run, home: Home, tmp_path: Path
) -> None:
    settings = home.path / "controller.toml"
    urls = ["mqtt://a.example", "mqtt://b.example", "mqtt://c.example:1884"]
    settings.write_text(settings.read_text().replace('broker = ""', f"brokers = {urls}"))
    names = [f"pi-{number}" for number in range(20)]
    enrol(run, tmp_path / "out", *names, *HOST)
    written = [
        tomllib.loads((tmp_path / "out" / name / "agent.toml").read_text())["broker"]["urls"]
        for name in names
    ]
    assert all(sorted(its) == urls for its in written)
    assert {its[0] for its in written} == set(urls)
    enrol(run, tmp_path / "out", "pico-1", *HOST, "--board")
    board = json.loads((tmp_path / "out" / "pico-1.json").read_text())
    places = [[board["host"], board["port"]], *board["others"]]
    assert sorted(places) == [["a.example", 1883], ["b.example", 1883], ["c.example", 1884]]


def test_folder_of_a_host_has_all_that_its_agent_needs(
    run: Run, home: Home, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert enrol(run, out, "pi-1", *HOST)["enrolled"] == ["pi-1"]
    folder = out / "pi-1"
    settings = tomllib.loads((folder / "agent.toml").read_text())
    assert (settings["device"], settings["models"]) == ("pi-1", ["digits"])
    assert settings["broker"]["user"] == "pi-1"
    assert (folder / "root.json").read_bytes() == home.root_envelope
    master = report_keys.load(home.path)
    assert master is not None
    key = report_keys.device_report_key(master, "pi-1", 1)
    assert (folder / "report.key").read_bytes() == key.hex().encode() + b"\n"
    users = read_credentials(home.path / "broker" / "credentials")
    assert users.targets == {"pi-1": "linux-cpu"}
    password = (folder / "password").read_text().strip()
    assert pbkdf2.verify(users.hashes["pi-1"], password)
    assert users.hashes.keys() == {"pi-1", "controller"}


def test_files_with_secrets_are_for_their_owner_alone_whatever_the_umask(
    run: Run, home: Home, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        enrol(run, tmp_path / "out", "pi-1", *HOST)
        enrol(run, tmp_path / "out", "b-1", *HOST, "--board")
    finally:
        os.umask(before)
    assert modes(tmp_path / "out") == {"0o600"}
    assert modes(home.path / "broker") == {"0o600"}
    for folder in (tmp_path / "out", tmp_path / "out" / "pi-1", home.path / "broker"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_secret_is_printed(run: Run, tmp_path: Path) -> None:
    said = "".join(map(str, run("device", "enrol", "pi-1", *HOST, "--out", tmp_path / "out")))
    said += "".join(map(str, run("device", "list", "--json")))
    said += "".join(map(str, run("device", "show", "pi-1", "--json")))
    for name in ("password", "report.key"):
        assert (tmp_path / "out" / "pi-1" / name).read_text().strip() not in said
    assert "$7$" not in said


def test_who_is_enrolled_already_keeps_its_secrets_unless_they_are_renewed(
    run: Run, home: Home, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    enrol(run, out, "pi-1", *HOST)
    first = {p.name: p.read_bytes() for p in (out / "pi-1").iterdir()}
    again = enrol(run, out, "pi-1", "pi-2", *HOST)
    assert (again["enrolled"], again["unchanged"]) == (["pi-2"], ["pi-1"])
    assert {p.name: p.read_bytes() for p in (out / "pi-1").iterdir()} == first
    assert enrol(run, out, "pi-1", *HOST, "--renew")["renewed"] == ["pi-1"]
    second = {p.name: p.read_bytes() for p in (out / "pi-1").iterdir()}
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"password", "report.key"}
    assert listed(run)["pi-1"]["enrolment"]["generation"] == 2
    refused(
        run("device", "enrol", "pi-1", "--target", "rp2040", "--model", "digits", "--out", out),
        "pi-1 is enrolled as linux-cpu",
        "--renew",
    )


def test_without_the_secret_of_report_keys_nobody_is_enrolled_beside_others(
    run: Run, home: Home, tmp_path: Path
) -> None:
    """As in a home that was restored: no backup has report.key."""
    out = tmp_path / "out"
    enrol(run, out, "pi-1", *HOST)
    (home.path / report_keys.NAME).unlink()
    words = ("report.key is missing", "1 device", "put it back", "--renew")
    refused(run("device", "enrol", "pi-2", *HOST, "--out", out), *words)
    assert not (home.path / report_keys.NAME).exists()
    done = enrol(run, out, "pi-1", "pi-2", *HOST, "--renew")
    assert (done["enrolled"], done["renewed"]) == (["pi-2"], ["pi-1"])


def test_folder_that_is_there_for_somebody_else_is_not_touched(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "pi-2").mkdir(parents=True)
    refused(
        run("device", "enrol", "pi-1", "pi-2", *HOST, "--out", out), "pi-2 exists", "another folder"
    )
    assert [path.name for path in out.iterdir()] == ["pi-2"]
    assert listed(run) == {}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("Pi-1", *HOST), "NAME: "),
        (("controller", *HOST), "the service's own user"),
        (("pi-1", "pi-1", *HOST), "named twice"),
        (("pi-1", "--target", "linux-cqu", "--model", "digits"), "target linux-cqu is unknown"),
        (("pi-1", "--target", "linux-cpu"), "give DEVICES with --target and --model"),
        (("pi-1", *HOST, "--model", "Faces"), "--model: "),
        (("pi-1", *HOST, "--broker", "http://b"), "--broker: give mqtt://"),
        (("pi-1", *HOST, "--certificates"), "modelwave ca init"),
        (("pi-1", *HOST, "--board", "--broker", "mqtts://b"), "a board has no authorities"),
    ],
)
def test_wrong_call_is_refused_and_leaves_nothing(
    run: Run, home: Home, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    refused(run("device", "enrol", *arguments, "--out", tmp_path / "out"), told)
    assert not (tmp_path / "out").exists()
    assert not (home.path / "broker").exists()


# Lists.


def test_list_enrols_all_of_it_with_models_and_tags(run: Run, tmp_path: Path) -> None:
    file = csv(tmp_path / "d.csv", 'pi-1, linux-cpu ,"digits faces",canary site-7', "b-1,rp2040,x,")
    assert enrol(run, tmp_path / "out", "--from", file)["enrolled"] == ["pi-1", "b-1"]
    found = listed(run)
    assert found["pi-1"]["tags"] == ["canary", "site-7"]
    assert found["b-1"]["trouble"] == "enrolled, and never heard"
    settings = tomllib.loads((tmp_path / "out" / "pi-1" / "agent.toml").read_text())
    assert settings["models"] == ["digits", "faces"]


def test_every_wrong_line_is_named_with_its_column_and_nothing_is_written(
    run: Run, home: Home, tmp_path: Path
) -> None:
    file = csv(
        tmp_path / "d.csv",
        "pi-1,linux-cpu,digits,",
        "Pi-2,linux-cpu,digits,",
        "pi-3,linux-cqu,digits,",
        "pi-1,linux-cpu,,a a",
        "pi-4,linux-cpu",
    )
    code, out, err = run("device", "enrol", "--from", file, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    for told in (
        'line 3, column 1 (device): "Pi-2" is no name',
        "line 4, column 2 (target): linux-cqu is no target that this home knows",
        "line 5, column 1 (device): pi-1 is in line 2 already",
        "line 5, column 3 (models): empty; name one",
        "line 5, column 4 (tags): one is named twice",
        "line 6: has 2 columns, not 4",
        "6 problems in 6 lines; nobody was enrolled",
    ):
        assert told in err, err
    assert not (tmp_path / "out").exists()
    assert not (home.path / "broker").exists()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b"device,target\npi-1,linux-cpu\n", "must name the columns"),
        (b"device,target,models,tags\n", "no device is in it"),
        (b"device,target,models,tags\n\xff,linux-cpu,digits,\n", "line 2: not UTF-8"),
        (b'device,target,models,tags\n"pi-1,linux-cpu,digits,\n', "1 problem in 2 lines"),
        (b"device,target,models,tags\n" + b"\0" * 200000, "1 problem in"),
        (b"x" * (lists.MAX_LIST_BYTES + 1), "longer than"),
    ],
)
def test_file_that_is_no_list_is_refused(run: Run, tmp_path: Path, data: bytes, told: str) -> None:
    file = tmp_path / "d.csv"
    file.write_bytes(data)
    code, _, err = run("device", "enrol", "--from", file, "--out", tmp_path / "out")
    assert (code, "Traceback" in err) == (2, False)
    assert told in err


def test_whole_fleet_is_enrolled_in_one_call(run: Run, home: Home, tmp_path: Path) -> None:
    number = 5000 if LONG else 200
    file = csv(tmp_path / "d.csv", *(f"pi-{n},linux-cpu,digits,canary" for n in range(number)))
    begin = time.monotonic()
    assert len(enrol(run, tmp_path / "out", "--from", file)["enrolled"]) == number
    tell(f"{number:,} devices enrolled in one call in {time.monotonic() - begin:.1f} s")
    assert sum(1 for _ in (tmp_path / "out").iterdir()) == number
    passwords = {p.read_bytes() for p in (tmp_path / "out").glob("*/password")}
    keys = {p.read_bytes() for p in (tmp_path / "out").glob("*/report.key")}
    assert len(passwords) == len(keys) == number
    assert len(read_credentials(home.path / "broker" / "credentials").hashes) == number + 1


# All or nothing.


@pytest.mark.parametrize("at", ["tell", "rows", "move"])
def test_interruption_leaves_nothing_of_it(
    run: Run, home: Home, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    out = tmp_path / "out"
    enrol(run, out, "pi-0", *HOST)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and ".db" not in p.name}

    def interrupted(*_: object) -> None:
        raise Interrupted(2)

    calls = 0
    move = enrolling._move

    def second_move(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            interrupted()
        move(*arguments)

    if at == "rows":
        monkeypatch.setattr(enrolled, "put", interrupted)
    elif at == "move":
        monkeypatch.setattr(enrolling, "_move", second_move)
    devices = lists.of_names(["pi-0", "pi-1"], "linux-cpu", ["digits"], [])
    tell = interrupted if at == "tell" else lambda *_: None
    with pytest.raises(Interrupted):
        enrolling.enrol(home, store, enrolling.Wanted(devices, out, renew=True), 1.0, tell)
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and ".db" not in p.name}
    assert after == before
    assert listed(run)["pi-0"]["enrolment"]["generation"] == 1
    assert "pi-1" not in listed(run)


# Revoking and approving.


def test_revoked_device_is_gone_from_the_brokers_lists_and_is_enrolled_only_anew(
    run: Run, home: Home, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    enrol(run, out, "pi-1", "pi-2", *HOST)
    as_json(run("device", "revoke", "pi-1", "--json"))
    for name in ("passwords", "acl", "credentials"):
        text = (home.path / "broker" / name).read_text()
        assert "pi-1" not in text
        assert "pi-2" in text
    assert listed(run).keys() == {"pi-2"}
    refused(run("device", "enrol", "pi-1", *HOST, "--out", out), "was revoked", "--renew")
    assert enrol(run, out, "pi-1", *HOST, "--renew")["renewed"] == ["pi-1"]
    assert listed(run)["pi-1"]["enrolment"]["generation"] == 2
    refused(run("device", "revoke", "pi-9"), "pi-9: neither enrolled nor known")
    log = run("fleet", "log")[1]
    assert "device pi-1 revoked" in log
    assert "enrolled 1 device (1 with new secrets): pi-1" in log


def test_device_that_waits_is_shown_and_counts_when_it_is_approved(run: Run, store: Store) -> None:
    with store.write() as connection:
        enrolled.put_waiting(connection, [Waiting("new-1", "linux-cpu", 3, 1.0, 2.0)])
    assert listed(run)["new-1"]["trouble"] == "waits for `device approve`"
    assert "new-1" in run("fleet", "status")[1]
    refused(run("device", "approve", "new-2"), "does not wait for approval")
    as_json(run("device", "approve", "new-1", "--json"))
    assert listed(run)["new-1"]["enrolment"]["approved_at"] > 0
    assert listed(run)["new-1"]["trouble"] == "approved, and never heard"
    assert as_json(run("fleet", "status", "--json"))["membership"]["waiting"] == []


def test_expected_devices_are_counted_in_the_state_of_the_fleet(run: Run, tmp_path: Path) -> None:
    enrol(run, tmp_path / "out", "pi-1", "pi-2", *HOST)
    assert "2 enrolled devices never heard: pi-1, pi-2" in run("fleet", "status")[1]
    found = as_json(run("fleet", "status", "--json"))["membership"]
    assert found == {"expected": ["pi-1", "pi-2"], "waiting": [], "revoked": []}
    assert "as linux-cpu" in run("device", "show", "pi-1")[1]


def test_device_that_is_approved_where_proofs_are_asked_for_has_to_be_enrolled(
    run: Run, store: Store, home: Home
) -> None:
    settings = home.path / "controller.toml"
    settings.write_text(settings.read_text().replace('proof = "off"', 'proof = "require"'))
    with store.write() as connection:
        enrolled.put_waiting(connection, [Waiting("new-1", "linux-cpu", 3, 1.0, 2.0)])
    assert "`modelwave device enrol new-1` makes it" in run("device", "approve", "new-1")[1]
    found = as_json(run("fleet", "status", "--json"))["membership"]
    assert found == {"expected": [], "waiting": [], "revoked": []}


# Boards.


def test_file_of_a_board_has_what_a_folder_has(run: Run, home: Home, tmp_path: Path) -> None:
    enrol(run, tmp_path / "out", "pico-1", *HOST, "--board", "--broker", "mqtt://192.0.2.10")
    found = json.loads((tmp_path / "out" / "pico-1.json").read_text())
    assert found["root"].encode() == home.root_envelope
    assert (found["host"], found["port"], found["v"]) == ("192.0.2.10", 1883, 1)
    assert "others" not in found
    users = read_credentials(home.path / "broker" / "credentials")
    assert pbkdf2.verify(users.hashes["pico-1"], found["password"])
