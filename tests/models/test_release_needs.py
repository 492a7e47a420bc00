"""`release create` reads a release's needs out of the model, for the target."""

import struct
from pathlib import Path

import pytest

from modelwave_controller.fit import analyse
from modelwave_controller.fit.flatbuffer import File
from modelwave_controller.fit.model import read_model
from modelwave_controller.fit.tflite_schema import Slot
from modelwave_controller.home import Home
from modelwave_controller.models import host
from modelwave_controller.models.needs import least_runtime
from modelwave_controller.releases import golden_sets
from tests.controller.operator_home import DIGITS, Run, as_json, golden_labels, refused
from tests.models import small_models

V2 = (DIGITS / "digits-v2.tflite").read_bytes()


pytestmark = pytest.mark.usefixtures("prover")


def create(tmp_path: Path, data: bytes, target: str, *more: object) -> list[object]:
    (tmp_path / "model.tflite").write_bytes(data)
    golden_labels(tmp_path / "golden.bin")
    return [
        *("release", "create", "digits", "v1", "--target", target, "--yes"),
        *("--file", tmp_path / "model.tflite", "--golden", tmp_path / "golden.bin"),
        *("--least-correct", "0.9", "--dataset", "d", "--quantisation", "int8", *more),
    ]


def needs(modelwave: Run, arguments: list[object]) -> dict[str, object]:
    made: dict[str, object] = as_json(modelwave(*arguments, "--json"))["manifest"]["needs"]
    return made


@pytest.mark.parametrize(
    ("target", "profile"),
    [
        ("rp2040", "cortex-m0plus:cmsis-nn"),
        ("nano33ble", "cortex-m4:cmsis-nn"),
        ("esp32", "esp32:reference"),
    ],
)
def test_a_boards_release_needs_the_exact_arena_and_operators(
    home: Home, tmp_path: Path, modelwave: Run, target: str, profile: str
) -> None:
    found = needs(modelwave, create(tmp_path, V2, target))
    assert found["ram"] == analyse(V2, profile).need
    assert found["kernels"] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert (found["runtime"], found["accelerator"]) == ("tflite", "")
    sizes = [(tmp_path / name).stat().st_size for name in ("model.tflite", "golden.bin")]
    assert found["flash"] == sum(sizes)


def test_a_hosts_release_needs_the_documented_figure_and_the_converters_runtime(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    data = small_models.dense(metadata={"min_runtime_version": b"2.11.0".ljust(16, b"\0")})
    found = needs(modelwave, create(tmp_path, data, "linux-cpu"))
    assert found["ram"] == host.ram(read_model(data), len(data)) > 1 << 20
    assert found["runtime"] == "tflite>=2.11.0"
    board = needs(modelwave, create(tmp_path, data, "rp2040"))
    assert board["runtime"] == "tflite"


@pytest.mark.parametrize("version", [b"", b"\0" * 16, b"two", b"2.0 evil", b"\xff" * 16, b"1" * 99])
def test_a_runtime_version_that_cannot_be_read_is_left_out(
    home: Home, tmp_path: Path, modelwave: Run, version: bytes
) -> None:
    data = small_models.dense(metadata={"min_runtime_version": version})
    assert needs(modelwave, create(tmp_path, data, "linux-cpu"))["runtime"] == "tflite"


def test_a_runtime_version_in_a_buffer_that_is_not_there_is_left_out() -> None:
    data = bytearray(small_models.dense(metadata={"min_runtime_version": b"2.11.0"}))
    root = File(bytes(data)).root()
    (entry,) = root.tables(Slot.MODEL_METADATA, 1)
    place = entry._field(Slot.METADATA_BUFFER)
    assert place is not None
    for number in (len(root.tables(Slot.MODEL_BUFFERS, 100)), 2**32 - 1):
        struct.pack_into("<I", data, place, number)
        assert least_runtime(bytes(data)) == ""


def test_what_the_operator_says_counts(home: Home, tmp_path: Path, modelwave: Run) -> None:
    said = ("--ram", 5000, "--kernel", "ADD", "--runtime", "tflite>=9", "--accelerator", "gpu")
    found = needs(modelwave, create(tmp_path, V2, "rp2040", *said))
    assert found["ram"] == 5000
    assert found["kernels"] == ["ADD"]
    assert (found["runtime"], found["accelerator"]) == ("tflite>=9", "gpu")


def test_an_arena_smaller_than_the_model_needs_is_refused(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    need = analyse(V2, "cortex-m4:cmsis-nn").need
    assert need is not None
    wrong = create(tmp_path, V2, "nano33ble", "--ram", need - 1)
    refused(modelwave(*wrong), "--ram", f"it needs {need} on cortex-m4:cmsis-nn")
    assert needs(modelwave, create(tmp_path, V2, "nano33ble", "--ram", need))["ram"] == need


def test_arena_may_be_smaller_than_one_that_was_derived(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    need = analyse(V2, "esp32s3:esp-nn").need
    assert need is not None
    told = modelwave(*create(tmp_path, V2, "esp32s3", "--ram", need - 16))[1]
    said = f"esp32s3:esp-nn needs {need:,} bytes, derived from the source of esp-nn"
    assert said in " ".join(told.split())


def test_arena_that_was_derived_says_so(home: Home, tmp_path: Path, modelwave: Run) -> None:
    need = analyse(V2, "esp32s3:esp-nn").need
    told = " ".join(modelwave(*create(tmp_path, V2, "esp32s3"))[1].split())
    assert f"arena: {need:,} bytes, derived from the source of esp-nn" in told


@pytest.mark.parametrize(
    ("data", "target", "why"),
    [
        (V2, "coral-devboard-micro", "never measured: tflite-micro"),
        (small_models.one("TFLM_DECODE"), "nano33ble", "TFLM_DECODE"),
        (b"\x08\0\0\0TFL3" + bytes(8), "nano33ble", "the model does not say it"),
    ],
    ids=["kernels", "operator", "file"],
)
def test_where_the_arena_is_unknown_the_operator_has_to_say_it(
    home: Home, tmp_path: Path, modelwave: Run, data: bytes, target: str, why: str
) -> None:
    refused(modelwave(*create(tmp_path, data, target)), "--ram: not given", why)
    code, out, _ = modelwave(*create(tmp_path, data, target, "--ram", 4096))
    assert code == 0
    assert "as given" in out
    assert why.partition(" say")[0] in out


def test_a_model_that_the_target_refuses_is_not_released(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    data = small_models.one("TILE")
    refused(modelwave(*create(tmp_path, data, "rp2040", "--ram", 1)), "--file", "rp2040", "TILE")
    forced = create(tmp_path, data, "rp2040", "--ram", 4096, "--force", "a kernel of ours")
    assert needs(modelwave, forced)["kernels"] == ["TILE"]


def test_an_edge_tpu_model_needs_its_runtime_version_and_a_coral(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    data = small_models.edgetpu(least_runtime=13)
    found = needs(modelwave, create(tmp_path, data, "coral-devboard"))
    assert found["accelerator"] == "edgetpu>=13"
    assert found["kernels"] == ["edgetpu-custom-op"]
    refused(modelwave(*create(tmp_path, data, "linux-cpu")), "--file", "needs edgetpu")
    other = small_models.edgetpu(chip="abacus")
    refused(modelwave(*create(tmp_path, other, "coral-usb")), "--file", "chip abacus")


@pytest.mark.parametrize(
    ("asked", "given"),
    [("", ""), ("edgetpu>=13", "edgetpu"), ("edgetpu", "edgetpu"), ("jetson/15W", "")],
)
def test_golden_set_is_run_on_the_accelerator_whatever_its_version(
    home: Home,
    tmp_path: Path,
    modelwave: Run,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    given: str,
) -> None:
    """On a Jetson TensorFlow Lite computes on the CPU."""
    told: list[str] = []

    def prove(*arguments: object) -> golden_sets.Proof:
        told.append(str(arguments[-1]))
        return golden_sets.Proof(True, "")

    monkeypatch.setattr(golden_sets, "prove", prove)
    needs(modelwave, create(tmp_path, V2, "coral-usb", "--accelerator", asked))
    assert told == [given]


def test_where_the_figures_are_from_is_said(home: Home, tmp_path: Path, modelwave: Run) -> None:
    assert "exact for cortex-m0plus:cmsis-nn" in modelwave(*create(tmp_path, V2, "rp2040"))[1]
    said = "planned from the file, not measured (docs/fit.md#hosts): no runtime"
    assert said in modelwave(*create(tmp_path, V2, "linux-cpu"))[1]


def test_a_host_may_be_asked_for_a_distribution_in_its_own_numbering(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    asked = ("--runtime", "ai-edge-litert>=2.1")
    found = needs(modelwave, create(tmp_path, V2, "linux-cpu", *asked))
    assert found["runtime"] == "ai-edge-litert>=2.1"
    refused(modelwave(*create(tmp_path, V2, "rp2040", *asked)), "--runtime", "rp2040 runs tflite")


def test_a_model_that_no_runtime_of_a_host_runs_is_refused_by_its_operator(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    flex = create(tmp_path, small_models.one("FlexErf", "FLOAT32"), "linux-cpu")
    refused(modelwave(*flex), "--file: linux-cpu refuses the model", "FlexErf", "SELECT_TF_OPS")
    assert needs(modelwave, [*flex, "--force", "a reason"])["kernels"] == ["FlexErf"]


@pytest.mark.parametrize(
    ("said", "expected"), [(b"2.5.0", "2.18.0"), (b"", "2.18.0"), (b"2.20.0", "2.20.0")]
)
def test_the_newest_runtime_that_converter_or_operators_ask_for_counts(
    home: Home, tmp_path: Path, modelwave: Run, said: bytes, expected: str
) -> None:
    metadata = {"min_runtime_version": said}
    data = small_models.dense(metadata=metadata, versions={"FULLY_CONNECTED": 13})
    found = needs(modelwave, create(tmp_path, data, "linux-cpu"))
    assert found["runtime"] == f"tflite>={expected}"
