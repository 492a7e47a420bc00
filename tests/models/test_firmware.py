"""Tests the size of TFLM's code: exact for measured builds, an upper bound for others, else
unknown."""

from itertools import combinations

import pytest

from modelwave_controller.models import firmware

KEYWORDS = (
    "AVERAGE_POOL_2D",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "RESHAPE",
    "SOFTMAX",
)


@pytest.mark.parametrize(
    ("profile", "core", "dense", "keywords"),
    [
        ("cortex-m4:reference", 27468, 10116, 31432),
        ("cortex-m4:cmsis-nn", 27468, 17720, 71448),
        ("cortex-m0plus:cmsis-nn", 27792, 24200, 73156),
    ],
)
def test_measured_builds_are_exact(profile: str, core: int, dense: int, keywords: int) -> None:
    assert firmware.code(profile, ["FULLY_CONNECTED"]) == firmware.Code(core + dense, True)
    assert firmware.code(profile, KEYWORDS) == firmware.Code(core + keywords, True)


@pytest.mark.parametrize("profile", ["cortex-m4:reference", "cortex-m4:cmsis-nn"])
def test_other_sets_are_bounded_by_what_was_measured(profile: str) -> None:
    """No more than their sum, nor than a build that has more; never less than one of them."""
    whole = firmware.code(profile, KEYWORDS).bytes
    assert whole is not None
    for pair in combinations(KEYWORDS, 2):
        found = firmware.code(profile, pair)
        assert found.bytes is not None
        assert not found.exact
        assert found.bytes <= whole
        alone = [firmware.code(profile, [name]).bytes or 0 for name in pair]
        core = firmware.code(profile, []).bytes or 0
        assert max(alone) <= found.bytes <= sum(alone) - core


def test_what_nobody_measured_has_no_figure() -> None:
    found = firmware.code("cortex-m4:cmsis-nn", ["CONV_2D", "SQRT", "ABS"])
    assert (found.bytes, found.unmeasured) == (None, ("ABS", "SQRT"))
    assert firmware.code("esp32:reference", ["CONV_2D"]).bytes is None
    assert firmware.ram_beside_arena("esp32:reference", ["CONV_2D"]) is None


def test_ram_beside_the_arena_grows_with_the_operators() -> None:
    one = firmware.ram_beside_arena("cortex-m4:cmsis-nn", ["ADD"])
    assert one == 208 + 36 + 1536
    assert firmware.ram_beside_arena("cortex-m4:cmsis-nn", ["ADD", "SUB", "ADD"]) == one + 36
