"""Tests that errors in agent.toml are reported with the key and the allowed values."""

import os
from pathlib import Path

import pytest

from modelwave_agent.host import config, setting_checks
from modelwave_agent.host.settings_reader import ConfigError, SettingsReader
from tests import signing
from tests.certificates import Authority

EXAMPLE = Path(__file__).parents[2] / "agent" / "agent.toml.example"
LEAST = """
device = "pi-1"
target = "linux-cpu"
models = ["digits"]
state = "state"
root = "root.json"
[broker]
url = "mqtt://broker.test"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "root.json").write_bytes(signing.root_envelope() + b"\n")
    return tmp_path


def read(folder, text=LEAST):
    path = folder / "agent.toml"
    path.write_text(text)
    return config.read_config(path)


def problem(folder, text):
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"{folder}/agent.toml: ")
    said = said.removeprefix(f"{folder}/agent.toml: ")
    setting = said.split(": ")[0]
    assert not said.startswith(f"{setting}: {setting}"), said  # it is named once
    return said


def changed(setting, value):
    """LEAST with another value for the key of its own."""
    lines = [
        f"{setting} = {value}" if x.startswith(setting + " ") else x for x in LEAST.split("\n")
    ]
    return "\n".join(lines)


def test_an_error_in_one_of_several_tables_names_it(folder):
    path = folder / "relay.toml"
    reader = SettingsReader(path, {"device": "b-1", "bauds": 3}, "board b-1: ")
    assert reader.take("device", setting_checks.text) == "b-1"
    with pytest.raises(ConfigError, match="board b-1: 'bauds': unknown setting; known are device"):
        reader.refuse_the_rest()


def test_least_configuration_has_defaults(folder):
    found = read(folder)
    assert (found.device, found.target, found.models) == ("pi-1", "linux-cpu", ("digits",))
    assert found.state == folder / "state"
    assert found.root["fleet"] == "demo"
    assert (found.broker.host, found.broker.port, found.broker.tls) == ("broker.test", 1883, False)
    assert (found.flash_bytes, found.ram_bytes, found.runtime.accelerator) == (0, 0, "")
    assert (found.swap, found.health, found.metrics_seconds) == ((), (), 900)
    assert found.zone is None


def test_example_is_a_configuration_and_names_every_default(folder):
    """Once as it stands, once with all that is commented out: the same."""
    text = EXAMPLE.read_text()
    found = read(folder, text)
    lines = [line.removeprefix("# ") if " = " in line else line for line in text.split("\n")]
    assert read(folder, "\n".join(lines)) == found


@pytest.mark.parametrize("hours", ["0", "8761", "1.5", "true", '"2"'])
def test_hours_until_a_view_may_be_frozen_are_whole_and_bounded(folder, hours):
    with pytest.raises(ConfigError, match="frozen_hours: give hours, from 1 to 8760"):
        read(folder, f"frozen_hours = {hours}\n" + changed("url", '"mqtt://broker.test"'))
    text = "frozen_hours = 3\n" + changed("url", '"mqtt://broker.test"')
    assert read(folder, text).frozen_seconds == 3 * 3600


def test_tls_has_its_own_port_and_a_port_may_be_named(folder):
    broker = read(folder, changed("url", '"mqtts://broker.test"')).broker
    assert (broker.port, broker.tls) == (8883, True)
    assert read(folder, changed("url", '"mqtts://broker.test:1234"')).broker.port == 1234


def test_addresses_of_a_cluster_are_read_in_their_order(folder):
    text = LEAST.replace('url = "mqtt://broker.test"', 'urls = ["mqtts://b", "mqtts://a:1234"]')
    broker = read(folder, text).broker
    assert broker.places == (("b", 8883), ("a", 1234))
    assert broker.tls


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        ('["mqtt://a", "mqtts://b"]', "mqtts:// for all, or for none"),
        ('["mqtt://a", "mqtt://a:1883"]', "an address is named twice"),
        ("[1]", "give a text in quotes"),
        ('["http://a"]', "give mqtt://HOST"),
        ('"mqtt://a"', "give 1 to 8 URLs as a list"),
        ("[]", "give 1 to 8 URLs as a list"),
        (str([f"mqtt://h{number}" for number in range(9)]), "give 1 to 8 URLs as a list"),
    ],
)
def test_addresses_that_are_no_cluster_are_refused(folder, urls, said):
    text = LEAST.replace('url = "mqtt://broker.test"', f"urls = {urls}")
    assert problem(folder, text).startswith(f"broker.urls: {said}")


def test_one_address_and_several_are_not_both_given(folder):
    said = problem(folder, LEAST + 'urls = ["mqtt://a"]\n')
    assert said == "broker.url and broker.urls: give one of the two"


def test_password_is_the_files_without_its_line_end(folder):
    (folder / "password").write_text("se cret\n")
    found = read(folder, LEAST + 'user = "pi-1"\npassword_file = "password"\n')
    assert (found.broker.user, found.broker.password) == ("pi-1", "se cret")


def test_authorities_are_read(folder):
    path = Authority(folder).ca_file
    found = read(folder, LEAST + f'ca = "ca.pem"\n[download]\nca = "{path}"\n')
    assert found.broker.ca == found.download_ca == path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1", "'colour': unknown setting; known are device, target, models, state"),
        ("[colours]\nred = 1", "'colours': unknown setting"),
    ],
)
def test_unknown_setting_is_refused_with_those_that_there_are(folder, text, said):
    assert said in problem(folder, f"{text}\n{LEAST}" if "[" not in text else LEAST + text)


def test_unknown_setting_of_a_table_is_refused_with_those_that_there_are(folder):
    said = problem(folder, LEAST + "ulr = 1")
    known = "urls, url, user, password_file, ca, certificate, key"
    assert said == f"broker.'ulr': unknown setting; known are {known}"


@pytest.mark.parametrize("key", ["device", "target", "models", "state", "root"])
def test_missing_setting_is_named(folder, key):
    text = "\n".join(line for line in LEAST.split("\n") if not line.startswith(key + " "))
    assert problem(folder, text) == f"{key}: missing"


def test_missing_broker_is_named(folder):
    assert problem(folder, LEAST.split("[broker]")[0]) == "broker.url: missing"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("device", '""'),
        ("device", '"Pi 1"'),
        ("device", '"../../etc"'),
        ("device", "1"),
        ("device", f'"{"a" * 64}"'),
        ("target", '"a/b"'),
        ("target", '"device"'),
        ("models", '"digits"'),
        ("models", "[]"),
        ("models", '["digits", "digits"]'),
        ("models", '["digits", 1]'),
        ("models", '["../x"]'),
        ("models", str([f"m{number}" for number in range(17)])),
        ("state", '""'),
        ("state", '"a\\u0000b"'),
        ("state", "3"),
        ("root", '""'),
        ("root", "true"),
        ("url", '"http://broker.test"'),
        ("url", '"broker.test:1883"'),
        ("url", '"mqtt://"'),
        ("url", '"mqtt://broker.test:0x7"'),
        ("url", '"mqtt://broker.test:99999"'),
        ("url", '"mqtt://broker.test/fleet"'),
        ("url", '"mqtt://[::1"'),
        ("url", '"mqtt://broker.test:0"'),
        ("url", '"mqtt://broker.test?qos=2"'),
    ],
)
def test_wrong_value_is_refused_by_its_name(folder, key, value):
    name = "broker.url" if key == "url" else key
    assert problem(folder, changed(key, value)).startswith(f"{name}: ")


def test_password_in_the_url_is_refused_and_not_repeated(folder):
    said = problem(folder, changed("url", '"mqtt://me:secret@broker.test"'))
    assert "password_file" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("limits", "flash_bytes = -1"),
        ("limits", "flash_bytes = 1.5"),
        ("limits", "flash_bytes = true"),
        ("limits", "ram_bytes = 2147483648"),
        ("limits", 'ram_bytes = "64 KiB"'),
        ("limits", 'kernels = "SOFTMAX"'),
        ("limits", 'kernels = ["SOFT MAX"]'),
        ("limits", "kernels = [1]"),
        ("limits", f"kernels = {['ADD'] * 65}"),
        ("runtime", 'accelerator = "gpu"'),
        ("runtime", "proof_seconds = 0"),
        ("runtime", "proof_seconds = nan"),
        ("runtime", "proof_seconds = inf"),
        ("runtime", "proof_seconds = true"),
        ("download", "ca = 1"),
        ("hooks", 'swap = "reload vision"'),
        ("hooks", 'health = ["is-well", 1]'),
        ("hooks", 'health = [""]'),
        ("hooks", "may_update = true"),
        ("hooks", 'swap = ["reload", "a\\u0000b"]'),
        ("hooks", "seconds = -1"),
    ],
)
def test_wrong_value_in_a_table_is_refused_by_its_name(folder, table, line):
    said = problem(folder, f"{LEAST}\n[{table}]\n{line}\n")
    assert said.startswith(f"{table}.{line.split(' ')[0]}: ")


def test_time_zone_is_one_that_this_machine_knows(folder):
    assert str(read(folder, 'timezone = "Europe/Berlin"\n' + LEAST).zone) == "Europe/Berlin"
    for name in ("Nowhere/Land", "../etc/passwd", "x" * 65):
        said = problem(folder, f'timezone = "{name}"\n' + LEAST)
        assert said.startswith("timezone: ")
        assert "give one such as Europe/Berlin" in said


def test_table_that_is_none_is_refused(folder):
    assert problem(folder, "limits = 3\n" + LEAST).startswith("limits: not a table")


@pytest.mark.parametrize(
    "text", ["device = ", "device = 'a' 'b'", "[" * 5000, "\x00", "a = 1\na = 2"]
)
def test_what_is_no_toml_is_said(folder, text):
    assert problem(folder, text).startswith("not TOML: ")


def test_what_is_no_text_is_said(folder):
    (folder / "agent.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not TOML"):
        config.read_config(folder / "agent.toml")


def test_file_that_is_not_there_is_named(folder):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        config.read_config(folder / "nowhere.toml")
    assert "root.json: No such file" in _without(folder, "root.json")
    assert "password: No such file" in problem(folder, LEAST + 'password_file = "password"')
    assert problem(folder, LEAST + 'ca = "ca.pem"').startswith("broker.ca: ")
    assert problem(folder, LEAST + '[download]\nca = "ca.pem"').startswith("download.ca: ")


def _without(folder, name):
    kept = (folder / name).read_bytes()
    (folder / name).unlink()
    said = problem(folder, LEAST)
    (folder / name).write_bytes(kept)
    return said


NAMED = {
    "root": changed("root", '"FILE"'),
    "report_key_file": f'report_key_file = "FILE"\n{LEAST}',
    "broker.ca": LEAST + 'ca = "FILE"',
    "broker.password_file": LEAST + 'password_file = "FILE"',
    "broker.certificate": LEAST + 'certificate = "FILE"\nkey = "root.json"',
    "broker.key": LEAST + 'certificate = "root.json"\nkey = "FILE"',
    "download.ca": LEAST + '[download]\nca = "FILE"',
}


@pytest.mark.parametrize("key", NAMED)
@pytest.mark.parametrize("file", ["pipe", "/dev/zero", "folder"])
def test_what_may_never_end_is_not_read(folder, key, file):
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    said = problem(folder, NAMED[key].replace("FILE", file))
    assert said == f"{key}: {folder / file}: it is no plain file; name one"


def test_file_that_is_too_long_is_refused(folder):
    (folder / "root.json").write_bytes(b" " * 5000)
    assert "root.json: larger than 4097 bytes" in problem(folder, LEAST)


@pytest.mark.parametrize("state", ["root.json", "pipe", "loop", "nowhere"])
def test_state_that_cannot_become_a_folder_is_refused(folder, state):
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "nowhere").symlink_to("not/there")
    said = problem(folder, changed("state", f'"{state}"'))
    assert said == f"state: {folder / state}: it is no folder; name another one"


def test_authorities_that_are_none_are_refused(folder):
    (folder / "ca.pem").write_text("not a certificate")
    assert problem(folder, LEAST + 'ca = "ca.pem"').startswith("broker.ca: ")


def test_root_of_a_newer_format_is_refused_and_says_what_to_update(folder):
    (folder / "root.json").write_bytes(signing.root_envelope(signing.root(v=3)))
    said = problem(folder, LEAST)
    assert said.endswith("root.v: 3 is a newer format; root v 2 is read here; update the agent")


def test_root_that_is_not_signed_by_its_own_keys_is_refused(folder):
    strangers = signing.envelope("root", signing.root(), signing.STRANGER, signing.ROOT_KEYS[0])
    (folder / "root.json").write_bytes(strangers)
    assert problem(folder, LEAST).startswith(f"root: {folder}/root.json: signatures: 1 of the 2")


def test_root_that_is_another_document_is_refused(folder):
    (folder / "root.json").write_bytes(signing.Release(1, b"x" * 10).envelope)
    assert "instead of a root" in problem(folder, LEAST)


def test_hosts_of_files_are_read(folder):
    found = read(folder, LEAST)
    assert (found.file_hosts, found.private_networks) == (None, False)
    text = 'hosts = ["Files.example.org", "[fd00::1]:8180"]\nprivate_networks = true\n'
    found = read(folder, LEAST + "[download]\n" + text)
    assert found.file_hosts == ("files.example.org", "[fd00::1]:8180")
    assert found.private_networks
    assert read(folder, LEAST + "[download]\nhosts = []\n").file_hosts == ()


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ('"files.example.org"', "give at most 16 hosts as a list"),
        (str(["a.example.org"] * 17), "give at most 16 hosts as a list"),
        ('["http://a/files"]', '"http://a/files" is no host of files: HOST or HOST:PORT'),
        ('["*.example.org"]', '"*.example.org" is no host of files'),
        ("[1]", "give a text in quotes"),
    ],
)
def test_hosts_of_files_that_are_none_are_named(folder, hosts, said):
    text = LEAST + f"[download]\nhosts = {hosts}\n"
    assert problem(folder, text).startswith(f"download.hosts: {said}")


def test_hosts_of_redirects_are_read(folder):
    hosts = '["cdn.example.org", "*.s3.amazonaws.com", "cdn.example.org:8443"]'
    found = read(folder, LEAST + f"[download]\nredirect_hosts = {hosts}\n").redirect_hosts
    assert [(host.name, host.is_parent, host.port) for host in found] == [
        ("cdn.example.org", False, 443),
        ("s3.amazonaws.com", True, 443),
        ("cdn.example.org", False, 8443),
    ]


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ('"cdn.example.org"', "give at most 16 hosts as a list"),
        (str(["a.example.org"] * 17), "give at most 16 hosts as a list"),
        ('["*"]', "'*' is not a host: give HOST, *.HOST for all names below it"),
        ("[1]", "give a text in quotes"),
    ],
)
def test_hosts_of_redirects_that_are_none_are_named(folder, hosts, said):
    text = LEAST + f"[download]\nredirect_hosts = {hosts}\n"
    assert problem(folder, text).startswith(f"download.redirect_hosts: {said}")


# A report key, and a certificate of the device's own.


def test_report_key_is_read_from_its_file(folder):
    (folder / "report.key").write_text("0f" * 32 + "\n")
    found = read(folder, 'report_key_file = "report.key"\n' + LEAST)
    assert found.report_key == b"\x0f" * 32
    assert "0f" * 32 not in repr(found)
    assert "x0f" not in repr(found)
    assert read(folder, LEAST).report_key == b""


@pytest.mark.parametrize("data", ["", "0f" * 31, "0g" * 32])
def test_wrong_report_key_is_refused_and_not_told(folder, data):
    (folder / "report.key").write_text(data)
    said = problem(folder, 'report_key_file = "report.key"\n' + LEAST)
    assert said == "report_key_file: report.key: a report key is 64 digits of 0-9 a-f"


def test_missing_report_key_is_refused(folder):
    said = problem(folder, 'report_key_file = "report.key"\n' + LEAST)
    assert said == f"report_key_file: {folder}/report.key: No such file or directory"


def test_certificate_of_the_device_is_found(folder):
    authority = Authority(folder)
    authority.issue("pi-1")
    found = read(folder, LEAST + 'certificate = "pi-1.pem"\nkey = "pi-1.key"').broker
    assert (found.certificate, found.key) == (f"{folder}/pi-1.pem", f"{folder}/pi-1.key")


def test_certificate_without_its_key_is_refused(folder):
    Authority(folder).issue("pi-1")
    for line in ('certificate = "pi-1.pem"', 'key = "pi-1.key"'):
        said = problem(folder, LEAST + line)
        assert said == "broker.certificate and broker.key: one needs the other"
    said = problem(folder, LEAST + 'certificate = "pi-1.pem"\nkey = "server.key"')
    assert said.startswith(f"broker.certificate: {folder}/pi-1.pem, {folder}/server.key: ")


def test_a_list_is_asked_for_by_an_example_and_its_bad_entry_by_its_number(folder):
    asked = 'models: give a list of models: ["digits"]; '
    assert problem(folder, changed("models", "[]")) == f"{asked}has 0 entries, allowed are 1 to 16"
    assert problem(folder, changed("models", '"a"')) == f'{asked}"a" is no list'
    assert problem(folder, changed("models", '["a", "B"]')).startswith(
        f'{asked}[1]: "B" is no name'
    )
    twice = problem(folder, changed("models", '["a", "a"]'))
    assert twice == "models: a model is named twice; name it once"
