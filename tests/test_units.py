"""The systemd units are correct, and let their programs do little."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from modelwave_agent.host import daemon

ROOT = Path(__file__).resolve().parent.parent
UNITS = (
    "agent/modelwave-agent.service",
    "controller/modelwave.service",
    "agent/modelwave-relay.service",
)
MOST_EXPOSED = 3.0
ANALYZE = shutil.which("systemd-analyze")

needs_systemd = pytest.mark.skipif(
    ANALYZE is None, reason="needs systemd-analyze: apt install systemd"
)


@pytest.mark.parametrize(("unit", "command"), [(0, daemon._supervise), (2, daemon._relay)])
def test_agent_and_gateway_are_started_as_they_are_meant(unit: int, command: object) -> None:
    """The agent so that it can update itself."""
    [started] = re.findall(r"^ExecStart=(.*)", (ROOT / UNITS[unit]).read_text(), flags=re.M)
    program, *words = started.split()
    assert Path(program).name == "modelwave-agent"
    assert daemon._parser().parse_args(words).command is command


def test_agent_and_gateway_of_one_machine_have_folders_of_their_own() -> None:
    """`device enrol` writes a root.json and a password for each."""
    units = [(ROOT / UNITS[number]).read_text() for number in (0, 2)]
    found = [re.findall(r"^ExecStart=.* --config (\S+)", unit, flags=re.M) for unit in units]
    folders = [Path(config).parent for [config] in found]
    assert folders[0] != folders[1]


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_exposed_little(unit: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(ROOT / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    [level] = re.findall(r"Overall exposure level .*: ([\d.]+) ", done.stdout)
    assert float(level) <= MOST_EXPOSED


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_unit_has_no_setting_that_systemd_does_not_know(unit: str, tmp_path: Path) -> None:
    verify((ROOT / unit).read_text(), tmp_path / Path(unit).name)


@needs_systemd
def test_systemd_knows_what_the_page_allows_tools_with_usb(tmp_path: Path) -> None:
    page = (ROOT / "docs/relay-command.md").read_text()
    [more] = re.findall(r"```ini\n(\[Service\]\n.*?)```", page, flags=re.S)
    assert "DeviceAllow=char-usb_device rw\n" in more
    verify((ROOT / UNITS[2]).read_text() + more, tmp_path / Path(UNITS[2]).name)


def verify(text: str, copied: Path) -> None:
    copied.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.M))
    command = ["systemd-analyze", "verify", "--recursive-errors=no", str(copied)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
