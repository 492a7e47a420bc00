"""Files in blocks over MQTT on real MicroPython."""

import re
from pathlib import Path

from tests import micropython

PROGRAMS = Path(__file__).parent / "programs"


def test_cases_on_micropython(tmp_path):
    """What lines can do to blocks; the cases are in programs/blocks_cases.py."""
    done = micropython.run(tmp_path, PROGRAMS / "blocks_cases.py", tmp_path, heap="192k")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"[1-9][0-9]* passed, 0 failed", done.stdout.splitlines()[-1])
