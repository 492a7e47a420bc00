"""`release create --format mcuboot-image`: the image is whole, fits, and has the proven model."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.fit import analyse
from modelwave_controller.home import Home
from modelwave_controller.releases import golden_sets
from modelwave_controller.releases.golden_sets import Proof
from tests.controller.operator_home import DIGITS, Run, as_json, golden_labels, refused
from tests.core.mcuboot_images import image

V1, V2 = ((DIGITS / f"digits-{version}.tflite").read_bytes() for version in ("v1", "v2"))
TARGET = """
[digits-board]
description = "a board of ours"
class = "mcu"
flash_bytes = 1048576
ram_bytes = 262144
slot_bytes = %d
runtime = "mcuboot"
profile = "cortex-m4:cmsis-nn"
source = "its linker script"
"""
Create = Callable[..., tuple[int, str, str]]


@pytest.fixture
def create(home: Home, tmp_path: Path, modelwave: Run, prover: None) -> Create:
    add_target(tmp_path, modelwave)
    (tmp_path / "model.tflite").write_bytes(V2)
    golden_labels(tmp_path / "golden.bin")

    def run(
        data: bytes, *more: object, format_: str = "mcuboot-image", target: str = "digits-board"
    ) -> tuple[int, str, str]:
        (tmp_path / "image.bin").write_bytes(data)
        return modelwave(
            *("release", "create", "digits", "v1", "--target", target, "--yes"),
            *("--file", tmp_path / "image.bin", "--golden", tmp_path / "golden.bin"),
            *("--least-correct", "0.9", "--dataset", "d", "--quantisation", "int8"),
            *("--format", format_, *(more or ("--holds", tmp_path / "model.tflite"))),
        )

    return run


def add_target(tmp_path: Path, modelwave: Run, slot: int = 400_000) -> None:
    (tmp_path / "target.toml").write_text(TARGET % slot)
    assert modelwave("target", "add", tmp_path / "target.toml")[0] == 0


def firmware(model: bytes = V2, **options: Any) -> bytes:
    return image(b"code" * 100 + model + b"more code", **options)


def manifest_of(result: tuple[int, str, str]) -> dict[str, Any]:
    assert result[0] == 0, result
    at = result[1].index("{\n")
    made: dict[str, Any] = json.JSONDecoder().raw_decode(result[1][at:])[0]
    return made


def test_image_is_released_with_the_model_that_was_found_in_it(
    create: Create, home: Home, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    proven = []

    def prove(model: Path, golden: Path, manifest: dict[str, Any], accelerator: str) -> Proof:
        proven.append((model.read_bytes(), manifest["format"]))
        return Proof(True, "", "fake 1")

    monkeypatch.setattr(golden_sets, "prove", prove)
    data = firmware(version=(1, 2, 3, 4))
    result = create(data)
    made = manifest_of(result)
    assert proven == [(V2, "tflite")]
    assert made["format"] == "mcuboot-image"
    assert made["needs"]["runtime"] == "mcuboot"
    assert made["needs"]["flash"] == len(data)
    assert made["needs"]["kernels"] == []
    assert made["needs"]["ram"] == analyse(V2, "cortex-m4:cmsis-nn").need
    by_role = {file["role"]: file["sha256"] for file in made["files"]}
    assert by_role["model"] == hashlib.sha256(data).hexdigest()
    said = made["extra"]["firmware"]
    assert (said["version"], said["at"]) == ("1.2.3+4", 32 + 400)
    assert said["model"] == hashlib.sha256(V2).hexdigest()
    assert "that piece was proven" in " ".join(result[1].split())
    assert "NOT signed" in result[1]
    code, shown, _ = modelwave("release", "show", "digits", "1")
    assert code == 0
    assert f"1.2.3+4, hash {said['hash']}"[:40] in shown


def test_model_is_found_by_the_record_of_its_export(
    create: Create, tmp_path: Path, modelwave: Run
) -> None:
    written = as_json(
        modelwave("model", "export", tmp_path / "model.tflite", "--out", tmp_path, "--json")
    )
    record = next(path for path in written if path.endswith(".json"))
    decoy = b"\x1c\0\0\0TFL3" + bytes(40)
    refused(create(firmware(V1), "--holds", record), "--holds", "is not in")
    made = manifest_of(create(image(decoy + V2), "--holds", record))
    assert made["extra"]["firmware"]["at"] == 32 + len(decoy)


def test_nothing_but_the_releases_files_is_kept(create: Create, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    made = manifest_of(
        create(firmware(), "--holds", tmp_path / "model.tflite", "--out", out, "--release", 1)
    )
    files = {file["sha256"] for file in made["files"]}
    assert {path.name for path in out.iterdir()} - files == {"manifest.json"}


def test_image_with_another_model_is_refused(create: Create) -> None:
    refused(create(firmware(V1)), "--holds", "is not in", "build the firmware")


def test_damaged_padded_hidden_or_too_large_images_are_refused(
    create: Create, tmp_path: Path, modelwave: Run
) -> None:
    refused(create(firmware()[:-1] + b"?"), "--file", "hash is wrong")
    refused(create(firmware() + b"\xff" * 100), "not padded")
    refused(create(b"no image"), "--file", "no MCUboot image")
    refused(create(firmware(flags=4)), "encrypted")
    refused(create(firmware(flags=0x200)), "compressed")
    refused(create(firmware(flags=0x10)), "model-partition")
    add_target(tmp_path, modelwave, slot=len(firmware()) - 1)
    refused(create(firmware()), "slot_bytes")


def test_partition_holds_the_model_and_nothing_else(create: Create) -> None:
    refused(create(firmware(), format_="model-partition"), "more than the model")
    made = manifest_of(create(image(V2, flags=0x10), format_="model-partition"))
    assert made["needs"]["kernels"] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert made["extra"]["firmware"]["at"] == 32


def test_options_that_do_not_fit_are_named(create: Create, tmp_path: Path) -> None:
    refused(create(firmware(), "--ram", "1"), "--holds", "not given")
    refused(create(firmware(), target="rp2040"), "--format", 'runtime = "mcuboot"')
    refused(create(firmware(), "--holds", tmp_path / "golden.bin"), "--holds")
    (tmp_path / "record.json").write_text('{"sha256": "0", "size": 9}')
    refused(create(firmware(), "--holds", tmp_path / "record.json"), "--holds", "sha256")
    refused(
        create(V2, "--holds", tmp_path / "model.tflite", format_="tflite", target="rp2040"),
        "--holds",
    )
