"""Random graphs of int8, int16 and float operators that tflite_micro can run, nobody's models:
towers and branches of layers, some with a state, some with control flow."""

from collections.abc import Callable
from random import Random

from tests.fit.writer import Graph, write

KINDS = ("INT8", "INT8", "INT16", "FLOAT32")  # as often as people ship them
MOST_ELEMENTS = 4096  # of one tensor
WEIGHT_KIND = {"INT8": "INT8", "INT16": "INT8", "FLOAT32": "FLOAT32"}
BIAS_KIND = {"INT8": "INT32", "INT16": "INT64", "FLOAT32": "FLOAT32"}
SCALE = 0.1

Shape = list[int]
Step = Callable[["Builder", int], int | None]


def random_graph(seed: int) -> bytes:
    """The .tflite bytes of one graph; the same for the same seed."""
    return Builder(Random(seed)).build()


class Builder:
    """Grows a graph: each step takes a tensor and returns the new one, or None where its
    operator does not go with the tensor."""

    def __init__(self, rng: Random, kind: str | None = None) -> None:
        self.rng = rng
        self.kind = kind or rng.choice(KINDS)
        self.graph = Graph()
        self.called: list[Graph] = []

    def build(self) -> bytes:
        graph, rng = self.graph, self.rng
        tensors = [self.tensor(self._input_shape()) for _ in range(rng.choice((1, 1, 1, 2)))]
        graph.inputs = list(tensors)
        for _ in range(rng.randint(1, 14)):
            source = tensors[-1] if rng.random() < 0.7 else rng.choice(tensors)
            made = rng.choice(STEPS)(self, source)
            if made is not None:
                tensors.append(made)
        used = {tensor for operator in graph.operators for tensor in operator.inputs}
        graph.outputs = [tensor for tensor in tensors if tensor not in used]
        if not graph.operators:
            graph.outputs = [reshape(self, tensors[0])]
        return write(graph, *self.called)

    def _input_shape(self) -> Shape:
        rng = self.rng
        if rng.random() < 0.25:
            return [1, rng.randint(1, 64)]
        return [1, rng.randint(1, 12), rng.randint(1, 12), rng.randint(1, 10)]

    def shape(self, tensor: int) -> Shape:
        return list(self.graph.tensors[tensor].shape or [])

    def tensor(self, shape: Shape, kind: str | None = None, **more: object) -> int:
        kind = kind or self.kind
        if kind in ("INT8", "INT16") and "scales" not in more:
            more |= quantised(SCALE, self.rng.randint(-9, 9) if kind == "INT8" else 0)
        return self.graph.tensor(shape, kind, **more)

    def like(self, tensor: int) -> int:
        """Another tensor of that shape and quantisation."""
        model = self.graph.tensors[tensor]
        return self.graph.tensor(
            model.shape, model.kind, scales=model.scales, zero_points=model.zero_points
        )

    def weights(self, shape: Shape, axis: int) -> int:
        channels = shape[axis] if self.rng.random() < 0.6 else 1
        kind = WEIGHT_KIND[self.kind]
        more = quantised(SCALE, 0, channels, axis) if kind == "INT8" else {}
        return self.graph.tensor(shape, kind, data=bytes(count(shape) * size(kind)), **more)

    def bias(self, channels: int, x: int, weights: int) -> int:
        """`x` are the data, whose scale times that of the weights is the bias's."""
        kind, scales = BIAS_KIND[self.kind], self.graph.tensors[weights].scales
        more = {}
        if kind != "FLOAT32":
            more = quantised(self.graph.tensors[x].scales[0] * scales[0], 0, len(scales))
        return self.graph.tensor([channels], kind, data=bytes(channels * size(kind)), **more)

    def ints(self, values: list[int] | list[list[int]] | int) -> int:
        return self.graph.constant(values)


def quantised(scale: float, zero_point: int, channels: int = 1, axis: int = 0) -> dict[str, object]:
    return {"scales": [scale] * channels, "zero_points": [zero_point] * channels, "axis": axis}


def size(kind: str) -> int:
    return {"INT8": 1, "INT16": 2, "INT32": 4, "FLOAT32": 4, "INT64": 8, "BOOL": 1}[kind]


def count(shape: Shape) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


def _window(b: Builder, shape: Shape) -> tuple[int, int, int, int, int, Shape] | None:
    """(rows, columns, stride, dilation, padding, [height, width] of the output)."""
    rng = b.rng
    rows, columns = rng.choice(((1, 1), (3, 3), (1, 3), (2, 2), (5, 5), (3, 1), (1, 8)))
    stride, dilation, padding = rng.randint(1, 2), rng.choice((1, 1, 1, 2)), rng.randint(0, 1)
    if stride > 1:
        dilation = 1
    sides = []
    for side, taps in ((shape[1], rows), (shape[2], columns)):
        span = (taps - 1) * dilation + 1
        if padding == 0:
            sides.append(-(-side // stride))
        elif side >= span:
            sides.append((side - span) // stride + 1)
        else:
            return None
    return rows, columns, stride, dilation, padding, sides


def conv(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    window = _window(b, shape) if len(shape) == 4 else None
    if window is None:
        return None
    rows, columns, stride, dilation, padding, sides = window
    channels = b.rng.randint(1, 24)
    weights = b.weights([channels, rows, columns, shape[3]], 0)
    inputs = [x, weights]
    if b.rng.random() < 0.8:
        inputs.append(b.bias(channels, x, weights))
    output = b.tensor([shape[0], *sides, channels])
    b.graph.op(
        "CONV_2D", inputs, [output], "Conv2D", Padding=padding, StrideW=stride, StrideH=stride,
        DilationWFactor=dilation, DilationHFactor=dilation,
    )  # fmt: skip
    return output


def depthwise(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    window = _window(b, shape) if len(shape) == 4 else None
    if window is None:
        return None
    rows, columns, stride, dilation, padding, sides = window
    multiplier = b.rng.choice((1, 1, 2))
    channels = shape[3] * multiplier
    weights = b.weights([1, rows, columns, channels], 3)
    inputs = [x, weights]
    if b.rng.random() < 0.8:
        inputs.append(b.bias(channels, x, weights))
    output = b.tensor([shape[0], *sides, channels])
    b.graph.op(
        "DEPTHWISE_CONV_2D", inputs, [output], "DepthwiseConv2D", Padding=padding, StrideW=stride,
        StrideH=stride, DepthMultiplier=multiplier, DilationWFactor=dilation,
        DilationHFactor=dilation,
    )  # fmt: skip
    return output


def transpose_conv(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if len(shape) != 4 or count(shape) > MOST_ELEMENTS // 8:
        return None
    channels, stride = b.rng.randint(1, 8), b.rng.randint(1, 2)
    weights = b.weights([channels, 3, 3, shape[3]], 0)
    wanted = [shape[0], shape[1] * stride, shape[2] * stride, channels]
    inputs = [b.ints(wanted), weights, x]
    if b.rng.random() < 0.7:
        inputs.append(b.bias(channels, x, weights))
    output = b.tensor(wanted)
    b.graph.op("TRANSPOSE_CONV", inputs, [output], "TransposeConv", StrideW=stride, StrideH=stride)
    return output


def fully_connected(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    width, units = count(shape[1:]), b.rng.randint(1, 130)
    weights = b.weights([units, width], 0)
    bias = b.bias(units, x, weights) if b.rng.random() < 0.8 else -1
    output = b.tensor([shape[0], units])
    b.graph.op("FULLY_CONNECTED", [x, weights, bias], [output], "FullyConnected")
    return output


def batch_matmul(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if len(shape) < 2:
        return None
    adj_x, adj_y = b.rng.random() < 0.3, b.rng.random() < 0.5
    rows, depth = (shape[-1], shape[-2]) if adj_x else (shape[-2], shape[-1])
    columns = b.rng.randint(1, 12)
    right = [*shape[:-2], columns, depth] if adj_y else [*shape[:-2], depth, columns]
    other = b.tensor(right, data=bytes(count(right) * size(b.kind)))
    output = b.tensor([*shape[:-2], rows, columns])
    b.graph.op("BATCH_MATMUL", [x, other], [output], "BatchMatMul", AdjX=adj_x, AdjY=adj_y)
    return output


def pool(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if len(shape) != 4 or min(shape[1:3]) < 2:
        return None
    side = b.rng.randint(1, min(3, *shape[1:3]))
    code = b.rng.choice(("AVERAGE_POOL_2D", "MAX_POOL_2D"))
    if b.kind == "FLOAT32" and b.rng.random() < 0.2:
        code = "L2_POOL_2D"
    output = b.like(x)
    b.graph.tensors[output].shape = [shape[0], shape[1] // side, shape[2] // side, shape[3]]
    b.graph.op(
        code, [x], [output], "Pool2D", Padding=1, FilterWidth=side, FilterHeight=side,
        StrideW=side, StrideH=side,
    )  # fmt: skip
    return output


ONE_TO_ONE = {
    "ABS": ("INT8", "INT16", "FLOAT32"),
    "CEIL": ("FLOAT32",),
    "COS": ("FLOAT32",),
    "ELU": ("INT8", "FLOAT32"),
    "EXP": ("FLOAT32",),
    "FLOOR": ("FLOAT32",),
    "HARD_SWISH": ("INT8", "FLOAT32"),
    "LEAKY_RELU": ("INT8", "INT16", "FLOAT32"),
    "LOG": ("FLOAT32",),
    "LOGISTIC": ("INT8", "INT16", "FLOAT32"),
    "LOG_SOFTMAX": ("INT8", "FLOAT32"),
    "L2_NORMALIZATION": ("INT8", "FLOAT32"),
    "NEG": ("FLOAT32",),
    "RELU": ("INT8", "INT16", "FLOAT32"),
    "RELU6": ("INT8", "INT16", "FLOAT32"),
    "ROUND": ("FLOAT32",),
    "RSQRT": ("FLOAT32",),
    "SIN": ("FLOAT32",),
    "SOFTMAX": ("INT8", "INT16", "FLOAT32"),
    "SQRT": ("FLOAT32",),
    "SQUARE": ("FLOAT32",),
    "TANH": ("INT8", "INT16", "FLOAT32"),
}
OPTIONS = {
    "LEAKY_RELU": ("LeakyRelu",),
    "L2_NORMALIZATION": ("L2Norm",),
    "SOFTMAX": ("Softmax",),
}
VALUES = {"SOFTMAX": {"Beta": 1.0}}
OUTPUT_AS = {
    ("LOGISTIC", "INT8"): (1 / 256, -128),
    ("LOGISTIC", "INT16"): (1 / 32768, 0),
    ("LOG_SOFTMAX", "INT8"): (16 / 256, 127),
    ("SOFTMAX", "INT8"): (1 / 256, -128),
    ("SOFTMAX", "INT16"): (1 / 32768, 0),
    ("TANH", "INT8"): (1 / 128, 0),
    ("TANH", "INT16"): (1 / 32768, 0),
}


def one_to_one(b: Builder, x: int) -> int | None:
    code = b.rng.choice([code for code, kinds in ONE_TO_ONE.items() if b.kind in kinds])
    fixed = OUTPUT_AS.get((code, b.kind))
    output = b.tensor(b.shape(x), **(quantised(*fixed) if fixed else {}))
    b.graph.op(code, [x], [output], *OPTIONS.get(code, ()), **VALUES.get(code, {}))
    return output


def two_to_one(b: Builder, x: int) -> int | None:
    tables = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "MAXIMUM": None, "MINIMUM": None}
    tables["SQUARED_DIFFERENCE"] = None
    if b.kind != "INT16":
        tables["DIV"] = "Div"
    code = b.rng.choice(list(tables))
    same = [other for other in range(len(b.graph.tensors)) if b.shape(other) == b.shape(x)]
    same = [other for other in same if b.graph.tensors[other].kind == b.kind]
    other = b.rng.choice(same)
    output = b.tensor(b.shape(x))
    b.graph.op(code, [x, other], [output], tables[code])
    return output


def prelu(b: Builder, x: int) -> int | None:
    kind, channels = WEIGHT_KIND[b.kind], b.shape(x)[-1]
    slopes = b.tensor([channels], kind, data=bytes(channels * size(kind)))
    output = b.tensor(b.shape(x))
    b.graph.op("PRELU", [x, slopes], [output])
    return output


def add_n(b: Builder, x: int) -> int | None:
    if b.kind == "INT16":
        return None
    output = b.tensor(b.shape(x))
    b.graph.op("ADD_N", [x] * b.rng.randint(2, 4), [output])
    return output


def compare_and_select(b: Builder, x: int) -> int | None:
    if b.kind == "INT16":
        return None
    code = b.rng.choice(("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"))
    mask, output = b.tensor(b.shape(x), "BOOL"), b.tensor(b.shape(x))
    b.graph.op(code, [x, x], [mask])
    if b.rng.random() < 0.5:
        turned = b.tensor(b.shape(x), "BOOL")
        b.graph.op("LOGICAL_NOT", [mask], [turned])
        mask = turned
    b.graph.op("SELECT_V2", [mask, x, x], [output])
    return output


def reshape(b: Builder, x: int) -> int | None:
    shape, output = b.shape(x), b.like(x)
    wanted = [1, count(shape)] if len(shape) != 2 else [1, 1, shape[0] * shape[1], 1]
    b.graph.tensors[output].shape = wanted
    b.graph.op("RESHAPE", [x, b.ints(wanted)], [output], "Reshape")
    return output


def squeeze(b: Builder, x: int) -> int | None:
    shape, output = b.shape(x), b.like(x)
    if len(shape) < 3 or 1 not in shape[1:]:
        return None
    axes = [axis for axis, side in enumerate(shape) if axis and side == 1]
    wanted = [side for axis, side in enumerate(shape) if axis not in axes]
    b.graph.tensors[output].shape = wanted if len(wanted) > 1 else [*wanted, 1]
    if len(wanted) == 1:
        axes.pop()
    b.graph.op("SQUEEZE", [x], [output], "Squeeze", SqueezeDims=axes)
    return output


def expand_dims(b: Builder, x: int) -> int | None:
    if len(b.shape(x)) != 2:
        return None
    output = b.like(x)
    b.graph.tensors[output].shape = [1, *b.shape(x)]
    b.graph.op("EXPAND_DIMS", [x, b.ints([0])], [output])
    return output


def pad(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if len(shape) != 4 or count(shape) > MOST_ELEMENTS // 4:
        return None
    output = b.like(x)
    b.graph.tensors[output].shape = [shape[0], shape[1] + 2, shape[2] + 1, shape[3]]
    inputs = [x, b.ints([[0, 0], [1, 1], [0, 1], [0, 0]])]
    code = b.rng.choice(("PAD", "PADV2", "MIRROR_PAD"))
    if code == "MIRROR_PAD" and (b.kind == "INT16" or min(shape[1:3]) < 2):
        code = "PAD"
    if code == "PADV2":
        inputs.append(b.like(x))
        b.graph.tensors[inputs[-1]].shape = [1]
        b.graph.tensors[inputs[-1]].data = bytes(size(b.kind))
    b.graph.op(code, inputs, [output], "MirrorPad" if code == "MIRROR_PAD" else None)
    return output


def concatenation(b: Builder, x: int) -> int | None:
    parts = b.rng.randint(2, 5)
    shape = b.shape(x)
    if count(shape) * parts > MOST_ELEMENTS:
        return None
    output = b.like(x)
    b.graph.tensors[output].shape = [*shape[:-1], shape[-1] * parts]
    axis = len(shape) - 1
    b.graph.op("CONCATENATION", [x] * parts, [output], "Concatenation", Axis=axis)
    return output


def pack_and_unpack(b: Builder, x: int) -> int | None:
    if len(b.shape(x)) > 3:
        return None
    packed = b.like(x)
    b.graph.tensors[packed].shape = [2, *b.shape(x)]
    b.graph.op("PACK", [x, x], [packed], "Pack", ValuesCount=2, Axis=0)
    parts = [b.like(x), b.like(x)]
    b.graph.op("UNPACK", [packed], parts, "Unpack", Num=2, Axis=0)
    return parts[0]


def split(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if shape[-1] % 2:
        return None
    parts = [b.like(x), b.like(x)]
    for part in parts:
        b.graph.tensors[part].shape = [*shape[:-1], shape[-1] // 2]
    axis = b.ints(len(shape) - 1)
    if b.rng.random() < 0.5:
        b.graph.op("SPLIT", [axis, x], parts, "Split", NumSplits=2)
    else:
        sizes = b.ints([shape[-1] // 2] * 2)
        b.graph.op("SPLIT_V", [x, sizes, axis], parts, "SplitV", NumSplits=2)
    return parts[1]


def take(b: Builder, x: int) -> int | None:
    """SLICE, STRIDED_SLICE or GATHER of a part."""
    shape, output = b.shape(x), b.like(x)
    wanted = [shape[0], *[b.rng.randint(1, side) for side in shape[1:]]]
    code = b.rng.choice(("SLICE", "STRIDED_SLICE", "GATHER", "GATHER_ND"))
    if code.startswith("GATHER") and b.kind != "INT16":
        wanted = [2, *shape[1:]]
        places = b.ints([0, 0] if code == "GATHER" else [[0], [0]])
        b.graph.tensors[output].shape = wanted
        b.graph.op(code, [x, places], [output], "Gather" if code == "GATHER" else None)
        return output if count(wanted) <= MOST_ELEMENTS else None
    b.graph.tensors[output].shape = wanted
    begin = b.ints([0] * len(shape))
    if code == "STRIDED_SLICE" and len(shape) <= 4:
        inputs = [x, begin, b.ints(wanted), b.ints([1] * len(shape))]
        b.graph.op("STRIDED_SLICE", inputs, [output], "StridedSlice")
    else:
        b.graph.op("SLICE", [x, begin, b.ints(wanted)], [output])
    return output


def transpose(b: Builder, x: int) -> int | None:
    shape, output = b.shape(x), b.like(x)
    order = list(range(len(shape)))
    b.rng.shuffle(order)
    b.graph.tensors[output].shape = [shape[axis] for axis in order]
    b.graph.op("TRANSPOSE", [x, b.ints(order)], [output])
    return output


def reduce(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if len(shape) != 4:
        return None
    codes = ["MEAN", "SUM"] + (["REDUCE_MAX", "REDUCE_MIN"] if b.kind != "INT16" else [])
    axes = b.rng.choice(([1, 2], [1], [2], [1, 2, 3], [3]))
    keep = b.rng.random() < 0.5
    kept = [1 if axis in axes else side for axis, side in enumerate(shape)]
    wanted = kept if keep else [side for axis, side in enumerate(shape) if axis not in axes]
    output = b.tensor(wanted)
    b.graph.op(b.rng.choice(codes), [x, b.ints(axes)], [output], "Reducer", KeepDims=keep)
    return output


def resize(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if len(shape) != 4 or count(shape) > MOST_ELEMENTS // 4:
        return None
    nearest = b.kind == "INT16" or b.rng.random() < 0.5
    sides = [shape[1] * 2, shape[2] * 2]
    output = b.like(x)
    b.graph.tensors[output].shape = [shape[0], *sides, shape[3]]
    name = "ResizeNearestNeighbor" if nearest else "ResizeBilinear"
    code = "RESIZE_NEAREST_NEIGHBOR" if nearest else "RESIZE_BILINEAR"
    b.graph.op(code, [x, b.ints(sides)], [output], name)
    return output


def space_and_depth(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if b.kind == "INT16" or len(shape) != 4:
        return None
    output = b.like(x)
    if shape[3] % 4 == 0:
        b.graph.tensors[output].shape = [shape[0], shape[1] * 2, shape[2] * 2, shape[3] // 4]
        b.graph.op("DEPTH_TO_SPACE", [x], [output], "DepthToSpace", BlockSize=2)
    elif shape[1] % 2 == 0 and shape[2] % 2 == 0:
        b.graph.tensors[output].shape = [shape[0], shape[1] // 2, shape[2] // 2, shape[3] * 4]
        b.graph.op("SPACE_TO_DEPTH", [x], [output], "SpaceToDepth", BlockSize=2)
    else:
        return None
    return output


def space_and_batch(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if b.kind == "INT16" or len(shape) != 4 or shape[1] % 2 or shape[2] % 2:
        return None
    batches, output = b.like(x), b.like(x)
    b.graph.tensors[batches].shape = [shape[0] * 4, shape[1] // 2, shape[2] // 2, shape[3]]
    block, crops = b.ints([2, 2]), b.ints([[0, 0], [0, 0]])
    b.graph.op("SPACE_TO_BATCH_ND", [x, block, crops], [batches])
    b.graph.op("BATCH_TO_SPACE_ND", [batches, block, crops], [output])
    return output


def reverse_or_broadcast(b: Builder, x: int) -> int | None:
    output = b.like(x)
    if b.rng.random() < 0.5:
        b.graph.op("REVERSE_V2", [x, b.ints([len(b.shape(x)) - 1])], [output])
    else:
        b.graph.op("BROADCAST_TO", [x, b.ints(b.shape(x))], [output])
    return output


def cumsum(b: Builder, x: int) -> int | None:
    if b.kind == "INT16":
        return None
    output = b.tensor(b.shape(x))
    b.graph.op("CUMSUM", [x, b.ints(len(b.shape(x)) - 1)], [output], "Cumsum")
    return output


def requantise(b: Builder, x: int) -> int | None:
    """Out of the numbers of the graph and back."""
    shape, output = b.shape(x), b.tensor(b.shape(x))
    if b.kind == "FLOAT32":
        between = b.tensor(shape, b.rng.choice(("INT8", "INT16")))
        b.graph.op("QUANTIZE", [x], [between])
        b.graph.op("DEQUANTIZE", [between], [output])
    elif b.rng.random() < 0.5:
        between = b.tensor(shape, "FLOAT32")
        b.graph.op("DEQUANTIZE", [x], [between])
        b.graph.op("QUANTIZE", [between], [output])
    else:
        b.graph.op("QUANTIZE", [x], [output])
    return output


def cast(b: Builder, x: int) -> int | None:
    between, output = b.tensor(b.shape(x), "INT32"), b.tensor(b.shape(x))
    b.graph.op("CAST", [x], [between], "Cast")
    b.graph.op("CAST", [between], [output], "Cast")
    return output


def logic(b: Builder, x: int) -> int | None:
    """A branch of flags that ends here: REDUCE_ALL of some comparisons."""
    shape = b.shape(x)
    if b.kind == "INT16" or len(shape) < 2:
        return None
    low, high, both, every = (b.tensor(shape, "BOOL") for _ in range(4))
    b.graph.tensors[every].shape = shape[:-1]
    b.graph.op("LESS", [x, x], [low])
    b.graph.op("GREATER", [x, x], [high])
    b.graph.op(b.rng.choice(("LOGICAL_AND", "LOGICAL_OR")), [low, high], [both])
    b.graph.op("REDUCE_ALL", [both, b.ints([len(shape) - 1])], [every], "Reducer")
    return None


def whole_numbers(b: Builder, x: int) -> int | None:
    """FLOOR_DIV, FLOOR_MOD or ZEROS_LIKE of floats; beside it the tensor's shape."""
    if b.kind != "FLOAT32":
        return None
    shape, output = b.shape(x), b.tensor(b.shape(x))
    b.graph.op("SHAPE", [x], [b.tensor([len(shape)], "INT32")], "Shape", OutType=2)
    code = b.rng.choice(("FLOOR_DIV", "FLOOR_MOD", "ZEROS_LIKE"))
    b.graph.op(code, [x] if code == "ZEROS_LIKE" else [x, x], [output])
    return output


def fill_and_update(b: Builder, x: int) -> int | None:
    """A tensor filled with one number, into which the data are written."""
    if b.kind == "INT16":
        return None
    shape, filled, output = b.shape(x), b.like(x), b.like(x)
    number = b.like(x)
    b.graph.tensors[number].shape = []
    b.graph.tensors[number].data = bytes(size(b.kind))
    b.graph.op("FILL", [b.ints(shape), number], [filled])
    start = b.ints([0] * len(shape))
    b.graph.op("DYNAMIC_UPDATE_SLICE", [filled, x, start], [output])
    return output


def embedding_lookup(b: Builder, x: int) -> int | None:
    """A branch of its own that starts from constant places."""
    if b.kind == "INT16":
        return None
    rows, width, places = b.rng.randint(1, 9), b.rng.randint(1, 30), b.rng.randint(1, 5)
    table = b.tensor([rows, width], data=bytes(rows * width * size(b.kind)))
    output = b.tensor([places, width])
    b.graph.op("EMBEDDING_LOOKUP", [b.ints([0] * places), table], [output])
    return output


def arg_max(b: Builder, x: int) -> int | None:
    """A branch that ends here: what comes out are places, not data."""
    if b.kind == "INT16":
        return None
    places = b.tensor(b.shape(x)[:-1], "INT32")
    code, table = b.rng.choice((("ARG_MAX", "ArgMax"), ("ARG_MIN", "ArgMin")))
    b.graph.op(code, [x, b.ints([len(b.shape(x)) - 1])], [places], table, OutputType=2)
    return None


def svdf(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if len(shape) != 2 or b.kind == "INT16":
        return None
    rank, units, memory = b.rng.randint(1, 2), b.rng.randint(1, 20), b.rng.randint(2, 10)
    filters, float32 = rank * units, b.kind == "FLOAT32"
    slow = "FLOAT32" if float32 else "INT16"

    def constant(shape: Shape, kind: str, scale: float) -> int:
        more = {} if float32 else quantised(scale, 0)
        return b.graph.tensor(shape, kind, data=bytes(count(shape) * size(kind)), **more)

    inputs = [
        x,
        constant([filters, shape[1]], b.kind, 0.1),
        constant([filters, memory], slow, 0.001),
        constant([units], "FLOAT32" if float32 else "INT32", 1e-5),
        b.graph.tensor(
            [shape[0], memory * filters], slow, variable=True,
            **({} if float32 else quantised(0.01, 0)),
        ),
    ]  # fmt: skip
    output = b.tensor([shape[0], units])
    b.graph.op("SVDF", inputs, [output], "SVDF", Rank=rank)
    return output


def lstm(b: Builder, x: int) -> int | None:
    shape, units = b.shape(x), b.rng.randint(1, 16)
    if len(shape) != 3:
        return None
    float32 = b.kind == "FLOAT32"

    def tensor(shape: Shape, kind: str, scale: float, **more: object) -> int:
        return b.graph.tensor(shape, kind, **({} if float32 else quantised(scale, 0)), **more)

    def constant(shape: Shape, kind: str, scale: float) -> int:
        return tensor(shape, kind, scale, data=bytes(count(shape) * size(kind)))

    source = tensor(shape, b.kind, 1 / 128)
    b.graph.op("RESHAPE", [x, b.ints(shape)], [source], "Reshape")
    kind, cell = WEIGHT_KIND[b.kind], "FLOAT32" if float32 else "INT16"
    inputs = [source]
    inputs += [constant([units, shape[2]], kind, 0.01) for _ in range(4)]
    inputs += [constant([units, units], kind, 0.01) for _ in range(4)]
    inputs += [-1, -1, -1]
    inputs += [constant([units], BIAS_KIND[b.kind], 1e-4) for _ in range(4)]
    inputs += [-1, -1]
    inputs.append(tensor([shape[0], units], b.kind, 1 / 128, variable=True))
    inputs.append(tensor([shape[0], units], cell, 2**-11, variable=True))
    inputs += [-1, -1, -1, -1]
    output = tensor([*shape[:2], units], b.kind, 1 / 128)
    b.graph.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [output], "UnidirectionalSequenceLSTM",
        FusedActivationFunction=4,
    )  # fmt: skip
    return output


def conditional(b: Builder, x: int) -> int | None:
    """IF over two subgraphs, or WHILE with a counter."""
    if b.kind != "FLOAT32":
        return None
    shape, output = b.shape(x), b.tensor(b.shape(x))
    first = 1 + len(b.called)
    if b.rng.random() < 0.5:
        flag = b.graph.tensor([1], "BOOL", data=b"\x01")
        b.graph.op("IF", [flag, x], [output], "If", ThenSubgraphIndex=first,
                   ElseSubgraphIndex=first + 1)  # fmt: skip
        b.called += [_branch(shape, ("ADD", "Add")), _branch(shape, ("MUL", "Mul"))]
        return output
    counter, end = b.graph.tensor([1], "INT32", data=bytes(4)), b.graph.tensor([1], "INT32")
    b.graph.op("WHILE", [counter, x], [end, output], "While", CondSubgraphIndex=first,
               BodySubgraphIndex=first + 1)  # fmt: skip
    b.called += [_condition(shape), _body(shape)]
    return output


def _branch(shape: Shape, operator: tuple[str, str]) -> Graph:
    graph = Graph()
    x, y = graph.tensor(shape, "FLOAT32"), graph.tensor(shape, "FLOAT32")
    graph.op(operator[0], [x, x], [y], operator[1])
    graph.inputs, graph.outputs = [x], [y]
    return graph


def _condition(shape: Shape) -> Graph:
    graph = Graph()
    counter, x = graph.tensor([1], "INT32"), graph.tensor(shape, "FLOAT32")
    flag = graph.tensor([1], "BOOL")
    graph.op("LESS", [counter, graph.constant([2])], [flag])
    graph.inputs, graph.outputs = [counter, x], [flag]
    return graph


def _body(shape: Shape) -> Graph:
    graph = Graph()
    counter, x = graph.tensor([1], "INT32"), graph.tensor(shape, "FLOAT32")
    following, y = graph.tensor([1], "INT32"), graph.tensor(shape, "FLOAT32")
    graph.op("ADD", [counter, graph.constant([1])], [following], "Add")
    graph.op("ADD", [x, x], [y], "Add")
    graph.inputs, graph.outputs = [counter, x], [following, y]
    return graph


COMMON: tuple[Step, ...] = (conv, depthwise, fully_connected, one_to_one, two_to_one, pool)
STEPS: tuple[Step, ...] = (
    *COMMON * 3,
    add_n,
    arg_max,
    batch_matmul,
    cast,
    compare_and_select,
    concatenation,
    conditional,
    cumsum,
    embedding_lookup,
    expand_dims,
    fill_and_update,
    logic,
    lstm,
    pack_and_unpack,
    pad,
    prelu,
    reduce,
    requantise,
    reshape,
    resize,
    reverse_or_broadcast,
    space_and_batch,
    space_and_depth,
    split,
    squeeze,
    svdf,
    take,
    transpose,
    transpose_conv,
    whole_numbers,
)
