"""What a program that runs an untrusted model prints is bounded."""

import sys

import pytest

from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import golden_programs
from modelwave_controller.releases.golden_programs import Allowed

PROGRAM = """
import sys
line = "x" * int(sys.argv[1]) + sys.argv[2]
while True:
    sys.stdout.write(line)
"""


@pytest.mark.parametrize(("characters", "end"), [(10_000, "\n"), (10_000, "")], ids=["all", "line"])
def test_program_that_never_ends_its_output_is_ended(
    monkeypatch: pytest.MonkeyPatch, characters: int, end: str
) -> None:
    monkeypatch.setattr(golden_programs, "GOLDEN_COMMAND", (sys.executable, "-c", PROGRAM))
    with pytest.raises(OperatorError, match=r"MODEL: its program printed more than .* was ended"):
        golden_programs.run([str(characters), end], "MODEL", Allowed([], [], []), print)


def test_a_result_behind_lines_of_the_runtime_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    program = 'print("[1,"); print("INFO"); print(\'{"progress": "half"}\'); print(\'{"a": 1}\')'
    monkeypatch.setattr(golden_programs, "GOLDEN_COMMAND", (sys.executable, "-c", program))
    told: list[str] = []
    assert golden_programs.run([], "MODEL", Allowed([], [], []), told.append) == {"a": 1}
    assert told == ["half"]
