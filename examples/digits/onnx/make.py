"""Make digits-v2.onnx of digits-v2.tflite: the same weights and the same bytes in and out, for
ONNX Runtime. It computes in float32 between, so its outputs differ by some steps.

    pip install 'modelwave[digits]'
    python examples/digits/onnx/make.py
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
OPSET, IR_VERSION = 13, 8  # every ONNX Runtime of today runs them


def main() -> None:
    model = twin(HERE.parent / "models" / "digits-v2.tflite")
    (HERE / "digits-v2.onnx").write_bytes(model.SerializeToString(deterministic=True))


def twin(source: Path) -> ModelProto:
    details = _tensors(source)
    nodes, constants = [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def scaled(operator: str, given: str, result: str, about: str) -> None:
        scale, zero_point = details[about][1]
        step = constant(f"{result}_scale", np.float32(scale))
        zero = constant(f"{result}_zero", np.int8(zero_point))
        nodes.append(helper.make_node(operator, [given, step, zero], [result]))

    scaled("DequantizeLinear", "pictures", "x", "pictures")
    given, number = "x", 0
    while f"weights{number}" in details:
        weights, bias = (_real(details[f"{what}{number}"]) for what in ("weights", "bias"))
        inputs = [given, constant(f"weights{number}", weights.T), constant(f"bias{number}", bias)]
        nodes.append(helper.make_node("Gemm", inputs, [f"sum{number}"]))
        given, number = f"sum{number}", number + 1
        if f"weights{number}" in details:
            nodes.append(helper.make_node("Relu", [given], [f"relu{number}"]))
            given = f"relu{number}"
    nodes.append(helper.make_node("Softmax", [given], ["shares"], axis=1))
    scaled("QuantizeLinear", "shares", "classes", "classes")
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pictures", TensorProto.INT8, [1, 64])],
        [helper.make_tensor_value_info("classes", TensorProto.INT8, [1, 10])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version, made.producer_name, made.producer_version = IR_VERSION, "modelwave", ""
    return made


def _tensors(source: Path) -> dict[str, Any]:
    """Returns {tensor: (its constant or None, (scale, zero point))}."""
    tflite = importlib.import_module("tflite_runtime.interpreter")
    interpreter = tflite.Interpreter(str(source))
    interpreter.allocate_tensors()
    found = {}
    for detail in interpreter.get_tensor_details():
        is_constant = detail["name"].startswith(("weights", "bias"))
        value = interpreter.get_tensor(detail["index"]) if is_constant else None
        found[detail["name"]] = (value, detail["quantization"])
    return found


def _real(tensor: Any) -> Any:
    value, (scale, _) = tensor
    return (value * np.float64(scale)).astype(np.float32)


if __name__ == "__main__":
    main()
