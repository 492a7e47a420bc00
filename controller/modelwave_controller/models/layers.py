"""Builds a model from a list of layers, one a line; `#` starts a comment.

    input 49x10x1                  # the input's shape, without the batch
    conv2d 64 10x4 stride=2        # filters, kernel; padding is `same` unless `valid`
    depthwise 3x3 multiplier=1
    avgpool 25x5                   # or maxpool; the stride is the kernel's unless given
    mean                           # over height and width
    flatten
    dense 12                       # per-tensor: one scale for all its weights, else
                                   # per-channel (that is the default for int8 only)
    softmax                        # or relu, relu6, logistic, tanh: as layers of their own

A layer may give its input's shape first (`conv2d 28x28x1 8 3x3`); it must then be the output
shape of the layer before. An activation that the converter fuses into its layer costs nothing
and is not listed."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from modelwave_controller.errors import OperatorError
from modelwave_controller.fit.model import Model, Operator, Subgraph, Tensor
from modelwave_controller.fit.tflite_schema import ELEMENT_BYTES

MAX_LAYERS = 1000
MAX_SIDE = 1_000_000
FLAGS = ("same", "valid", "per-tensor", "per-channel")
MAX_TENSOR_BYTES = 2**31 - 1
# The types of weights and biases that the converter uses, by the type of the data.
KINDS = {
    "FLOAT32": ("FLOAT32", "FLOAT32"),
    "INT8": ("INT8", "INT32"),
    "INT16": ("INT8", "INT64"),
}
UNARY = {
    "logistic": "LOGISTIC",
    "relu": "RELU",
    "relu6": "RELU6",
    "softmax": "SOFTMAX",
    "tanh": "TANH",
}
# Scale and zero point that TFLM requires of a softmax or logistic output.
PROBABILITY = {"INT8": (1 / 256, -128), "INT16": (1 / 32768, 0)}


@dataclass(slots=True)
class Words:
    """One parsed line: `sizes` are words such as 3x3, `numbers` single integers, `named` are
    words such as stride=2."""

    kind: str
    sizes: list[tuple[int, ...]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    named: dict[str, int] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)


def read_layers(text: str, where: str, kind: str = "INT8") -> Model:
    """Builds the model for data of type `kind`, one of KINDS. Raises OperatorError, which
    names `where` and the line."""
    builder = _Builder(kind)
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.partition("#")[0].split():
            try:
                builder.add(_words(words))
            except ValueError as error:
                raise OperatorError(f"{where}: line {number}: {error}") from error
    if not builder.operators:
        raise OperatorError(f"{where}: no layer")
    return builder.model()


def _words(words: list[str]) -> Words:
    found = Words(words[0].lower())
    for word in words[1:]:
        name, given, value = word.partition("=")
        if given:
            found.named[name] = _number(value, word)
        elif word in FLAGS:
            found.flags.add(word)
        elif re.fullmatch(r"\d+(x\d+)+", word):
            found.sizes.append(tuple(_number(side, word) for side in word.split("x")))
        else:
            found.numbers.append(_number(word, word))
    return found


def _number(text: str, word: str) -> int:
    if not re.fullmatch(r"\d{1,7}", text) or not 1 <= int(text) <= MAX_SIDE:
        raise ValueError(f"{word[:40]!r}: not a number from 1 to {MAX_SIDE}")
    return int(text)


class _Builder:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.current: Tensor | None = None

    def add(self, words: Words) -> None:
        """Adds the layer of one line. Raises ValueError, which says what is wrong with it."""
        if len(self.operators) >= MAX_LAYERS:
            raise ValueError(f"more than {MAX_LAYERS} layers")
        if words.kind == "input":
            if self.current is not None:
                raise ValueError("a second input; only a chain of layers can be estimated")
            self.current = self.tensor("input", (1, *_shape(words)))
            return
        if words.kind not in LAYERS:
            raise ValueError(
                f"{words.kind[:40]!r} is not a layer; use one of {', '.join(sorted(LAYERS))}"
            )
        self.check_shape(words)
        least_sizes, least_numbers, options, build = LAYERS[words.kind]
        if (len(words.sizes), len(words.numbers)) != (least_sizes, least_numbers):
            wanted = ["a kernel such as 3x3"] * least_sizes + ["a number"] * least_numbers
            raise ValueError(f"{words.kind} takes {' and '.join(wanted) or 'nothing else'}")
        for name in [*words.named, *words.flags]:
            if name not in options:
                raise ValueError(f"{words.kind} has no {name}; {', '.join(options) or 'no option'}")
        build(self, words)

    def check_shape(self, words: Words) -> None:
        """Checks the input's shape, which is the first size of a line that has one size more
        than the layer takes. Raises ValueError."""
        if words.sizes and len(words.sizes) > LAYERS[words.kind][0]:
            shape = (1, *words.sizes.pop(0))
            if self.current is None:
                self.current = self.tensor("input", shape)
            elif self.current.shape != shape:
                here = "x".join(str(side) for side in self.current.shape[1:])
                raise ValueError(f"the input of this layer is {here}")
        if self.current is None:
            raise ValueError("begin with the input: input 28x28x1")

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: str = "",
        channels: int = 1,
        constant: bool = False,
    ) -> Tensor:
        kind = kind or self.kind
        size = prod(shape) * ELEMENT_BYTES[kind]
        if size > MAX_TENSOR_BYTES:
            raise ValueError(f"{name} would have {size} bytes")
        quantised = 0 if self.kind == "FLOAT32" else channels
        made = Tensor(
            index=len(self.tensors),
            name=name,
            shape=shape,
            kind=kind,
            bytes=size,
            constant_bytes=size if constant else 0,
            variable=False,
            channels=quantised,
            scale=1.0 if quantised else 0.0,
            zero_point=0,
            axis=0,
        )
        self.tensors.append(made)
        return made

    def weights(self, shape: tuple[int, ...], channels: int, axis: int = 0) -> Tensor:
        kind, _ = KINDS[self.kind]
        made = self.tensor("weights", shape, kind, channels, constant=True)
        made.axis = axis
        return made

    def bias(self, filters: int, channels: int) -> Tensor:
        _, kind = KINDS[self.kind]
        return self.tensor("bias", (filters,), kind, channels, constant=True)

    def whole_numbers(self, name: str, count: int) -> Tensor:
        """Adds a constant of integers: a shape, or axes."""
        return self.tensor(name, (count,), "INT32", channels=0, constant=True)

    def operator(
        self, name: str, inputs: tuple[Tensor, ...], shape: tuple[int, ...], **options: int
    ) -> None:
        index = len(self.operators)
        output = self.tensor(f"{name} {index}", shape)
        self.operators.append(Operator(index, name, False, inputs, (output,), (), options))
        self.current = output

    def model(self) -> Model:
        graph = Subgraph(
            self.tensors, (self.tensors[0],), self.operators[-1].outputs, self.operators
        )
        return Model([graph], sum(tensor.constant_bytes for tensor in self.tensors), None)

    @property
    def data(self) -> Tensor:
        assert self.current is not None
        return self.current

    def picture(self) -> tuple[int, int, int]:
        """Returns height, width and channels. Raises ValueError for data of another shape."""
        if len(self.data.shape) != 4:
            raise ValueError(f"needs height x width x channels, not {list(self.data.shape[1:])}")
        _, height, width, channels = self.data.shape
        return height, width, channels


def _shape(words: Words) -> tuple[int, ...]:
    if len(words.sizes) + len(words.numbers) != 1 or words.named or words.flags:
        raise ValueError("input takes one shape, such as 28x28x1")
    return words.sizes[0] if words.sizes else (words.numbers[0],)


def _slid(builder: _Builder, words: Words, stride: int) -> tuple[int, int, dict[str, int]]:
    """Returns height and width after a convolution or pooling, and the operator's options."""
    height, width, _ = builder.picture()
    (rows, columns), stride = words.sizes[0], words.named.get("stride", stride)
    if "valid" in words.flags:
        height, width = height - rows + 1, width - columns + 1
        if min(height, width) < 1:
            raise ValueError(f"a kernel of {rows}x{columns} is larger than the picture")
    options = {
        "padding": int("valid" in words.flags),
        "stride_h": stride,
        "stride_w": stride,
        "dilation_h": 1,
        "dilation_w": 1,
    }
    return -(-height // stride), -(-width // stride), options


def _conv2d(builder: _Builder, words: Words) -> None:
    _, _, channels = builder.picture()
    height, width, options = _slid(builder, words, 1)
    filters, kernel = words.numbers[0], words.sizes[0]
    weights = builder.weights((filters, *kernel, channels), channels=filters)
    inputs = (builder.data, weights, builder.bias(filters, filters))
    builder.operator("CONV_2D", inputs, (1, height, width, filters), **options)


def _depthwise(builder: _Builder, words: Words) -> None:
    _, _, channels = builder.picture()
    height, width, options = _slid(builder, words, 1)
    multiplier = words.named.get("multiplier", 1)
    filters, options["multiplier"] = channels * multiplier, multiplier
    weights = builder.weights((1, *words.sizes[0], filters), channels=filters, axis=3)
    inputs = (builder.data, weights, builder.bias(filters, filters))
    builder.operator("DEPTHWISE_CONV_2D", inputs, (1, height, width, filters), **options)


def _pool(name: str) -> Callable[[_Builder, Words], None]:
    def build(builder: _Builder, words: Words) -> None:
        _, _, channels = builder.picture()
        words.flags = words.flags or {"valid"}
        height, width, _ = _slid(builder, words, words.sizes[0][0])
        builder.operator(name, (builder.data,), (1, height, width, channels))

    return build


def _mean(builder: _Builder, words: Words) -> None:
    _, _, channels = builder.picture()
    axes = builder.whole_numbers("axes", 2)
    builder.operator("MEAN", (builder.data, axes), (1, channels))


def _flatten(builder: _Builder, words: Words) -> None:
    shape = builder.whole_numbers("shape", 2)
    builder.operator("RESHAPE", (builder.data, shape), (1, prod(builder.data.shape)))


def _dense(builder: _Builder, words: Words) -> None:
    if len(builder.data.shape) != 2:
        _flatten(builder, words)
    units = words.numbers[0]
    # Newer converters give each unit of an int8 layer a scale of its own.
    each = "per-channel" in words.flags or (
        builder.kind == "INT8" and "per-tensor" not in words.flags
    )
    scales = units if each else 1
    weights = builder.weights((units, builder.data.shape[1]), channels=scales)
    inputs = (builder.data, weights, builder.bias(units, scales))
    builder.operator("FULLY_CONNECTED", inputs, (1, units))


def _unary(builder: _Builder, words: Words) -> None:
    builder.operator(UNARY[words.kind], (builder.data,), builder.data.shape)
    if words.kind in ("softmax", "logistic") and builder.kind in PROBABILITY:
        builder.data.scale, builder.data.zero_point = PROBABILITY[builder.kind]


_WINDOW = ("stride", "same", "valid")
# For each layer: how many sizes and numbers it takes, its options, and its builder.
LAYERS: dict[str, tuple[int, int, tuple[str, ...], Callable[[_Builder, Words], None]]] = {
    "conv2d": (1, 1, _WINDOW, _conv2d),
    "depthwise": (1, 0, (*_WINDOW, "multiplier"), _depthwise),
    "avgpool": (1, 0, _WINDOW, _pool("AVERAGE_POOL_2D")),
    "maxpool": (1, 0, _WINDOW, _pool("MAX_POOL_2D")),
    "mean": (0, 0, (), _mean),
    "flatten": (0, 0, (), _flatten),
    "dense": (0, 1, ("per-tensor", "per-channel"), _dense),
    **dict.fromkeys(UNARY, (0, 0, (), _unary)),
}
