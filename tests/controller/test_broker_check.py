"""`modelwave broker check`: what a broker lacks is named, with the line that mends it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broker_hosts import FLEET as HOSTED
from broker_hosts import PASSWORDS, Host, embedded, settings_with_users
from operator_home import Run, runner
from rollout_world import FLEET
from simulated_fleet import HAS_MOSQUITTO, MOSQUITTO, free_port, retained_orders, wait_listening
from tests.mosquitto_tls import mosquitto as mosquitto_with_tls
from tests.tools import MOSQUITTO_MISSING

from modelwave_controller.broker import FleetAcl
from modelwave_controller.home import Home
from modelwave_controller.service import broker_probe
from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.broker_check import Check
from modelwave_controller.service.broker_rules import Device, Finding, tried
from modelwave_controller.trust import pkcs8

pytestmark = pytest.mark.skipif(not HAS_MOSQUITTO, reason=MOSQUITTO_MISSING)
GOOD = "max_queued_messages 1000"


@pytest.fixture(autouse=True)
def short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_probe, "ANSWER_SECONDS", 0.5)


@contextmanager
def broker(folder: Path, *lines: str) -> Iterator[int]:
    port = free_port()
    config = folder / "broker.conf"
    own = (f"listener {port} 127.0.0.1", *(["user root"] if os.getuid() == 0 else []))
    config.write_text("\n".join([*own, *lines]) + "\n")
    process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        wait_listening(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def missing(port: int, devices: int = 100, **others: Any) -> dict[str, Finding]:
    found = Check(ServiceBroker("127.0.0.1", port, **others), FLEET, devices).run()
    return {one.what: one for one in found if not one.holds}


def test_broker_without_users_lacks_only_them_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    with broker(tmp_path, "allow_anonymous true", GOOD) as port:
        found = missing(port)
        assert list(found) == ["clients without a user"]
        mend = found["clients without a user"].mend
        assert mend == "allow_anonymous false, password_file; of `modelwave broker`: --users"
        assert retained_orders(port) == {}
        probe = broker_probe.Probe(ServiceBroker("127.0.0.1", port), ("127.0.0.1", port))
        with probe:
            probe.subscribe(["#", "end"])
            probe.publish(["end"], b"1")
            probe.wait(lambda: bool(probe.heard))
            assert [one.topic for one in probe.heard] == ["end"]


@pytest.mark.parametrize(
    ("line", "what", "mend"),
    [
        ("max_queued_messages 20", "queue for a client", "max_queued_messages 400"),
        ("message_size_limit 1000", "size of messages", "message_size_limit 65536"),
        ("retain_available false", "retained messages", "retain_available true"),
    ],
)
def test_what_a_broker_lacks_is_named_with_the_line_that_mends_it(
    tmp_path: Path, line: str, what: str, mend: str
) -> None:
    more = [] if line.startswith("max_queued") else [GOOD]
    with broker(tmp_path, "allow_anonymous true", line, *more) as port:
        found = missing(port)
    assert [mend] == [one.mend for name, one in found.items() if name.startswith(what)][:1]


def test_one_client_id_for_all_connections_of_a_user_is_noticed(tmp_path: Path) -> None:
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), "controller", "secret"],
        check=True,
        capture_output=True,
    )
    lines = (f"password_file {tmp_path}/users", "use_username_as_clientid true", GOOD)
    with broker(tmp_path, *lines) as port:
        found = missing(port, user="controller", password="secret")
    assert "use_username_as_clientid" in found["two connections of the controller"].mend


def test_what_a_device_may_is_seen_also_if_the_broker_ends_it_for_what_it_may_not() -> None:
    with embedded(settings_with_users()) as host:
        assert _of_device(host, "cam-1").holds
    free = FleetAcl(HOSTED, controllers=frozenset(("controller", "cam-1")))
    with embedded(replace(settings_with_users(), acl=free)) as host:
        found = _of_device(host, "cam-1")
    assert found.seen.count("it may write ") == 5
    assert found.seen.count("it may read ") == 2


def _of_device(host: Host, name: str) -> Finding:
    ours, its = (
        ServiceBroker("127.0.0.1", host.port, user=user, password=PASSWORDS[user])
        for user in ("controller", name)
    )
    return tried(Device(name, "linux-cpu", its), ours, ("127.0.0.1", host.port), HOSTED)


def test_address_that_does_not_answer_is_named(tmp_path: Path) -> None:
    away = free_port()
    [(what, finding)] = missing(away).items()
    assert what == f"connect to 127.0.0.1:{away}"
    assert finding.mend == "start the broker, or correct [broker] in controller.toml"
    with broker(tmp_path, "allow_anonymous true", GOOD) as port:
        found = missing(away, others=(("127.0.0.1", port),))
    assert list(found) == [f"connect to 127.0.0.1:{away}", "clients without a user"]


def test_user_that_the_broker_does_not_let_in_is_named_as_what_helps() -> None:
    with embedded(settings_with_users()) as host:
        [(_, finding)] = missing(host.port, user="controller", password="wrong").items()
    assert finding.seen == "it refused the connection: Not authorized"
    assert finding.mend == "set user and password_file under [broker] in controller.toml"


def test_two_brokers_that_share_nothing_are_no_cluster(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with (
        broker(tmp_path, "allow_anonymous true", GOOD) as port,
        broker(tmp_path / "other", "allow_anonymous true", GOOD) as other,
    ):
        found = missing(port, others=(("127.0.0.1", other),))
        late = found[f"retained messages at 127.0.0.1:{other}"]
        assert "a device there gets late what it has missed" in late.seen


# With the files that `device enrol` and `ca` write.


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
    monkeypatch.setenv("MODELWAVE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", "correct horse")
    return runner(capsys)


def test_nothing_is_missing_of_the_shipped_mosquitto_with_tls(run: Run, tmp_path: Path) -> None:
    what = ("--target", "linux-cpu", "--model", "digits")
    for command in (
        ("init", FLEET),
        ("ca", "init"),
        ("ca", "server", "localhost"),
        ("ca", "controller"),
        ("device", "enrol", "pi-1", *what, "--out", tmp_path / "out"),
    ):
        assert run(*command)[0] == 0
    home = Home(tmp_path / "home")
    with mosquitto_with_tls(tmp_path, home) as (ports, _):
        settings = home.path / "controller.toml"
        changes = {
            "mqtt://127.0.0.1:1883": f"mqtts://localhost:{ports.controller}",
            'user = ""': 'user = "controller"',
            'password_file = ""': 'password_file = "controller.password"',
            'ca = ""': 'ca = "ca/ca.pem"',
            'certificate = ""': 'certificate = "ca/controller.pem"',
            'key = ""': 'key = "ca/controller.key"',
        }
        text = settings.read_text()
        for old, new in changes.items():
            text = text.replace(old, new, 1)
        settings.write_text(text)
        device = tmp_path / "out" / "pi-1" / "agent.toml"
        broker_url = f"mqtts://localhost:{ports.passwords}"
        text = device.read_text().replace("mqtt://127.0.0.1:1883", broker_url)
        device.write_text(text.replace('"password"\n', '"password"\nca = "../../home/ca/ca.pem"\n'))
        code, out, _ = run("broker", "check", "--device", device.parent, "--json")
        found = json.loads(out)
        assert [one for one in found if not one["holds"]] == []
        assert code == 0
        assert found[-1]["what"] == "what device pi-1 may"
        # On the listener of the test alone, without rules, a device may do everything.
        without_rules = f"mqtt://localhost:{ports.everything}"
        device.write_text(device.read_text().replace(broker_url, without_rules))
        code, out, _ = run("broker", "check", "--device", device.parent, "--json")
        assert code == 1
        assert "it may write" in json.loads(out)[-1]["seen"]
