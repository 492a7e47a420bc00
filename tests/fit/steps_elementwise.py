"""Steps of random graphs that work on single elements, or reduce them."""

from tests.fit.builder import WEIGHT_KIND, Builder, quantised, size

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


def reduce(b: Builder, x: int) -> int | None:
    shape = b.shape(x)
    if len(shape) != 4:
        return None
    codes = ["MEAN", "SUM"] + (["REDUCE_MAX", "REDUCE_MIN"] if b.kind != "INT16" else [])
    axes = b.rng.choice(([1, 2], [1], [2], [1, 2, 3], [3]))
    keep = b.rng.random() < 0.5
    kept = [1 if axis in axes else side for axis, side in enumerate(shape)]
    wanted = kept if keep else [side for axis, side in enumerate(shape) if axis not in axes]
    code, output = b.rng.choice(codes), b.tensor(wanted)
    if code.startswith("REDUCE"):  # they compare only, and want one quantisation
        data, made = b.graph.tensors[x], b.graph.tensors[output]
        made.scales, made.zero_points = data.scales, data.zero_points
    b.graph.op(code, [x, b.ints(axes)], [output], "Reducer", KeepDims=keep)
    return output


def arg_max(b: Builder, x: int) -> int | None:
    """A branch that ends here: what comes out are places, not data."""
    if b.kind == "INT16":
        return None
    places = b.tensor(b.shape(x)[:-1], "INT32")
    code, table = b.rng.choice((("ARG_MAX", "ArgMax"), ("ARG_MIN", "ArgMin")))
    b.graph.op(code, [x, b.ints([len(b.shape(x)) - 1])], [places], table, OutputType=2)
    return None
