"""Tests that operators which TFLM does not support are refused by name; tflite_micro must agree."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.fit import PROFILES, analyse
from modelwave_controller.fit.model import read_model
from modelwave_controller.fit.refusals import reason
from tests.fit.builder import count, size
from tests.fit.oracle import INSTALLED, MISSING, WHEEL, Oracle
from tests.fit.writer import Graph, write

REFERENCE, CMSIS, PYPI = "x86-64:reference", "cortex-m4:cmsis-nn", "x86-64:pypi"
PICTURE = [1, 4, 4, 4]
STRIDES = {"StrideW": 1, "StrideH": 1}
WINDOW = {**STRIDES, "FilterWidth": 1, "FilterHeight": 1}


def quantised(scale: float = 0.1, zero_point: int = 0, channels: int = 1) -> dict[str, Any]:
    return {"scales": [scale] * channels, "zero_points": [zero_point] * channels}


NOT = {"scales": [], "zero_points": []}  # quantised not at all

Given = tuple[list[int], str] | tuple[list[int], str, dict[str, Any]]


def one(
    code: str, inputs: list[Given | None], output: Given, table: str | None = None, **options: Any
) -> bytes:
    """A model of one operator. An input whose third part says `constant` is filled with 0."""
    graph = Graph()
    numbers = []
    for given in inputs:
        number = -1
        if given is not None:
            shape, kind, *more = given
            how = dict(more[0]) if more else {}
            if how.pop("constant", False):
                how["data"] = bytes(count(shape) * size(kind))
            number = graph.tensor(shape, kind, **how)
        numbers.append(number)
    made = graph.tensor(output[0], output[1], **(output[2] if len(output) > 2 else {}))
    graph.op(code, numbers, [made], table, **options)
    graph.inputs = [n for n in numbers if n >= 0 and graph.tensors[n].data is None]
    graph.outputs = [made]
    return write(graph)


def constant(shape: list[int], kind: str, **more: Any) -> Given:
    return shape, kind, {"constant": True, **more}


def conv(data: Given, weights: Given, output: Given, code: str = "CONV_2D") -> bytes:
    table = "Conv2D" if code == "CONV_2D" else "DepthwiseConv2D"
    return one(code, [data, weights], output, table, **STRIDES)


def dense(data: Given, weights: Given, output: Given, bias: Given | None = None) -> bytes:
    return one("FULLY_CONNECTED", [data, weights, bias], output, "FullyConnected")


def weights(channels: int = 1, kind: str = "INT8", **more: Any) -> Given:
    return constant([5, 3, 3, 4], kind, **quantised(channels=channels), **more)


def svdf(output: list[int] | None = None, rank: int = 1) -> bytes:
    graph = Graph()
    x, features, time = (graph.tensor(shape, "FLOAT32") for shape in ([1, 4], [3, 4], [3, 2]))
    state = graph.tensor([1, 6], "FLOAT32", variable=True)
    bias, y = graph.tensor([3], "FLOAT32"), graph.tensor(output or [1, 3], "FLOAT32")
    for number in (features, time, bias):
        graph.tensors[number].data = bytes(4 * count(list(graph.tensors[number].shape or [])))
    graph.op("SVDF", [x, features, time, bias, state], [y], "SVDF", Rank=rank)
    graph.inputs, graph.outputs = [x], [y]
    return write(graph)


def lstm(extra: int | None = None, width: int = 5) -> bytes:
    """5 units on data of 4; `extra` is an input that TFLM does not know."""
    graph = Graph()

    def weight(*shape: int) -> int:
        return graph.tensor(list(shape), "FLOAT32", data=bytes(4 * count(list(shape))))

    x = graph.tensor([1, 3, 4], "FLOAT32")
    inputs = [x, *(weight(5, 4) for _ in range(4)), *(weight(5, 5) for _ in range(4))]
    inputs += [-1, -1, -1, *(weight(5) for _ in range(4)), -1, -1]
    inputs += [graph.tensor([1, width], "FLOAT32", variable=True) for _ in range(2)]
    inputs += [-1] * 4
    if extra is not None:
        inputs[extra] = weight(5)
    y = graph.tensor([1, 3, 5], "FLOAT32")
    graph.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], "UnidirectionalSequenceLSTM",
             FusedActivationFunction=4)  # fmt: skip
    graph.inputs, graph.outputs = [x], [y]
    return write(graph)


def conditional(inputs: list[list[int]], outputs: list[list[int]]) -> bytes:
    """IF passes a vector of 4 to a subgraph that takes `inputs` and gives `outputs`."""
    main, branch = Graph(), Graph()
    flag, x, y = main.tensor([1], "BOOL"), main.tensor([4], "FLOAT32"), main.tensor([4], "FLOAT32")
    main.op("IF", [flag, x], [y], "If", ThenSubgraphIndex=1, ElseSubgraphIndex=1)
    main.inputs, main.outputs = [flag, x], [y]
    branch.inputs = [branch.tensor(shape, "FLOAT32") for shape in inputs]
    branch.outputs = [branch.tensor(shape, "FLOAT32") for shape in outputs]
    branch.op("RELU", [branch.inputs[0]], [branch.outputs[0]])
    return write(main, branch)


MADE = ([1, 4, 4, 5], "INT8")
SAME = (PICTURE, "INT8")
FLAT = ([1, 4], "INT8")
FIVE = ([1, 5], "INT8")

# What tflite_micro refuses, and a piece of our reason.
BOTH = {
    "TILE: tflite-micro has no kernel": one(
        "TILE", [SAME, constant([4], "INT32")], (PICTURE, "INT8")
    ),
    "my_operator: tflite-micro has no kernel": one("my_operator", [SAME], SAME),
    "operator 0 CEIL: it takes FLOAT32, not INT8": one("CEIL", [SAME], SAME),
    "it takes FLOAT32, INT16, INT8, not UINT8": conv((PICTURE, "UINT8"), weights(), MADE),
    "data FLOAT32, weights INT8": conv((PICTURE, "FLOAT32"), weights(), ([1, 4, 4, 5], "FLOAT32")),
    "data INT8, weights FLOAT32": dense(FLAT, constant([5, 4], "FLOAT32"), FIVE),
    "[4, 4, 4], not four dimensions": conv(([4, 4, 4], "INT8"), weights(), MADE),
    "it multiplies FLOAT32 by INT8": one(
        "BATCH_MATMUL",
        [([1, 3, 4], "FLOAT32"), constant([1, 4, 5], "INT8")],
        ([1, 3, 5], "FLOAT32"),
        "BatchMatMul",
    ),
    "INT8 weights are not quantised": conv(SAME, constant([5, 3, 3, 4], "INT8", **NOT), MADE),
    "INT8 output is not quantised": one(
        "ADD", [(PICTURE, "INT8", NOT)] * 2, (PICTURE, "INT8", NOT), "Add"
    ),
    "3 scales for 5 channels": conv(SAME, weights(channels=3), MADE),
    "3 scales for 4 channels": conv(
        SAME,
        constant([1, 3, 3, 4], "INT8", **quantised(channels=3), axis=1),
        SAME,
        "DEPTHWISE_CONV_2D",
    ),
    "4 scales along axis 0": conv(
        SAME, constant([1, 3, 3, 4], "INT8", **quantised(channels=4)), SAME, "DEPTHWISE_CONV_2D"
    ),
    "is INT16 with zero point 3": one(
        "MUL",
        [(PICTURE, "INT16", quantised(zero_point=3)), (PICTURE, "INT16")],
        (PICTURE, "INT16"),
        "Mul",
    ),
    "its bias has the scale 0.5": dense(
        FLAT, constant([5, 4], "INT8"), FIVE, constant([5], "INT32", **quantised(0.5))
    ),
    "its data are INT8 and its output is INT16": one(
        "LEAKY_RELU", [SAME], (PICTURE, "INT16"), "LeakyRelu"
    ),
    "does not turn INT8 into INT16": one("DEQUANTIZE", [SAME], (PICTURE, "INT16")),
    "does not turn FLOAT32 into UINT8": one("QUANTIZE", [(PICTURE, "FLOAT32")], (PICTURE, "UINT8")),
    "input 1 is computed": one("PAD", [SAME, ([4, 2], "INT32")], SAME),
    "the scale 0.00392157; it must be 0.00390625": one(
        "SOFTMAX", [FLAT], ([1, 4], "INT8", quantised(1 / 255, -128)), "Softmax", Beta=1.0
    ),
    "the zero point 0; it must be -128": one("LOGISTIC", [FLAT], FLAT),
    "quantised otherwise than the output": one(
        "CONCATENATION",
        [SAME, (PICTURE, "INT8", quantised(0.2))],
        ([1, 4, 4, 8], "INT8"),
        "Concatenation",
        Axis=3,
    ),
    "11 inputs, 10 at most": one("CONCATENATION", [FLAT] * 11, ([11, 4], "INT8"), "Concatenation"),
    "the scale 0.1 and its output has 0.2": one(
        "MAX_POOL_2D", [SAME], (PICTURE, "INT8", quantised(0.2)), "Pool2D", **WINDOW
    ),
    "6 dimensions, 5 at most": one(
        "TRANSPOSE", [([1] * 6, "FLOAT32"), constant([6], "INT32")], ([1] * 6, "FLOAT32")
    ),
    "its state is not a variable tensor": one(
        "SVDF",
        [
            ([1, 4], "FLOAT32"),
            constant([3, 4], "FLOAT32"),
            constant([3, 2], "FLOAT32"),
            None,
            ([1, 6], "FLOAT32"),
        ],
        ([1, 3], "FLOAT32"),
        "SVDF",
        Rank=1,
    ),
    "tensor 2 is INT64, not INT32": one(
        "ARG_MAX", [SAME, constant([1], "INT32")], ([1, 4, 4], "INT64"), "ArgMax", OutputType=4
    ),
    "tensor 1 is UINT8, not INT8 or INT16": one("CAST", [(PICTURE, "FLOAT32")], (PICTURE, "UINT8")),
    "tensor 0 has 6 dimensions, not 0 to 5": one(
        "BROADCAST_TO",
        [([1] * 6, "FLOAT32"), constant([6], "INT32")],
        ([1] * 6, "FLOAT32"),
    ),
    "it squeezes axis 1, which is 4 wide and not 1": one(
        "SQUEEZE", [SAME], ([1, 4, 4, 4], "INT8"), "Squeeze", SqueezeDims=[1]
    ),
    "its data have 64 elements and its output 16": one(
        "SQUEEZE", [SAME], ([1, 4, 4], "INT8"), "Squeeze", SqueezeDims=[0]
    ),
    "tensor 5 has the shape [1, 6], not [1, 3]": svdf(output=[1, 6]),
    "which does not divide its 3 filters": svdf(rank=2),
    "it has layer normalisation, which TFLM does not support": lstm(extra=20),
    "it has peepholes, which TFLM does not support": lstm(extra=9),
    "it has a projection, which TFLM does not support": lstm(extra=16),
    "tensor 1 has the shape [5, 4], not [6, 4]": lstm(width=6),
    "it multiplies rows of 4 by columns of 5": one(
        "BATCH_MATMUL",
        [([1, 3, 4], "FLOAT32"), ([1, 5, 5], "FLOAT32")],
        ([1, 3, 5], "FLOAT32"),
        "BatchMatMul",
    ),
    "its slope is INT16, not INT8": one("PRELU", [(PICTURE, "INT16")] * 2, (PICTURE, "INT16")),
    "its output is quantised otherwise than its data": one(
        "REDUCE_MAX",
        [FLAT, constant([1], "INT32")],
        ([1], "INT8", quantised(0.2)),
        "Reducer",
    ),
    "it passes 1 tensors for 2": conditional(outputs=[[4]], inputs=[[4], [4]]),
    "it copies 16 bytes of tensor 1 to 20 bytes": conditional(outputs=[[4]], inputs=[[5]]),
    "it has 3 inputs, not 24": one(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [([1, 4, 4], "FLOAT32"), constant([5, 4], "FLOAT32"), constant([5, 4], "FLOAT32")],
        ([1, 4, 5], "FLOAT32"),
        "UnidirectionalSequenceLSTM",
    ),
    "it has 1 inputs, not 2": one("ADD", [SAME], SAME, "Add"),
    "is of type STRING": one("RESHAPE", [([1, 3], "STRING")], ([3, 1], "STRING"), "Reshape"),
}


@pytest.mark.slow
@pytest.mark.parametrize("piece", list(BOTH))
def test_model_that_tflite_micro_refuses_is_refused_with_the_reason(
    piece: str, tmp_path: Path
) -> None:
    fit = analyse(BOTH[piece], REFERENCE)
    assert fit.refused is not None
    assert piece in fit.refused
    assert (fit.used, fit.need) == (None, None)
    if INSTALLED != WHEEL:
        pytest.skip(MISSING)
    path = tmp_path / "model.tflite"
    path.write_bytes(BOTH[piece])
    with Oracle() as oracle:
        assert not oracle.runs(path)


PER_CHANNEL_16 = dense(
    ([1, 4], "INT16"), constant([5, 4], "INT8", **quantised(channels=5)), ([1, 5], "INT16")
)
PER_CHANNEL_8 = dense(FLAT, constant([5, 4], "INT8", **quantised(channels=5)), FIVE)
SHIFTED_16 = dense(
    ([1, 4], "INT16", quantised(zero_point=3)), constant([5, 4], "INT8"), ([1, 5], "INT16")
)


@pytest.mark.parametrize(
    ("data", "piece"),
    [(PER_CHANNEL_16, "per-channel weights for INT8"), (SHIFTED_16, "INT16 with zero point 3")],
)
def test_what_only_cmsis_nn_refuses_is_taken_by_the_reference_kernels(
    data: bytes, piece: str
) -> None:
    assert piece in (analyse(data, CMSIS).refused or "")
    assert analyse(data, "cortex-m4:reference").refused is None


def test_per_channel_fully_connected_is_refused_by_older_firmware_only() -> None:
    (operator,) = read_model(PER_CHANNEL_8).operators
    mended = PROFILES[REFERENCE]
    day_before = replace(mended, released=date(2024, 9, 26))
    assert "2024-09-27 or later" in (reason(operator, day_before) or "")
    assert reason(operator, replace(mended, released=date(2024, 9, 27))) is None


def test_cast_to_bool_is_refused_by_older_firmware_only() -> None:
    data = one("CAST", [(PICTURE, "FLOAT32")], (PICTURE, "BOOL"))
    assert "needs a tflite-micro of 2026-09-30" in (analyse(data, REFERENCE).refused or "")
    assert analyse(data, PYPI).refused is None


def test_operator_that_the_firmware_left_out_is_refused_by_its_name() -> None:
    fit = analyse(PER_CHANNEL_8, REFERENCE, frozenset({"CONV_2D"}))
    assert fit.refused == "operator 0 FULLY_CONNECTED: not registered in the firmware"
    assert fit.operators == ("FULLY_CONNECTED",)
    assert analyse(PER_CHANNEL_8, REFERENCE, frozenset({"FULLY_CONNECTED"})).refused is None


def test_missing_operator_is_told_before_one_that_does_not_fit() -> None:
    graph = Graph()
    x, y, z = (graph.tensor(PICTURE) for _ in range(3))
    graph.op("CEIL", [x], [y])
    graph.op("GELU", [y], [z], "Gelu")
    graph.inputs, graph.outputs = [x], [z]
    assert (analyse(write(graph), REFERENCE).refused or "").startswith("operator 1 GELU")


@pytest.mark.parametrize("name", ["TFLM_DECODE", "ethos-u"])
def test_operator_that_nobody_measured_is_unknown_by_its_name(name: str) -> None:
    fit = analyse(one(name, [SAME], SAME), REFERENCE)
    assert (fit.used, fit.need, fit.refused) == (None, None, None)
    assert (fit.unknown or "").startswith(name)


def test_dynamic_shape_is_unknown_with_the_tensor() -> None:
    fit = analyse(one("RELU", [([-1, 4], "INT8")], ([-1, 4], "INT8")), REFERENCE)
    assert fit.unknown == "dynamic shape [-1, 4] of tensor 0 tensor0"
    assert fit.need is None


def test_scratch_of_a_subgraph_that_nobody_runs_is_refused() -> None:
    """TFLM leaves such buffers without a place and crashes."""
    main, spare = Graph(), Graph()
    for graph in (main, spare):
        x = graph.tensor(PICTURE, "FLOAT32")
        y = graph.tensor([1, 4], "FLOAT32")
        graph.op("MEAN", [x, graph.constant([1, 2])], [y], "Reducer")
        graph.inputs, graph.outputs = [x], [y]
    assert "nothing runs it" in (analyse(write(main, spare), REFERENCE).refused or "")
