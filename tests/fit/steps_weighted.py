"""Steps of random graphs that have weights, and those that keep a state."""

from tests.fit.builder import (
    BIAS_KIND,
    MOST_ELEMENTS,
    WEIGHT_KIND,
    Builder,
    Shape,
    count,
    quantised,
    size,
)


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
