"""One rollout for two targets: the digits as TFLite on one, as ONNX on the other, whose outputs
differ by some steps. A wrong ONNX file takes both back."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import House

np = pytest.importorskip("numpy")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")

from modelwave_agent.host import HostAgent  # noqa: E402

pytestmark = pytest.mark.e2e

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
EXAMPLES = DIGITS / "models"
TWIN = DIGITS / "onnx" / "digits-v2.onnx"
TFLITE_FILES = (EXAMPLES / "digits-v2.tflite", EXAMPLES / "digits-v2.golden")
TARGETS = {"pi-1": "linux-cpu", "orin-1": "jetson-orin-nano"}
PLAN = ("--stages", "100", "--soak", "0", "--trial", "0", "--deadline", "600")
AGENT = """
device = "{name}"
target = "{target}"
models = ["digits"]
state = "state-{name}"
root = "{root}"
metrics_seconds = 1
[broker]
url = "{broker}"
[download]
hosts = ["{files}"]
"""


def agents(house: House, running: ExitStack) -> dict[str, HostAgent]:
    found = {}
    root = house.operator.home / "root.json"
    for name, target in TARGETS.items():
        config = house.folder / f"{name}.toml"
        text = AGENT.format(
            name=name, target=target, root=root, broker=house.broker_url, files=house.files
        )
        config.write_text(text)
        found[name] = running.enter_context(HostAgent.from_config(config))
    house.operator.waits(["device", "list"], lambda devices: len(devices) == len(TARGETS))
    return found


def release(house: House, version: str, target: str, file: Path, golden: Path, *more: str) -> Any:
    options = ["--file", str(file), "--golden", str(golden), "--dataset=digits", "--yes"]
    create = ("release", "create", "digits", version, "--target", target, "--quantisation=int8")
    return house.operator.asks(*create, *options, *more)["manifest"]


def rolled_out(house: House, version: str) -> Any:
    house.operator.shows("rollout", "start", "digits", version, *PLAN)
    house.operator.shows("rollout", "watch")  # perhaps held after one answer
    return house.operator.waits(["rollout", "status"], lambda found: found["final"])


def with_a_wrong_weight(folder: Path) -> Path:
    """The ONNX file with its last layer's biases turned round."""
    onnx = pytest.importorskip("onnx", reason="the package onnx, which writes models")
    model = onnx.load(TWIN)
    for tensor in model.graph.initializer:
        if tensor.name == "bias1":
            wrong = onnx.numpy_helper.to_array(tensor)[::-1] * 50
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(wrong), "bias1"))
    onnx.save(model, folder / "wrong.onnx")
    return folder / "wrong.onnx"


def test_tflite_and_onnx_are_two_targets_of_one_rollout(house: House, tmp_path: Path) -> None:
    wrong = with_a_wrong_weight(tmp_path)
    pictures = np.load(EXAMPLES / "heldout.npz")["inputs"].reshape(-1, 1, 64)[:60]
    np.save(tmp_path / "pictures.npy", pictures)
    onnx_files = TWIN, tmp_path / "digits.npz"
    house.init()
    made = ("golden", "make", str(onnx_files[0]), "--inputs", str(tmp_path / "pictures.npy"))
    house.operator.shows(*made, "--out", str(onnx_files[1]))
    house.start_broker("embedded")
    house.start_service()
    with ExitStack() as running:
        fleet = agents(house, running)
        release(house, "v1", "linux-cpu", *TFLITE_FILES, "--steps", "any=8")
        manifest = release(house, "v1", "jetson-orin-nano", *onnx_files)
        assert (manifest["v"], manifest["format"], manifest["needs"]["runtime"]) == (
            2,
            "onnx",
            "onnx",
        )
        assert manifest["extra"]["ram_from"].startswith("measured on onnxruntime ")
        status = rolled_out(house, "v1")
        assert status["status"] == "FINISHED", (status["why"], status["problems"])
        lite, onnx = (
            np.stack([agent.run("digits", picture) for picture in pictures]).astype(int)
            for agent in fleet.values()
        )
        # Each kept to its own golden set, though their numbers differ.
        assert (lite != onnx).any()
        assert np.mean(lite.argmax(-1) == onnx.argmax(-1)) > 0.9

        release(house, "v2", "linux-cpu", *TFLITE_FILES, "--steps", "any=8")
        told = ("--force", "to see devices refuse it")
        release(house, "v2", "jetson-orin-nano", wrong, onnx_files[1], *told)
        status = rolled_out(house, "v2")
        assert status["status"] == "REVERTED", status
        assert "golden set: output classes: " in status["problems"][0]["reason"]
        live = house.operator.waits(
            ["device", "list"],
            lambda devices: all(one["models"][0]["release"] == 1 for one in devices),
        )
        assert len(live) == len(TARGETS)
        assert np.array_equal(
            onnx[0], fleet["orin-1"].run("digits", pictures[0]).astype(int).reshape(onnx[0].shape)
        )
    assert house.running.dead() == []
