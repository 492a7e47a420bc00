"""Small .tflite files for tests of what looks into models."""

from pathlib import Path

import pytest
from flatbuffers import Builder, flexbuffers

from tests.fit.writer import Graph, write

FIT_DATA = Path(__file__).parents[3] / "shared" / "fit" / "models"


def measured(name: str) -> Path:
    """A model of the measured table that is not ours to ship; skips where it is not there."""
    path = FIT_DATA / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"{path} is not there: models of other projects are not shipped")
    return path


def dense(units: int = 4, wide: int = 8, metadata: dict[str, bytes] | None = None) -> bytes:
    """FULLY_CONNECTED and SOFTMAX, int8."""
    graph = Graph()
    given = graph.tensor([1, wide])
    weights = graph.constant([[1] * wide] * units, "INT8", scales=[0.1], zero_points=[0])
    bias = graph.constant([0] * units, "INT32", scales=[0.01], zero_points=[0])
    sums = graph.tensor([1, units])
    result = graph.tensor([1, units], scales=[1 / 256], zero_points=[-128])
    graph.op("FULLY_CONNECTED", [given, weights, bias], [sums], "FullyConnected")
    graph.op("SOFTMAX", [sums], [result], "Softmax", Beta=1.0)
    graph.inputs, graph.outputs = [given], [result]
    return write(graph, metadata=metadata)


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
