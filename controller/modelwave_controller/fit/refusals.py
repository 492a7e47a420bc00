"""Rules for operators that TFLM has a kernel for but refuses because of types or quantisation.

A row applies to some operators, and optionally only to one kernel library, or only to firmware
from before a date. Its function returns what is wrong with an operator, or None. The data
types that a kernel accepts at all are in kernels.toml. The rows come from the kernels' Prepare
and from running tflite_micro on graphs that break them; some kernels fail only at Invoke,
which counts as a refusal here too."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from math import isclose

from modelwave_controller.fit.model import Operator, Tensor
from modelwave_controller.fit.profiles import Profile

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
LSTM_INPUTS = 24
BIAS_SCALE_TOLERANCE = 0.02  # of the output's scale: GetQuantizedConvolutionMultipler
INT16_SCALE_TOLERANCE = 1e-3  # of the scale itself; an INT8's must be met exactly
POOL_SCALE_TOLERANCE = 1e-6
PER_CHANNEL_FULLY_CONNECTED = date(2024, 9, 27)


class Seen:
    """An operator as a rule sees it. Raises LookupError for a tensor that the operator does not
    have: then the rule does not apply, and Prepare will report the missing tensor."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator

    def input(self, index: int) -> Tensor:
        tensor = self.operator.inputs[index]
        if tensor is None:
            raise LookupError
        return tensor

    @property
    def data(self) -> Tensor:
        return self.input(2 if self.operator.name == "TRANSPOSE_CONV" else 0)

    @property
    def weights(self) -> Tensor:
        return self.input(1)

    @property
    def output(self) -> Tensor:
        return self.operator.outputs[0]


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason to refuse an operator. `before`: firmware of that day or later accepts it."""

    operators: tuple[str, ...]
    wrong: Callable[[Seen], str | None]
    library: str | None = None
    before: date | None = None

    def concerns(self, operator: Operator, profile: Profile) -> bool:
        return (
            operator.name in self.operators
            and self.library in (None, profile.library)
            and (self.before is None or profile.released < self.before)
        )


def reason(operator: Operator, profile: Profile) -> str | None:
    """Returns why TFLM refuses this operator, or None."""
    for rule in RULES:
        if rule.concerns(operator, profile):
            try:
                wrong = rule.wrong(Seen(operator))
            except LookupError:
                continue
            if wrong:
                return wrong
    return None


def _hybrid(seen: Seen) -> str | None:
    data, weights = seen.data.kind, seen.weights.kind
    if weights in WEIGHTS_FOR.get(data, (weights,)):
        return None
    return f"hybrid models are not supported: data {data}, weights {weights}"


def _unlike_operands(seen: Seen) -> str | None:
    left, right = seen.data.kind, seen.weights.kind
    return None if left == right else f"it multiplies {left} by {right}; both must be of one type"


def _unquantised_weights(seen: Seen) -> str | None:
    if seen.data.kind == "FLOAT32" or seen.weights.channels:
        return None
    return f"its {seen.weights.kind} weights are not quantised: no scale"


def _unquantised_output(seen: Seen) -> str | None:
    if seen.output.kind not in ("INT8", "INT16") or seen.output.channels:
        return None
    return f"its {seen.output.kind} output is not quantised: no scale"


def _channels(axis: int) -> Callable[[Seen], str | None]:
    def wrong(seen: Seen) -> str | None:
        weights = seen.weights
        if weights.channels <= 1 or weights.channels == weights.shape[axis]:
            return None
        return f"its weights have {weights.channels} scales for {weights.shape[axis]} channels"

    return wrong


def _quantised_axis(seen: Seen) -> str | None:
    weights = seen.weights
    if weights.channels <= 1 or weights.channels == weights.shape[weights.axis]:
        return None
    return f"its weights have {weights.channels} scales along axis {weights.axis}"


def _per_channel(seen: Seen) -> str | None:
    if seen.data.kind == "FLOAT32" or seen.weights.channels <= 1:
        return None
    return "per-channel weights need a tflite-micro of 2024-09-27 or later"


def _per_channel_unless_int8(seen: Seen) -> str | None:
    data, weights = seen.data, seen.weights
    if data.kind == "FLOAT32" or weights.channels <= 1 or data.kind == weights.kind == "INT8":
        return None
    return (
        "CMSIS-NN takes per-channel weights for INT8 data and INT8 weights only, not "
        f"{data.kind} and {weights.kind}; quantise them per tensor"
    )


def _int16_zero_point(seen: Seen) -> str | None:
    for tensor in (seen.data, seen.output):
        if tensor.kind == "INT16" and tensor.zero_point:
            return f"tensor {tensor.index} is INT16 with zero point {tensor.zero_point}, not 0"
    return None


def _bias_scale(seen: Seen) -> str | None:
    data, weights, bias = seen.data, seen.weights, seen.input(2)
    product = data.scale * weights.scale
    far = abs(product - bias.scale) > BIAS_SCALE_TOLERANCE * seen.output.scale
    if data.kind == "FLOAT32" or weights.channels > 1 or not far:
        return None
    return f"its bias has the scale {bias.scale:g}, not data × weights = {product:g}"


def _other_type(seen: Seen) -> str | None:
    data, output = seen.data.kind, seen.output.kind
    return None if data == output else f"its data are {data} and its output is {output}"


def _other_output(seen: Seen) -> str | None:
    data, output = seen.data.kind, seen.output.kind
    outputs = OUTPUTS_FOR[seen.operator.name].get(data, ())
    return None if output in outputs else f"it does not turn {data} into {output}"


def _computed_input(seen: Seen) -> str | None:
    index = CONSTANT_INPUT[seen.operator.name]
    constant = seen.input(index).constant
    return None if constant else f"input {index} is computed, and must be constant"


def _output_quantisation(seen: Seen) -> str | None:
    output = seen.output
    key = (seen.operator.name, seen.data.kind, output.kind)
    scale, zero_point = OUTPUT_QUANTISATION.get(key, (None, output.zero_point))
    tolerance = INT16_SCALE_TOLERANCE if output.kind == "INT16" else 0
    if scale is not None and not isclose(output.scale, scale, rel_tol=tolerance):
        return f"its output has the scale {output.scale:g}; it must be {scale:g}"
    if output.zero_point != zero_point:
        return f"its output has the zero point {output.zero_point}; it must be {zero_point}"
    return None


def _unlike_parts(seen: Seen) -> str | None:
    whole = (seen.output.scale, seen.output.zero_point)
    for part in seen.operator.inputs:
        if part and part.kind == "INT8" and (part.scale, part.zero_point) != whole:
            return f"tensor {part.index} is quantised otherwise than the output"
    return None


def _pool_scale(seen: Seen) -> str | None:
    data, output = seen.data, seen.output
    if data.kind != "INT8" or abs(data.scale - output.scale) <= POOL_SCALE_TOLERANCE:
        return None
    return f"its data have the scale {data.scale:g} and its output has {output.scale:g}"


def _four_dimensions(seen: Seen) -> str | None:
    for tensor in (seen.data, seen.weights, seen.output):
        if len(tensor.shape) != 4:
            return f"tensor {tensor.index} has the shape {list(tensor.shape)}, not four dimensions"
    return None


def _dimensions(seen: Seen) -> str | None:
    most, dimensions = MOST_DIMENSIONS[seen.operator.name], len(seen.data.shape)
    return None if dimensions <= most else f"its data have {dimensions} dimensions, {most} at most"


def _lasting_state(seen: Seen) -> str | None:
    return None if seen.input(4).variable else "its state is not a variable tensor"


def _lstm_inputs(seen: Seen) -> str | None:
    inputs = len(seen.operator.inputs)
    return None if inputs == LSTM_INPUTS else f"it has {inputs} inputs, not {LSTM_INPUTS}"


RULES = (
    Rule(WEIGHTED, _hybrid),
    Rule(CONVOLUTIONS, _four_dimensions),
    Rule(("BATCH_MATMUL",), _unlike_operands),
    Rule(("CONV_2D", "DEPTHWISE_CONV_2D"), _unquantised_weights),
    Rule(("ABS", "ADD", "QUANTIZE", "RSQRT", "SUB"), _unquantised_output),
    Rule(("CONV_2D",), _channels(0)),
    Rule(("DEPTHWISE_CONV_2D",), _channels(3)),
    Rule(("CONV_2D", "DEPTHWISE_CONV_2D"), _quantised_axis),
    Rule(("FULLY_CONNECTED",), _per_channel, before=PER_CHANNEL_FULLY_CONNECTED),
    Rule(("FULLY_CONNECTED",), _per_channel_unless_int8, library="cmsis-nn"),
    Rule(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), _int16_zero_point, "cmsis-nn"),
    Rule(("MUL",), _int16_zero_point),
    Rule(("FULLY_CONNECTED",), _bias_scale),
    Rule(SAME_TYPE, _other_type),
    Rule(tuple(OUTPUTS_FOR), _other_output),
    Rule(tuple(CONSTANT_INPUT), _computed_input),
    Rule(tuple({name for name, _, _ in OUTPUT_QUANTISATION}), _output_quantisation),
    Rule(("CONCATENATION",), _unlike_parts),
    Rule(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _pool_scale),
    Rule(tuple(MOST_DIMENSIONS), _dimensions),
    Rule(("SVDF",), _lasting_state),
    Rule(("UNIDIRECTIONAL_SEQUENCE_LSTM",), _lstm_inputs),
)
