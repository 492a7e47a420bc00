"""The systemd units are correct, and let their programs do little."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UNITS = ("agent/modelwave-agent.service", "controller/modelwave.service")
MOST_EXPOSED = 3.0
ANALYZE = shutil.which("systemd-analyze")

pytestmark = pytest.mark.skipif(
    ANALYZE is None, reason="needs systemd-analyze: apt install systemd"
)


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_exposed_little(unit: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(ROOT / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    [level] = re.findall(r"Overall exposure level .*: ([\d.]+) ", done.stdout)
    assert float(level) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", UNITS)
def test_unit_has_no_setting_that_systemd_does_not_know(unit: str, tmp_path: Path) -> None:
    copied = tmp_path / Path(unit).name
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", (ROOT / unit).read_text(), flags=re.M)
    copied.write_text(text)
    command = ["systemd-analyze", "verify", "--recursive-errors=no", str(copied)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
