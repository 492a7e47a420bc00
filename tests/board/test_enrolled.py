"""What `device enrol --board` writes, read by real MicroPython in a board's heap, and used with the
brokers that it was written for."""

import json

import pytest

from modelwave_controller.broker import EmbeddedBrokerSettings, FleetAcl, read_credentials
from modelwave_controller.cli import run
from modelwave_controller.home import Home
from modelwave_controller.trust import pkcs8
from tests.board.mqtt_servers import compile_for_boards
from tests.board.test_mqtt import embedded, lines_of
from tests.mosquitto_tls import mosquitto


@pytest.fixture(scope="module")
def lib(tmp_path_factory):
    return compile_for_boards(tmp_path_factory.mktemp("lib"))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
    monkeypatch.setenv("MODELWAVE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", "correct horse")
    assert run(["init", "demo"]) == 0
    return Home(tmp_path / "home")


def enrol(tmp_path, broker, *more):
    out = tmp_path / "out"
    what = ("--board", "--target", "rp2040", "--model", "digits", "--out", str(out))
    assert run(["device", "enrol", "pico-1", *what, "--broker", broker, *more]) == 0
    return out / "pico-1.json"


def said(lib, *arguments):
    return lines_of(lib, "enrolled_file.py", *arguments)


def test_board_reads_its_file_and_writes_its_root_of_trust_once(lib, tmp_path, home):
    file, root = enrol(tmp_path, "mqtt://192.0.2.10"), tmp_path / "root.json"
    assert said(lib, file, root) == ["pico-1 rp2040 ['digits'] 192.0.2.10 1883"]
    assert root.read_bytes() == home.root_envelope
    written = root.stat().st_mtime_ns
    said(lib, file, root)
    assert root.stat().st_mtime_ns == written
    root.write_bytes(b"half of ano")  # as a power cut leaves it
    said(lib, file, root)
    assert root.read_bytes() == home.root_envelope


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"port": "x"},
        {"root": 1},
        {"models": "digits"},
        {"host": None},
        {"key": 5},
        {"others": [["b.example", "1883"]]},
    ],
)
def test_file_that_is_no_enrolment_is_told_without_its_secrets(lib, tmp_path, home, change):
    file = enrol(tmp_path, "mqtt://192.0.2.10")
    found = json.loads(file.read_text())
    file.write_text(json.dumps(found | change))
    (told,) = said(lib, file, tmp_path / "root.json")
    assert "enrol" in told
    assert found["password"] not in told
    assert not (tmp_path / "root.json").exists()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"x" * 40000])
def test_file_of_another_kind_is_told(lib, tmp_path, data):
    file = tmp_path / "file"
    file.write_bytes(data)
    (told,) = said(lib, file, tmp_path / "root.json")
    assert "enrol" in told or "longer than" in told


def test_board_uses_the_embedded_broker_with_its_file(lib, tmp_path, home):
    file = enrol(tmp_path, "mqtt://127.0.0.1:1")
    users = read_credentials(home.path / "broker" / "credentials")
    acl = FleetAcl("demo", targets=users.targets)
    with embedded(tmp_path, EmbeddedBrokerSettings(users=users.hashes, acl=acl)) as broker:
        file.write_text(file.read_text().replace('"port": 1,', f'"port": {broker.port},'))
        assert said(lib, file, tmp_path / "root.json", "connect")[1:] == ["heard hello"]


def test_board_is_given_all_addresses_of_a_cluster(lib, tmp_path, home):
    file = enrol(tmp_path, "mqtt://127.0.0.1:1", "--broker", "mqtt://127.0.0.1:2")
    found = json.loads(file.read_text())
    with embedded(tmp_path, EmbeddedBrokerSettings()) as broker:
        found["others"] = [["127.0.0.1", broker.port]]
        file.write_text(json.dumps(found))
        assert said(lib, file, tmp_path / "root.json", "connect")[1:] == ["heard hello"]


def test_board_uses_mosquitto_over_tls_with_its_file(lib, tmp_path, home):
    assert run(["ca", "init"]) == 0
    assert run(["ca", "server", "localhost"]) == 0
    file = enrol(tmp_path, "mqtts://localhost:1")
    with mosquitto(tmp_path, home) as (ports, _):
        file.write_text(file.read_text().replace('"port": 1,', f'"port": {ports.passwords},'))
        assert said(lib, file, tmp_path / "root.json", "connect")[1:] == ["heard hello"]
