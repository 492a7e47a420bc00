"""relay.toml: what is read, and how errors are told."""

from pathlib import Path

import pytest

from modelwave_agent.host.relay import config
from modelwave_agent.host.relay.config import RelayConfig
from modelwave_agent.host.settings_reader import ConfigError
from tests import signing
from tests.certificates import Authority

EXAMPLE = Path(__file__).parents[2] / "agent" / "relay.toml.example"
LEAST = """
gateway = "gw-1"
state = "state"
root = "root.json"
[broker]
url = "mqtt://broker.test"
[[board]]
device = "pico-1"
port = "/dev/ttyACM0"
"""
SECOND = '[[board]]\ndevice = "pico-2"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "root.json").write_bytes(signing.root_envelope() + b"\n")
    (tmp_path / "password").write_text("secret of pico-2\n")
    return tmp_path


def read(folder: Path, text: str = LEAST) -> RelayConfig:
    path = folder / "relay.toml"
    path.write_text(text)
    return config.read_config(path)


def problem(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"{folder}/relay.toml: ")
    return said.removeprefix(f"{folder}/relay.toml: ")


def test_least_configuration_has_defaults(folder: Path) -> None:
    found = read(folder)
    assert (found.gateway, found.fleet, found.state) == ("gw-1", "demo", folder / "state")
    assert (found.keep_bytes, found.file_hosts, found.private_networks) == (2**28, (), False)
    (board,) = found.boards
    assert (board.device, board.kind, board.port) == ("pico-1", "micropython", "/dev/ttyACM0")
    assert (board.usb_serial, board.baud, board.broker.user) == ("", 115200, "")


def test_example_is_a_configuration_and_names_every_default(folder: Path) -> None:
    """Once as it stands, once with all that is commented out: the same."""
    text = EXAMPLE.read_text()
    found = read(folder, text)
    lines = [line.removeprefix("# ") if " = " in line else line for line in text.split("\n")]
    assert read(folder, "\n".join(lines)) == found


def test_board_has_its_own_user_and_none_of_the_gateways_secrets(folder: Path) -> None:
    certificate, key = Authority(folder).issue("client")
    secrets = 'user = "gw-1"\npassword_file = "password"\n'
    secrets += f'certificate = "{certificate}"\nkey = "{key}"\n'
    text = LEAST.replace("[[board]]", secrets + "[[board]]")
    text += SECOND + 'usb_serial = "E66"\npassword_file = "password"\n'
    found = read(folder, text)
    one, two = found.boards
    assert found.broker.certificate
    assert (one.broker.user, one.broker.password, one.broker.certificate) == ("", "", "")
    assert (two.broker.user, two.broker.password) == ("pico-2", "secret of pico-2")
    assert "secret" not in repr(found)
    assert two.place == "the USB serial number E66"


def test_path_of_a_port_is_relative_to_the_file(folder: Path) -> None:
    assert read(folder, LEAST.replace("/dev/", "")).boards[0].port == f"{folder}/ttyACM0"


def test_hosts_of_files_come_from_the_file_else_from_the_root(folder: Path) -> None:
    listed = signing.root(extra={"file_hosts": ["files.example.org"]})
    (folder / "root.json").write_bytes(signing.root_envelope(listed))
    assert read(folder).file_hosts == ("files.example.org",)
    own = LEAST.replace("[[board]]", '[files]\nhosts = ["other.example"]\n[[board]]')
    assert read(folder, own).file_hosts == ("other.example",)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (SECOND, "board 'pico-2': port and usb_serial: give one of the two"),
        (
            SECOND + 'port = "/dev/a"\nusb_serial = "E66"',
            "board 'pico-2': port and usb_serial: give one of the two",
        ),
        (SECOND + 'port = "/dev/ttyACM0"', "port: '/dev/ttyACM0' is named twice"),
        (SECOND + 'port = "/dev/a"\nbaud = 110', "board 'pico-2': baud: give the bits a second"),
        (SECOND + 'port = "/dev/a"\nbaud = true', "board 'pico-2': baud: give the bits a second"),
        (SECOND + 'port = "/dev/a"\nkind = "avr"', "board 'pico-2': kind: give one of"),
        (SECOND + 'port = "/dev/a"\nspeed = 1', "board 'pico-2': 'speed': unknown setting"),
        (SECOND + 'port = "/dev/a"\nkey = "k"', "board 'pico-2': certificate and key: one needs"),
        (SECOND + 'usb_serial = ""', "board 'pico-2': usb_serial: give the number"),
        (
            SECOND + 'port = "/dev/a"\npassword_file = "none"',
            "board 'pico-2': password_file: {folder}/none: No such file or directory",
        ),
        ('[[board]]\nport = "/dev/a"', "board 'number 2': device: missing"),
        ('[[board]]\ndevice = "A"\nport = "/dev/a"', "board 'A': device: "),
        ('[[board]]\ndevice = "gw-1"\nport = "/dev/a"', "device: 'gw-1' is named twice"),
        ('[[board]]\ndevice = "pico-1"\nport = "/dev/a"', "device: 'pico-1' is named twice"),
        ("[files]\nkeep_bytes = -1", "files.keep_bytes: give bytes"),
        (f"[files]\nkeep_bytes = {'9' * 5000}", "not TOML: Exceeds the limit"),
    ],
)
def test_errors_name_the_board_and_the_key(folder: Path, more: str, told: str) -> None:
    assert problem(folder, LEAST + more).startswith(told.format(folder=folder))


def test_there_may_be_no_board_yet_but_not_too_many(folder: Path) -> None:
    head = LEAST[: LEAST.index("[[board]]")]
    assert read(folder, head).boards == read(folder, "board = []\n" + head).boards == ()
    many = [f'[[board]]\ndevice = "b-{n}"\nport = "/dev/{n}"\n' for n in range(129)]
    told = "board: give at most 128 tables [[board]]"
    assert problem(folder, head + "".join(many)) == told
    assert problem(folder, "board = [1]\n" + head) == told
