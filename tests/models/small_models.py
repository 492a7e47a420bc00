"""Small .tflite files for tests of the code that reads models."""

from math import prod

from flatbuffers import Builder, flexbuffers

from tests.fit.writer import Graph, write

KEYWORDS = """\
input 49x10x1
conv2d 64 10x4 stride=2
depthwise 3x3
conv2d 64 1x1
depthwise 3x3
conv2d 64 1x1
depthwise 3x3
conv2d 64 1x1
depthwise 3x3
conv2d 64 1x1
avgpool 25x5
flatten
dense 12 per-tensor
softmax
"""
KEYWORD_FILTERS = 64


def keywords() -> bytes:
    """The network of KEYWORDS, int8, as a converter writes it: the shape of the usual models
    that hear keywords."""
    graph = Graph()
    wide = KEYWORD_FILTERS
    given = graph.tensor([1, 49, 10, 1])
    strides = {"StrideH": 2, "StrideW": 2}
    weights, bias = _filters(graph, [wide, 10, 4, 1], axis=0)
    x = graph.tensor([1, 25, 5, wide])
    graph.op("CONV_2D", [given, weights, bias], [x], "Conv2D", **strides)
    for _ in range(4):
        x = _separable(graph, x)
    pooled, flat = graph.tensor([1, 1, 1, wide]), graph.tensor([1, wide])
    window = {"FilterHeight": 25, "FilterWidth": 5, "StrideH": 25, "StrideW": 5}
    graph.op("AVERAGE_POOL_2D", [x], [pooled], "Pool2D", **window)
    graph.op("RESHAPE", [pooled, graph.constant([1, wide])], [flat], "Reshape")
    graph.inputs, graph.outputs = [given], [_classes(graph, flat, wide, 12)]
    return write(graph)


def _separable(graph: Graph, given: int) -> int:
    """A depthwise 3x3 and then a 1x1 convolution."""
    shape = [1, 25, 5, KEYWORD_FILTERS]
    middle, result = graph.tensor(shape), graph.tensor(shape)
    ones = {"StrideH": 1, "StrideW": 1}
    weights, bias = _filters(graph, [1, 3, 3, KEYWORD_FILTERS], axis=3)
    options = {**ones, "DepthMultiplier": 1}
    graph.op("DEPTHWISE_CONV_2D", [given, weights, bias], [middle], "DepthwiseConv2D", **options)
    weights, bias = _filters(graph, [KEYWORD_FILTERS, 1, 1, KEYWORD_FILTERS], axis=0)
    graph.op("CONV_2D", [middle, weights, bias], [result], "Conv2D", **ones)
    return result


def _filters(graph: Graph, shape: list[int], axis: int) -> tuple[int, int]:
    """Weights with a scale for each channel of the axis, and their bias."""
    channels = shape[axis]
    scales = {"scales": [0.1] * channels, "zero_points": [0] * channels}
    weights = graph.tensor(shape, data=bytes(prod(shape)), axis=axis, **scales)
    bias = graph.tensor([channels], "INT32", data=bytes(4 * channels), **scales)
    return weights, bias


def _classes(graph: Graph, given: int, wide: int, units: int) -> int:
    """FULLY_CONNECTED and SOFTMAX."""
    weights = graph.constant([[1] * wide] * units, "INT8", scales=[0.1], zero_points=[0])
    bias = graph.constant([0] * units, "INT32", scales=[0.01], zero_points=[0])
    sums = graph.tensor([1, units])
    result = graph.tensor([1, units], scales=[1 / 256], zero_points=[-128])
    graph.op("FULLY_CONNECTED", [given, weights, bias], [sums], "FullyConnected")
    graph.op("SOFTMAX", [sums], [result], "Softmax", Beta=1.0)
    return result


def dense(
    units: int = 4,
    wide: int = 8,
    metadata: dict[str, bytes] | None = None,
    versions: dict[str, int] | None = None,
) -> bytes:
    """FULLY_CONNECTED and SOFTMAX, int8."""
    graph = Graph()
    given = graph.tensor([1, wide])
    graph.inputs, graph.outputs = [given], [_classes(graph, given, wide, units)]
    return write(graph, metadata=metadata, versions=versions)


def wide_add(elements: int) -> bytes:
    """One ADD of two tensors of so many bytes: an arena of three times that."""
    graph = Graph()
    left, right, result = (graph.tensor([1, elements]) for _ in range(3))
    graph.op("ADD", [left, right], [result], "Add")
    graph.inputs, graph.outputs = [left, right], [result]
    return write(graph)


def one(code: str, kind: str = "INT8") -> bytes:
    """One operator with one input and one output; a `code` that no builtin has is custom."""
    graph = Graph()
    given, result = graph.tensor([1, 8], kind), graph.tensor([1, 8], kind)
    graph.op(code, [given], [result])
    graph.inputs, graph.outputs = [given], [result]
    return write(graph)


def edgetpu(least_runtime: int = 13, chip: str = "beagle", options: bytes | None = None) -> bytes:
    """A model as the Edge TPU compiler leaves it, but for the instructions."""
    graph = Graph()
    given, result = graph.tensor([1, 8]), graph.tensor([1, 8])
    if options is None:
        options = package_options(package(least_runtime, chip))
    graph.op("edgetpu-custom-op", [given], [result], custom=options)
    graph.inputs, graph.outputs = [given], [result]
    return write(graph)


def package_options(package: bytes) -> bytes:
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Int("1", 1)
        builder.Blob("4", package)
        builder.Int("5", 0)
    return bytes(builder.Finish())


def package(least_runtime: int, chip: str) -> bytes:
    builder = Builder(1024)
    runs = builder.CreateByteVector(_executables(chip))
    compiler = builder.CreateString("compiler 16")
    builder.StartObject(6)
    builder.PrependInt32Slot(0, least_runtime, 0)
    builder.PrependUOffsetTRelativeSlot(1, runs, 0)
    builder.PrependUOffsetTRelativeSlot(4, compiler, 0)
    builder.Finish(builder.EndObject(), b"DWN1")
    return bytes(builder.Output())


def _executables(chip: str) -> bytes:
    """Two: one caches 100 bytes of parameters, one streams 20."""
    builder = Builder(1024)
    made = [
        builder.CreateByteVector(_executable(chip, kind, size))
        for kind, size in ((1, 100), (2, 20))
    ]
    builder.StartVector(4, len(made), 4)
    for offset in reversed(made):
        builder.PrependUOffsetTRelative(offset)
    vector = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, vector, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _executable(chip: str, kind: int, parameters: int) -> bytes:
    builder = Builder(256)
    name, weights = builder.CreateString(chip), builder.CreateByteVector(bytes(parameters))
    builder.StartObject(14)
    builder.PrependUOffsetTRelativeSlot(6, weights, 0)
    builder.PrependUOffsetTRelativeSlot(10, name, 0)
    builder.PrependInt16Slot(13, kind, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())
