"""Targets: the table that comes with modelwave, and the operator's own."""

from pathlib import Path

import pytest
from operator_home import Run, as_json, make_home, refused, runner

from modelwave_controller.home import Home
from modelwave_controller.models.targets import Targets

NAMED = (
    "rp2040 pico-w rp2350 pico2-w esp32 esp32s3 esp32s3-n16r8 nano33ble stm32f746 stm32n6 pyboard "
    "teensy41 coral-devboard-micro coral-devboard coral-devboard-mini coral-usb jetson-nano "
    "jetson-xavier-nx jetson-agx-xavier jetson-orin-nano jetson-orin-nx jetson-agx-orin "
    "raspberry-pi raspberry-pi-4 raspberry-pi-5 linux-cpu"
)
OWN = """\
[esp32s3-psram]
description = "ESP32-S3 with 8 MB of PSRAM"
class = "mcu"
flash_bytes = 16777216
ram_bytes = 8388608
runtime = "tflite"
source = "module datasheet"
"""


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


def test_every_board_of_the_glossary_is_there_with_a_source(tmp_path: Path) -> None:
    known = Targets(tmp_path).all()
    assert set(known) == set(NAMED.split())
    for target in known.values():
        assert target.description
        assert target.source
        assert (target.flash_bytes and target.ram_bytes) or target.kind == "host"


def test_targets_are_listed_without_a_home(
    tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(tmp_path / "none"))
    assert {target["name"] for target in as_json(modelwave("target", "list", "--json"))} == set(
        NAMED.split()
    )
    code, out, _ = modelwave("target", "list")
    assert code == 0
    assert "270,336" in out
    assert "as reported" in out


def test_own_target_is_added_shown_and_replaced(home: Home, tmp_path: Path, modelwave: Run) -> None:
    file = tmp_path / "board.toml"
    file.write_text(OWN)
    assert as_json(modelwave("target", "add", file, "--json"))["ram_bytes"] == 8388608
    assert (home.targets / "esp32s3-psram.toml").read_text() == OWN
    file.write_text(OWN.replace("8388608", "4194304"))
    assert modelwave("target", "add", file)[0] == 0
    shown = as_json(modelwave("target", "show", "esp32s3-psram", "--json"))
    assert shown["ram_bytes"] == 4194304
    assert "4,194,304" in modelwave("target", "show", "esp32s3-psram")[1]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("runtime", "runtme", "esp32s3-psram.runtime"),
        ("runtime =", "psram = 1\nruntime =", "esp32s3-psram.psram"),
        ("16777216", '"16 MB"', "esp32s3-psram.flash_bytes"),
        ("16777216", "1e7", "esp32s3-psram.flash_bytes"),
        ("16777216", "nan", "esp32s3-psram.flash_bytes"),
        ("16777216", "true", "esp32s3-psram.flash_bytes"),
        ("16777216", "0", "esp32s3-psram.flash_bytes"),
        ("16777216", "-1", "esp32s3-psram.flash_bytes"),
        ("16777216", "9" * 30, "esp32s3-psram.flash_bytes"),
        ("flash_bytes = 16777216\n", "", "esp32s3-psram.flash_bytes"),
        ('"mcu"', '"board"', "esp32s3-psram.class"),
        ("class =", "kind =", "esp32s3-psram.class"),
        ("with 8", "\\u001b[2J", "esp32s3-psram.description"),
        ("[esp32s3-psram]", 'name = "x"\n[esp32s3-psram]', "name: is outside a table"),
        ("[esp32s3-psram]", '[esp32s3-psram]\nname = "x"', "the name is the table's"),
        ("[esp32s3-psram]", '["../../etc"]', "../../etc.name"),
        ("[esp32s3-psram]", "[device]", "device.name"),
        ("[esp32s3-psram]", "[rp2040]", "comes with modelwave"),
        ("[esp32s3-psram]", "[other]\n[esp32s3-psram]", "other.description"),
        ("[esp32s3-psram]", "[esp32s3-psram", "line 1"),
        ('"module datasheet"', "module datasheet", "line 7"),
        (OWN, "x = 1\nx = 1\n", "line 2"),
        (OWN, "x = " + "[" * 5000, "recursion"),
        (OWN, "# nothing", "0 targets"),
        (OWN, "", "is empty"),
        (OWN, "#" * 70000, "longer than"),
    ],
)
def test_bad_target_file_is_refused_by_field_or_line(
    home: Home, tmp_path: Path, modelwave: Run, old: str, new: str, words: str
) -> None:
    file = tmp_path / "board.toml"
    file.write_text(OWN.replace(old, new))
    refused(modelwave("target", "add", file), words)
    assert list(home.targets.iterdir()) == []


def test_target_file_that_cannot_be_read_is_refused(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    refused(modelwave("target", "add", tmp_path / "no.toml"), "cannot read", "No such file")
    refused(modelwave("target", "add", tmp_path), "cannot read", "Is a directory")
    (tmp_path / "b.toml").write_bytes(b"\xff")
    refused(modelwave("target", "add", tmp_path / "b.toml"), "not UTF-8 at byte 0")


def test_two_targets_in_a_file_are_refused(home: Home, tmp_path: Path, modelwave: Run) -> None:
    file = tmp_path / "board.toml"
    file.write_text(OWN + OWN.replace("esp32s3-psram", "second"))
    refused(modelwave("target", "add", file), "2 targets")


@pytest.mark.parametrize("name", ["", "../x", "x" * 100_000])
def test_what_is_no_name_of_a_target_is_told_what_is_one(modelwave: Run, name: str) -> None:
    refused(modelwave("target", "show", name), "target:", "is no name")


@pytest.mark.parametrize("name", ["rp2041", "x" * 63, "device"])
def test_unknown_target_names_the_nearest(home: Home, modelwave: Run, name: str) -> None:
    result = modelwave("target", "show", name)
    refused(result, "is unknown", "rp2040" if len(name) < 7 else "modelwave target add")
    assert len(result[2]) < 1000
