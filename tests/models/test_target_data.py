"""The targets that come with modelwave, and a user's own, as `model inspect` uses them."""

from pathlib import Path

import pytest

from modelwave_controller.fit import PROFILES
from modelwave_controller.home import Home
from modelwave_controller.models.targets import Target, Targets
from tests.controller.operator_home import DIGITS, Run, as_json, refused

OWN = """\
# Mine.
[s3-reference]
description = "ESP32-S3 firmware with the reference kernels"
class = "mcu"
flash_bytes = 8388608
ram_bytes = 524288
firmware_ram_bytes = 294912
profile = "esp32:reference"
runtime = "tflite"
source = "module datasheet"
"""


@pytest.fixture
def ours(tmp_path: Path) -> dict[str, Target]:
    return Targets(tmp_path).all()


def test_there_are_more_than_twenty_each_with_its_source(ours: dict[str, Target]) -> None:
    assert len(ours) >= 20
    for target in ours.values():
        assert target.source
        assert target.firmware
        assert target.abi
        assert target.kernels
        if target.firmware_flash_bytes or target.firmware_ram_bytes:
            assert target.firmware_source, target.name


def test_a_boards_profile_has_the_kernels_that_the_board_says(ours: dict[str, Target]) -> None:
    for target in ours.values():
        if target.profile is None:
            continue
        library = PROFILES[target.profile].library
        name = target.kernels.lower().split()[0].rstrip(",")  # of cmsis-nn-mve, for example
        assert library.startswith(name), target.name
        assert ("xtensa" in target.abi) == (PROFILES[target.profile].abi == "esp32"), target.name


def test_hosts_have_no_profile_and_coral_boards_a_chip(ours: dict[str, Target]) -> None:
    for target in ours.values():
        assert target.kind == "mcu" or target.profile is None
        assert bool(target.chip) == (target.accelerator == "edgetpu") == ("coral" in target.name)
        assert (target.accelerator == "jetson") == ("jetson" in target.name)


def test_what_the_firmware_leaves_is_what_counts(ours: dict[str, Target]) -> None:
    pico = ours["rp2040"]
    assert (pico.free_flash_bytes, pico.free_ram_bytes) == (1408 * 1024, 233024)
    assert ours["linux-cpu"].free_ram_bytes is None
    unknown = ours["rp2350"]
    assert unknown.firmware_ram_bytes is None
    assert unknown.free_ram_bytes == unknown.ram_bytes


def test_own_target_is_inspected_like_ours(home: Home, tmp_path: Path, modelwave: Run) -> None:
    file = tmp_path / "s3.toml"
    file.write_text(OWN)
    assert modelwave("target", "add", file)[0] == 0
    model = DIGITS / "digits-v2.tflite"
    both = ("--target", "s3-reference", "--target", "esp32", "--json")
    own, esp32 = as_json(modelwave("model", "inspect", model, *both))
    assert own["arena_need"] == esp32["arena_need"] > 0
    assert own["free_ram"] == 524288 - 294912
    assert "s3-reference" in modelwave("model", "inspect", model)[1]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"esp32:reference"', '"esp32"', ("line 8: s3-reference.profile", "cortex-m4:cmsis-nn")),
        ('"esp32:reference"', "1", ("line 8: s3-reference.profile",)),
        ("294912", "600000", ("line 7: s3-reference.firmware_ram_bytes", "more than ram_bytes")),
        ("294912", "-1", ("line 7: s3-reference.firmware_ram_bytes",)),
        ("firmware_ram_bytes", "firmware_ram", ("line 7: s3-reference.firmware_ram",)),
        ("ram_bytes = 524288\n", "", ("line 5: s3-reference.flash_bytes", "needs both")),
        ("source =", "accelerator = 'a b'\nsource =", ("line 10: s3-reference.accelerator",)),
        ("8388608", '"8 MB"', ("line 5: s3-reference.flash_bytes",)),
        ("8388608", "8 MB", ("line 5",)),
    ],
)
def test_a_wrong_target_file_is_refused_with_its_line(
    home: Home, tmp_path: Path, modelwave: Run, old: str, new: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "s3.toml"
    file.write_text(OWN.replace(old, new, 1))
    refused(modelwave("target", "add", file), "s3.toml", *words)
