"""mqtt_as as the board's link, on real MicroPython; the cases are in programs/mqtt_as_cases.py."""

from pathlib import Path

from tests import micropython
from tests.board.mqtt_servers import compile_for_boards

PROGRAM = Path(__file__).parent / "programs" / "mqtt_as_cases.py"


def test_cases_on_micropython(tmp_path):
    lib = compile_for_boards(tmp_path)
    done = micropython.run(lib, PROGRAM, lib, heap="64k")
    print(done.stdout + done.stderr)
    assert not done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    assert lines[-1] == "done"
