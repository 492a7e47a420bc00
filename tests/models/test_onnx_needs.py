"""`release create` of ONNX models: what they need, and what is refused with the reason."""

from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.models import onnx_file, onnx_needs
from modelwave_controller.models.needs import Asked
from modelwave_controller.models.targets import Target, Targets
from tests.controller.operator_home import DIGITS, Run, as_json, refused

TWIN = DIGITS.parent / "onnx" / "digits-v2.onnx"


def not_measured(only: str) -> None:
    return None


def target(name: str, tmp_path: Path) -> Target:
    return Targets(tmp_path).get(name)


def create(file: Path = TWIN, to: str = "linux-cpu", *more: object) -> list[object]:
    return [
        *("release", "create", "digits", "v2", "--target", to, "--yes", "--file", file),
        *("--golden", DIGITS / "digits-v2.golden", "--steps", "any=8"),
        *("--dataset", "d", "--quantisation", "int8", *more),
    ]


def test_the_twin_of_an_example_is_proven_and_released_for_real(home: Home, modelwave: Run) -> None:
    pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    result = modelwave(
        *create(TWIN, "linux-cpu", "--provider", "cuda", "--provider", "cpu", "--json")
    )
    manifest = as_json(result)["manifest"]
    assert (manifest["v"], manifest["format"]) == (2, "onnx")
    assert manifest["loading"] == {"providers": ["cuda", "cpu"]}
    needs = manifest["needs"]
    assert (needs["runtime"], needs["kernels"]) == ("onnx", [])
    assert manifest["extra"]["ram_from"] == "planned"  # conftest.py: nothing is measured here
    assert needs["ram"] == onnx_needs.planned(TWIN.read_bytes())
    assert "RAM: " in result[2]


@pytest.mark.parametrize(
    ("to", "more", "words"),
    [
        ("rp2040", (), ("an ONNX model, but rp2040 runs tflite", "convert it to .tflite")),
        ("linux-cpu", ("--provider", "rocm"), ("--provider", "rocm")),
        ("linux-cpu", ("--runtime", "tflite"), ("--runtime: 'tflite'", "an ONNX model runs on")),
        ("linux-cpu", ("--format", "tflite"), ("--format: tflite, but", "an ONNX model")),
        ("linux-cpu", ("--format", "trees"), ("--format: trees, but linux-cpu runs tflite, onnx",)),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(
    home: Home, modelwave: Run, to: str, more: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(modelwave(*create(TWIN, to, *more)), *words)


def test_a_provider_of_a_tflite_model_is_refused(home: Home, modelwave: Run) -> None:
    arguments = create(DIGITS / "digits-v2.tflite", "linux-cpu", "--provider", "cpu")
    refused(modelwave(*arguments), "--provider: of ONNX Runtime, and the model is tflite")


def needs_of(data: bytes, tmp_path: Path, runtime: str | None = None) -> str:
    asked = Asked(runtime=runtime)
    return onnx_needs.fill(data, target("linux-cpu", tmp_path), asked, not_measured).runtime


@pytest.mark.parametrize(
    ("opset", "ir", "needed"),
    [
        (13, 8, "onnx"),
        (20, 9, "onnx"),
        (21, 9, "onnx>=1.18"),
        (20, 10, "onnx>=1.18"),
        (22, 10, "onnx>=1.21"),
        (23, 11, "onnx>=1.23"),
        (25, 13, "onnx>=1.24"),
        (26, 13, "onnx>=1.25"),
        (27, 13, "onnx>=1.32"),
        (13, 14, "onnx>=1.32"),
    ],
)
def test_the_runtime_follows_from_opset_and_ir_version(
    tmp_path: Path, opset: int, ir: int, needed: str
) -> None:
    assert needs_of(model(opset=opset, ir=ir), tmp_path) == needed


def model(**changes: Any) -> bytes:
    from tests.agent import onnx_models

    ends = [onnx_models.tensor(name, (1, 2)) for name in "xy"]
    nodes = changes.pop("nodes", [("Relu", ["x"], ["y"], {})])
    return onnx_models.model(nodes, ends[:1], ends[1:], **changes)


def test_an_older_runtime_than_the_model_needs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"IR version 10, opset 22\) needs onnx>=1\.21"):
        needs_of(model(opset=22, ir=10), tmp_path, "onnx>=1.20")
    assert needs_of(model(), tmp_path, "onnxruntime>=1.20") == "onnxruntime>=1.20"


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    from tests.agent import onnx_models

    outside = onnx_models.TensorProto(name="w", data_type=1, dims=[2], data_location=1)
    with pytest.raises(OperatorError, match="weights are in other files"):
        needs_of(model(constants=[outside]), tmp_path)


def test_damaged_files_are_refused_wherever_they_are_cut() -> None:
    data = TWIN.read_bytes()
    for size in range(1, len(data), 97):
        try:
            onnx_file.read(data[:size])
        except onnx_file.ModelError:
            continue
        pytest.fail(f"{size} bytes of {len(data)} were read as a whole model")


def test_names_of_classes_are_counted_against_the_output(
    home: Home, modelwave: Run, tmp_path: Path
) -> None:
    file = tmp_path / "labels.txt"
    for count in (9, 11):
        file.write_text("".join(f"digit {n}\n" for n in range(count)))
        words = f"--labels: {file}: {count} names, but the model's output has 10 classes"
        refused(modelwave(*create(TWIN, "linux-cpu", "--labels", file)), words)
    file.write_bytes(TWIN.read_bytes()[:-40])
    words = "get the file again, or export it anew"
    refused(modelwave("model", "inspect", file), "labels.txt: cut off", words)


@pytest.mark.parametrize(
    ("ends", "shapes"),
    [
        ([("x", (1, 2)), ("y", (1, 7))], [(1, 7)]),
        ([("x", (1, 2)), ("y", ("batch", 3)), ("z", ())], [(0, 3), ()]),
    ],
)
def test_shapes_of_the_outputs_are_read(ends: Any, shapes: Any) -> None:
    from tests.agent import onnx_models

    given = [onnx_models.tensor(*one) for one in ends]
    nodes = [("Relu", ["x"], [name], {}) for name, _ in ends[1:]]
    found = onnx_file.read(onnx_models.model(nodes, given[:1], given[1:]))
    assert found.outputs == shapes


def test_operators_inside_of_operators_are_found() -> None:
    from tests.agent import onnx_models

    body = onnx_models.helper.make_graph(
        [onnx_models.helper.make_node("Gelu", ["x"], ["z"], domain="com.microsoft")],
        "body",
        [],
        [onnx_models.tensor("z", (1, 2))],
    )
    nodes = [("If", ["x"], ["y"], {"then_branch": body, "else_branch": body})]
    assert onnx_file.read(model(nodes=nodes)).operators == {"If", "com.microsoft:Gelu"}


def test_model_inspect_says_who_runs_it_and_does_not_guess_its_ram(
    home: Home, modelwave: Run
) -> None:
    rows = as_json(modelwave("model", "inspect", TWIN, "--json"))
    by_target = {row["target"]: row for row in rows}
    host, board = by_target["jetson-orin-nano"], by_target["rp2040"]
    assert (host["fits"], host["total_ram"]) == ("unknown", None)
    assert host["weights_flash"] < host["model_flash"] == TWIN.stat().st_size
    assert "opset 13: any ONNX Runtime; operators DequantizeLinear, " in host["notes"][0]
    assert (board["fits"], board["refused"]) == ("no", "an ONNX model, and it runs tflite")
    code, out, _ = modelwave("model", "inspect", TWIN)
    assert (code, "release create" in out) == (0, True)
    refused(modelwave("model", "inspect", TWIN, "--layers"), "an ONNX model, which no board runs")
