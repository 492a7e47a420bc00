"""Compares the planner with measured firmware: it is exact to the byte, and refuses what TFLM
refuses."""

import pytest

from modelwave_controller.fit import analyse
from tests.fit.measured import FEW, Row, rows

# A piece of TFLM's message, and one of ours for the same reason. An empty message is of a
# model that never came back from Invoke; the shapes in its loop do not go together, and it reads
# resource variables that nothing assigns.
LIKE = (
    ("Hybrid models are not supported", "hybrid models are not supported"),
    ("Didn't find op for builtin opcode 'TILE'", "TILE: tflite-micro has no kernel"),
    ("is_per_channel", "per-channel weights"),
    ("concatenation.cc:148", "CONCATENATION: it takes"),
    ("", "operator 28 CONCATENATION: the parts have"),
)


def judge(row: Row) -> None:
    fit = analyse(row.model.read_bytes(), row.profile)
    if row.error is not None:
        ours = next(ours for theirs, ours in LIKE if theirs in row.error)
        assert ours in (fit.refused or fit.unknown or "")
    else:
        assert (fit.refused, fit.unknown) == (None, None)
        assert (fit.used, fit.need) == (row.used, row.need)
        assert fit.activations == row.planned


@pytest.mark.parametrize("row", rows(FEW), ids=str)
def test_arena_is_what_the_firmware_took(row: Row) -> None:
    judge(row)


def test_every_profile_is_measured() -> None:
    assert {row.profile for row in rows(FEW) if row.used} == {
        "cortex-m0plus:cmsis-nn",
        "cortex-m4:cmsis-nn",
        "cortex-m4:reference",
        "esp32:reference",
        "x86-64:reference",
    }
