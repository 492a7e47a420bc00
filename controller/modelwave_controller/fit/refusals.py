"""Rules for operators that TFLM has a kernel for but refuses because of types or quantisation.

A row applies to some operators, and optionally only to one kernel library, or only to firmware
from before a date. Its function returns what is wrong with an operator, or None. The data
types that a kernel accepts at all are in kernels.toml. The rows come from the kernels' Prepare
and from running tflite_micro on graphs that break them; some kernels fail only at Invoke,
which counts as a refusal here too."""

from collections.abc import Callable
from datetime import date
from math import isclose

from modelwave_controller.fit import recurrent
from modelwave_controller.fit.model import Operator
from modelwave_controller.fit.operator_view import OperatorView, Rule
from modelwave_controller.fit.profiles import PYPI, Profile

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
WEIGHTED = (*CONVOLUTIONS, "FULLY_CONNECTED")
SAME_TYPE = (
    *WEIGHTED,
    "ABS",
    "CONCATENATION",
    "ELU",
    "LEAKY_RELU",
    "LOGISTIC",
    "PAD",
    "PADV2",
    "RESHAPE",
    "RSQRT",
    "SQUEEZE",
    "TANH",
    "TRANSPOSE",
)
WEIGHTS_FOR = {"FLOAT32": ("FLOAT32",), "INT8": ("INT8", "INT4"), "INT16": ("INT8",)}
OUTPUTS_FOR: dict[str, dict[str, tuple[str, ...]]] = {
    "DEQUANTIZE": {"INT8": ("FLOAT32",), "INT16": ("FLOAT32",), "UINT8": ("FLOAT32",)},
    "SOFTMAX": {"FLOAT32": ("FLOAT32",), "INT8": ("INT8", "INT16"), "INT16": ("INT16",)},
    "QUANTIZE": {
        "FLOAT32": ("INT8", "INT16"),
        "INT8": ("INT8", "INT16", "INT32", "UINT8"),
        "INT16": ("INT8", "INT16", "INT32"),
        "INT32": ("INT8", "INT16"),
        "UINT8": ("INT8",),
    },
}
# The input that must be constant, because the kernel reads it in Prepare.
CONSTANT_INPUT = {
    "BROADCAST_TO": 1,
    "EXPAND_DIMS": 1,
    "FILL": 0,
    "PAD": 1,
    "PADV2": 1,
    "RESIZE_BILINEAR": 1,
    "RESIZE_NEAREST_NEIGHBOR": 1,
    "SPLIT": 0,
    "SPLIT_V": 2,
    "STRIDED_SLICE": 1,
    "TRANSPOSE": 1,
}
# (scale, zero point) that the kernel requires of its output, by the types of data and output;
# None allows any scale.
OUTPUT_QUANTISATION: dict[tuple[str, str, str], tuple[float | None, int]] = {
    ("LOGISTIC", "INT16", "INT16"): (1 / 32768, 0),
    ("LOGISTIC", "INT8", "INT8"): (None, -128),
    ("LOG_SOFTMAX", "INT8", "INT8"): (16 / 256, 127),
    ("SOFTMAX", "INT16", "INT16"): (1 / 32768, 0),
    ("SOFTMAX", "INT8", "INT16"): (1 / 65536, -32768),
    ("SOFTMAX", "INT8", "INT8"): (1 / 256, -128),
    ("TANH", "INT16", "INT16"): (1 / 32768, 0),
}
MOST_DIMENSIONS = {"STRIDED_SLICE": 4, "TRANSPOSE": 5}
BIASES_FOR = {"FLOAT32": ("FLOAT32",), "INT8": ("INT32",), "INT16": ("INT32", "INT64")}
BIAS_SCALE_TOLERANCE = 0.02  # of the output's scale: GetQuantizedConvolutionMultipler
INT16_SCALE_TOLERANCE = 1e-3  # of the scale itself; an INT8's must be met exactly
POOL_SCALE_TOLERANCE = 1e-6
PER_CHANNEL_FULLY_CONNECTED = date(2024, 9, 27)
CAST_TO_BOOL = PYPI  # the first that was seen to do it; that of 2026-08-20 does not


def reason(operator: Operator, profile: Profile) -> str | None:
    """Returns why TFLM refuses this operator, or None."""
    for rule in RULES:
        if rule.concerns(operator, profile):
            try:
                wrong = rule.wrong(OperatorView(operator))
            except LookupError:
                continue
            if wrong:
                return wrong
    return None


def _hybrid(seen: OperatorView) -> str | None:
    data, weights = seen.data.kind, seen.weights.kind
    if weights in WEIGHTS_FOR.get(data, (weights,)):
        return None
    return f"hybrid models are not supported: data {data}, weights {weights}"


def _unlike_operands(seen: OperatorView) -> str | None:
    left, right = seen.data.kind, seen.weights.kind
    return None if left == right else f"it multiplies {left} by {right}; both must be of one type"


def _unquantised_weights(seen: OperatorView) -> str | None:
    if seen.data.kind == "FLOAT32" or seen.weights.channels:
        return None
    return f"its {seen.weights.kind} weights are not quantised: no scale"


def _unquantised_output(seen: OperatorView) -> str | None:
    if seen.output.kind not in ("INT8", "INT16") or seen.output.channels:
        return None
    return f"its {seen.output.kind} output is not quantised: no scale"


def _channels(axis: int) -> Callable[[OperatorView], str | None]:
    def wrong(seen: OperatorView) -> str | None:
        weights = seen.weights
        if weights.channels <= 1 or weights.channels == weights.shape[axis]:
            return None
        return f"its weights have {weights.channels} scales for {weights.shape[axis]} channels"

    return wrong


def _quantised_axis(seen: OperatorView) -> str | None:
    weights = seen.weights
    if weights.channels <= 1 or weights.channels == weights.shape[weights.axis]:
        return None
    return f"its weights have {weights.channels} scales along axis {weights.axis}"


def _per_channel(seen: OperatorView) -> str | None:
    if seen.data.kind == "FLOAT32" or seen.weights.channels <= 1:
        return None
    return "per-channel weights need a tflite-micro of 2024-09-27 or later"


def _per_channel_unless_int8(seen: OperatorView) -> str | None:
    data, weights = seen.data, seen.weights
    if data.kind == "FLOAT32" or weights.channels <= 1 or data.kind == weights.kind == "INT8":
        return None
    return (
        "CMSIS-NN takes per-channel weights for INT8 data and INT8 weights only, not "
        f"{data.kind} and {weights.kind}; quantise them per tensor"
    )


def _int16_zero_point(seen: OperatorView) -> str | None:
    for tensor in (*seen.operator.inputs, seen.output):
        if tensor and tensor.kind == "INT16" and tensor.zero_point:
            return f"tensor {tensor.index} is INT16 with zero point {tensor.zero_point}, not 0"
    return None


def _bias_scale(seen: OperatorView) -> str | None:
    data, weights, bias = seen.data, seen.weights, seen.input(2)
    product = data.scale * weights.scale
    far = abs(product - bias.scale) > BIAS_SCALE_TOLERANCE * seen.output.scale
    if data.kind == "FLOAT32" or weights.channels > 1 or not far:
        return None
    return f"its bias has the scale {bias.scale:g}, not data × weights = {product:g}"


def _other_type(seen: OperatorView) -> str | None:
    data, output = seen.data.kind, seen.output.kind
    return None if data == output else f"its data are {data} and its output is {output}"


def _other_output(seen: OperatorView) -> str | None:
    data, output = seen.data.kind, seen.output.kind
    outputs = OUTPUTS_FOR[seen.operator.name].get(data, ())
    return None if output in outputs else f"it does not turn {data} into {output}"


def _computed_input(seen: OperatorView) -> str | None:
    index = CONSTANT_INPUT[seen.operator.name]
    constant = seen.input(index).constant
    return None if constant else f"input {index} is computed, and must be constant"


def _output_quantisation(seen: OperatorView) -> str | None:
    output = seen.output
    key = (seen.operator.name, seen.data.kind, output.kind)
    scale, zero_point = OUTPUT_QUANTISATION.get(key, (None, output.zero_point))
    tolerance = INT16_SCALE_TOLERANCE if output.kind == "INT16" else 0
    if scale is not None and not isclose(output.scale, scale, rel_tol=tolerance):
        return f"its output has the scale {output.scale:g}; it must be {scale:g}"
    if output.zero_point != zero_point:
        return f"its output has the zero point {output.zero_point}; it must be {zero_point}"
    return None


def _unlike_parts(seen: OperatorView) -> str | None:
    whole = (seen.output.scale, seen.output.zero_point)
    for part in seen.operator.inputs:
        if part and part.kind == "INT8" and (part.scale, part.zero_point) != whole:
            return f"tensor {part.index} is quantised otherwise than the output"
    return None


def _pool_scale(seen: OperatorView) -> str | None:
    data, output = seen.data, seen.output
    if data.kind == "FLOAT32" or abs(data.scale - output.scale) <= POOL_SCALE_TOLERANCE:
        return None
    return f"its data have the scale {data.scale:g} and its output has {output.scale:g}"


def _four_dimensions(seen: OperatorView) -> str | None:
    for tensor in (seen.data, seen.weights, seen.output):
        if len(tensor.shape) != 4:
            return f"tensor {tensor.index} has the shape {list(tensor.shape)}, not four dimensions"
    return None


def _dimensions(seen: OperatorView) -> str | None:
    most, dimensions = MOST_DIMENSIONS[seen.operator.name], len(seen.data.shape)
    return None if dimensions <= most else f"its data have {dimensions} dimensions, {most} at most"


def _prelu_slope(seen: OperatorView) -> str | None:
    wanted = "FLOAT32" if seen.data.kind == "FLOAT32" else "INT8"
    return (
        None if seen.weights.kind == wanted else f"its slope is {seen.weights.kind}, not {wanted}"
    )


def _other_quantisation(seen: OperatorView) -> str | None:
    data, output = seen.data, seen.output
    if data.kind != "INT8" or (data.scale, data.zero_point) == (output.scale, output.zero_point):
        return None
    return "its output is quantised otherwise than its data"


def _other_zero_point(seen: OperatorView) -> str | None:
    data, output = seen.data.zero_point, seen.output.zero_point
    if seen.data.kind == "FLOAT32" or data == output:
        return None
    return f"its data have the zero point {data} and its output has {output}"


def _int16_data_zero_point(seen: OperatorView) -> str | None:
    if seen.data.kind != "INT16" or not seen.data.zero_point:
        return None
    return f"its data are INT16 with zero point {seen.data.zero_point}, not 0"


def _unquantised_data(seen: OperatorView) -> str | None:
    if seen.data.kind not in ("INT8", "INT16") or seen.data.channels:
        return None
    return f"its {seen.data.kind} data are not quantised: no scale"


def _quantised_along_an_axis(seen: OperatorView) -> str | None:
    channels = seen.output.channels
    return f"its output has {channels} scales, not 1" if channels > 1 else None


def _to_bool(seen: OperatorView) -> str | None:
    if seen.output.kind != "BOOL":
        return None
    return f"it casts to BOOL, which needs a tflite-micro of {CAST_TO_BOOL} or later"


def _bias_type(seen: OperatorView) -> str | None:
    bias = seen.input(3 if seen.operator.name == "TRANSPOSE_CONV" else 2)
    kinds = BIASES_FOR[seen.data.kind]
    return None if bias.kind in kinds else f"its bias is {bias.kind}, not {' or '.join(kinds)}"


def _filler(seen: OperatorView) -> str | None:
    filler, output = seen.input(2), seen.output
    same = (filler.scale, filler.zero_point) == (output.scale, output.zero_point)
    if seen.data.kind != "INT8" or same:
        return None
    return "its constant value is quantised otherwise than its output"


RULES = (
    Rule(WEIGHTED, _hybrid),
    Rule(CONVOLUTIONS, _four_dimensions),
    Rule(("BATCH_MATMUL",), _unlike_operands),
    Rule(("CONV_2D", "DEPTHWISE_CONV_2D"), _unquantised_weights),
    Rule(("ABS", "ADD", "QUANTIZE", "RSQRT", "SUB"), _unquantised_output),
    Rule(("CONV_2D", "FULLY_CONNECTED"), _channels(0)),
    Rule(("DEPTHWISE_CONV_2D",), _channels(3)),
    Rule(("CONV_2D", "DEPTHWISE_CONV_2D"), _quantised_axis),
    Rule(("FULLY_CONNECTED",), _per_channel, before=PER_CHANNEL_FULLY_CONNECTED),
    Rule(("FULLY_CONNECTED",), _per_channel_unless_int8, library="cmsis-nn"),
    Rule(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), _int16_zero_point, "cmsis-nn"),
    Rule(("BATCH_MATMUL", "CONCATENATION", "MUL"), _int16_zero_point),
    Rule(("FULLY_CONNECTED",), _bias_scale),
    Rule(SAME_TYPE, _other_type),
    Rule(tuple(OUTPUTS_FOR), _other_output),
    Rule(tuple(CONSTANT_INPUT), _computed_input),
    Rule(tuple({name for name, _, _ in OUTPUT_QUANTISATION}), _output_quantisation),
    Rule(("CONCATENATION",), _unlike_parts),
    Rule(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _pool_scale),
    Rule(tuple(MOST_DIMENSIONS), _dimensions),
    Rule(("CAST",), _to_bool, before=CAST_TO_BOOL),
    Rule(CONVOLUTIONS, _bias_type),
    Rule(("PADV2",), _filler),
    Rule(("PRELU",), _prelu_slope),
    Rule(("REDUCE_MAX", "REDUCE_MIN"), _other_quantisation),
    Rule(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _other_zero_point),
    Rule(("TANH", "LOGISTIC"), _int16_data_zero_point),
    Rule(CONVOLUTIONS, _unquantised_data),
    Rule(("QUANTIZE",), _quantised_along_an_axis),
    *recurrent.RULES,
)
