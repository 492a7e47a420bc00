"""Tests that files which are not models cause a ModelError, in limited time and memory.

MODELWAVE_LONG=1 flips bits in 20,000 files, an ordinary run in 400.
"""

import os
import tracemalloc
from random import Random
from struct import pack, unpack_from

import flatbuffers
import pytest
import tflite

from modelwave_controller.fit import PROFILES, ModelError, analyse
from modelwave_controller.fit.flatbuffer import File
from modelwave_controller.fit.model import MAX_OPERATORS, MAX_TENSORS
from modelwave_controller.fit.tflite_schema import Slot
from tests.fit.graphs import random_graph
from tests.fit.measured import FEW
from tests.fit.writer import Graph, write

FLIPPED = 20_000 if os.environ.get("MODELWAVE_LONG") == "1" else 400
PROFILE = "cortex-m4:cmsis-nn"
DIGITS = (FEW / "models" / "digits_v1.tflite").read_bytes()


def refusal(data: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        analyse(data, PROFILE)
    return str(caught.value)


def survives(data: bytes, profile: str = PROFILE) -> None:
    """Any answer but an exception that is no ModelError."""
    try:
        fit = analyse(data, profile)
    except ModelError:
        return
    assert (fit.need is None) == bool(fit.refused or fit.unknown)


def chain() -> Graph:
    graph = Graph()
    x, y = graph.tensor([1, 4]), graph.tensor([1, 4])
    graph.op("RELU", [x], [y])
    graph.inputs, graph.outputs = [x], [y]
    return graph


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x00" * 7, b"PK\x03\x04TFL2", b"<html>" * 9])
def test_file_that_is_not_tflite_is_refused(data: bytes) -> None:
    assert "not a TensorFlow Lite file" in refusal(data)


def test_header_alone_is_cut_off() -> None:
    assert "cut off" in refusal(b"\x10\0\0\0TFL3")


@pytest.mark.parametrize(
    "name", ["digits_v1", "zoo__cnn_i16_051", "zoo__conv1d_float_002", "zoo__lstm_float_010"]
)
def test_model_truncated_at_every_64th_byte_is_refused_or_read(name: str) -> None:
    data = (FEW / "models" / f"{name}.tflite").read_bytes()
    for length in range(0, len(data), 64):
        survives(data[:length])
    assert "cut off" in refusal(data[: len(data) // 2])


def test_ten_flipped_bytes_never_end_in_another_exception() -> None:
    rng = Random(7)
    models = [path.read_bytes() for path in sorted((FEW / "models").iterdir())]
    models = [data for data in models if len(data) < 20_000]
    models += [random_graph(seed) for seed in range(30)]
    for _ in range(FLIPPED):
        data = bytearray(rng.choice(models))
        for _ in range(10):
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        survives(bytes(data), rng.choice(list(PROFILES)))


def test_flipped_bytes_in_the_structure_never_end_in_another_exception() -> None:
    """The same where it hurts: models with hardly any weights."""
    rng = Random(8)
    for seed in range(FLIPPED // 10):
        whole = random_graph(seed)
        for _ in range(10):
            data = bytearray(whole)
            data[rng.randrange(len(data))] = rng.choice((0, 1, 4, 127, 128, 255))
            survives(bytes(data))


def place_of(data: bytes, slot: int) -> int:
    """Where the main subgraph's field `slot` lies."""
    graph = File(data).root().tables(Slot.MODEL_SUBGRAPHS, 1)[0]
    at = graph._field(slot)
    assert at is not None
    return at


def patched(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + pack("<I", value & 0xFFFFFFFF) + data[at + 4 :]


@pytest.mark.parametrize("count", [1 << 31, (1 << 32) - 1, (1 << 30) + 1])
def test_2_to_the_31_operators_are_refused(count: int) -> None:
    data = write(chain())
    at = place_of(data, Slot.GRAPH_OPERATORS)
    (offset,) = unpack_from("<I", data, at)
    assert f"a vector of {count} elements" in refusal(patched(data, at + offset, count))


@pytest.mark.parametrize("slot", [Slot.GRAPH_TENSORS, Slot.GRAPH_OPERATORS, Slot.GRAPH_INPUTS])
@pytest.mark.parametrize("offset", [1 << 31, 1 << 20, (1 << 32) - 4])
def test_offset_outside_the_file_is_refused(slot: int, offset: int) -> None:
    data = write(chain())
    assert "outside the file" in refusal(patched(data, place_of(data, slot), offset))


@pytest.mark.parametrize("slot", [Slot.GRAPH_TENSORS, Slot.GRAPH_OPERATORS])
def test_offset_that_points_to_itself_ends(slot: int) -> None:
    data = write(chain())
    survives(patched(data, place_of(data, slot), 0))


def test_every_offset_of_a_model_sent_astray_ends() -> None:
    for at in range(0, len(DIGITS) - 4, 4):
        if at < 200 or at > len(DIGITS) - 1400:
            survives(patched(DIGITS, at, at * 2654435761))


def test_vtable_outside_the_file_is_refused() -> None:
    data = bytearray(write(chain()))
    (root,) = unpack_from("<I", data, 0)
    assert "outside the file" in refusal(patched(bytes(data), root, 1 << 30))


def test_other_schema_version_is_refused() -> None:
    data = write(chain())
    root = File(data).root()
    at = root._field(Slot.MODEL_VERSION)
    assert at is not None
    assert "schema version 4" in refusal(patched(data, at, 4))


def test_empty_subgraph_is_refused() -> None:
    assert "the main subgraph is empty" in refusal(write(Graph()))


def test_model_without_subgraph_is_refused() -> None:
    assert "no subgraph" in refusal(write())


@pytest.mark.parametrize("number", [-2, 2, 1 << 30])
def test_tensor_that_there_is_not_is_refused(number: int) -> None:
    graph = chain()
    graph.operators[0].inputs = [number]
    assert f"tensor {number} of 2" in refusal(write(graph))
    graph = chain()
    graph.outputs = [number]
    assert f"tensor {number} of 2" in refusal(write(graph))


def test_buffer_that_there_is_not_is_refused() -> None:
    graph = chain()
    graph.tensors[0].data = bytes(4)  # so that the number of its buffer is written down
    data = write(graph)
    table = File(data).root().tables(Slot.MODEL_SUBGRAPHS, 1)[0]
    at = table.tables(Slot.GRAPH_TENSORS, 2)[0]._field(Slot.TENSOR_BUFFER)
    assert at is not None
    assert "buffer 77 of 2" in refusal(patched(data, at, 77))


def caller(subgraph: int) -> Graph:
    graph = Graph()
    flag, x, y = graph.tensor([1], "BOOL"), graph.tensor([4]), graph.tensor([4])
    graph.op("IF", [flag, x], [y], "If", ThenSubgraphIndex=subgraph, ElseSubgraphIndex=subgraph)
    graph.inputs, graph.outputs = [flag, x], [y]
    return graph


def test_subgraph_that_runs_itself_is_refused() -> None:
    assert "subgraph 0 runs itself" in refusal(write(caller(0)))
    assert "subgraph 1 runs itself" in refusal(write(caller(1), caller(2), caller(1)))


@pytest.mark.parametrize("number", [-1, 7])
def test_subgraph_that_there_is_not_is_refused(number: int) -> None:
    assert "calls a subgraph that is not there" in refusal(write(caller(number)))


def test_subgraphs_that_run_each_other_twice_each_are_refused_in_time() -> None:
    graphs = [caller(depth + 1) for depth in range(60)]
    assert "run one another more than" in refusal(write(*graphs, chain()))


@pytest.mark.parametrize(
    ("shape", "reason"),
    [([2**31 - 1] * 3, "2147483647 at most"), ([2**16] * 2, "4294967296 bytes, 2147483647 at")],
)
def test_tensor_too_large_to_address_is_refused(shape: list[int], reason: str) -> None:
    graph = chain()
    graph.tensors[0].shape = shape
    assert reason in (analyse(write(graph), PROFILE).refused or "")


def test_tensor_of_many_dimensions_is_refused() -> None:
    graph = chain()
    graph.tensors[0].shape = [2**31 - 1] * 33
    assert "33 dimensions" in refusal(write(graph))


@pytest.mark.parametrize("shape", [[], [4], [1, 4], [1, 4, 4]])
def test_weights_with_too_few_sides_are_refused_by_the_operator(shape: list[int]) -> None:
    graph = Graph()
    x, y = graph.tensor([1, 4, 4, 4]), graph.tensor([1, 4, 4, 4])
    w = graph.tensor(shape, data=bytes(64))
    graph.op("CONV_2D", [x, w], [y], "Conv2D", StrideW=1, StrideH=1)
    graph.inputs, graph.outputs = [x], [y]
    for profile in PROFILES:
        assert "operator 0 CONV_2D" in (analyse(write(graph), profile).refused or "")


def test_stride_of_nothing_is_refused_where_it_matters() -> None:
    graph = Graph()
    x, y = graph.tensor([1, 4, 4, 4]), graph.tensor([1, 4, 4, 4])
    w = graph.tensor([4, 1, 1, 4], data=bytes(16))
    graph.op("CONV_2D", [x, w], [y], "Conv2D", StrideW=0, StrideH=0)
    graph.inputs, graph.outputs = [x], [y]
    assert "its stride is 0" in (analyse(write(graph), PROFILE).refused or "")


def test_rank_of_nothing_is_refused() -> None:
    graph = Graph()
    tensors = [graph.tensor([3, 4], "FLOAT32", variable=True) for _ in range(6)]
    graph.op("SVDF", tensors[:5], tensors[5:], "SVDF", Rank=0)
    graph.inputs, graph.outputs = tensors[:1], tensors[5:]
    assert "its rank is 0" in (analyse(write(graph), PROFILE).refused or "")


def many(tensors: int, operators: int) -> bytes:
    graph = Graph()
    first, *_ = (graph.tensor([4]) for _ in range(tensors))
    for _ in range(operators):
        graph.op("RELU", [first], [first])
    graph.inputs = graph.outputs = [first]
    return write(graph)


@pytest.mark.slow
def test_too_many_tensors_or_operators_are_refused() -> None:
    assert f"{MAX_TENSORS} at most" in refusal(many(MAX_TENSORS + 1, 1))
    assert f"{MAX_OPERATORS} at most" in refusal(many(1, MAX_OPERATORS + 1))


def test_small_file_that_shares_its_parts_to_be_endless_is_refused() -> None:
    """4,000 operators that all are one table, with 40,000 inputs."""
    b = flatbuffers.Builder(1 << 18)

    def offsets(owner: str, name: str, places: list[int]) -> int:
        getattr(tflite, f"{owner}Start{name}Vector")(b, len(places))
        for place in reversed(places):
            b.PrependUOffsetTRelative(place)
        return int(b.EndVector())

    tflite.SubGraphStartInputsVector(b, 40_000)
    for _ in range(40_000):
        b.PrependInt32(0)
    inputs = b.EndVector()
    tflite.OperatorStart(b)
    tflite.OperatorAddInputs(b, inputs)
    operator = tflite.OperatorEnd(b)
    tflite.TensorStart(b)
    tensor = tflite.TensorEnd(b)
    operators = offsets("SubGraph", "Operators", [operator] * 4000)
    tensors = offsets("SubGraph", "Tensors", [tensor])
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, tensors)
    tflite.SubGraphAddOperators(b, operators)
    graph = tflite.SubGraphEnd(b)
    tflite.OperatorCodeStart(b)
    code = tflite.OperatorCodeEnd(b)
    tflite.BufferStart(b)
    buffer = tflite.BufferEnd(b)
    graphs = offsets("Model", "Subgraphs", [graph])
    codes, buffers = (
        offsets("Model", "OperatorCodes", [code]),
        offsets("Model", "Buffers", [buffer]),
    )
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddOperatorCodes(b, codes)
    tflite.ModelAddSubgraphs(b, graphs)
    tflite.ModelAddBuffers(b, buffers)
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    assert "over and over" in refusal(bytes(b.Output()))


def test_offline_plan_that_is_cut_off_is_refused() -> None:
    plan = {"OfflineMemoryAllocation": pack("<3i", 1, 0, 2)}
    assert "plan is cut off" in refusal(write(chain(), metadata=plan))


def test_offline_plan_with_places_before_the_arena_is_refused() -> None:
    plan = {"OfflineMemoryAllocation": pack("<5i", 1, 0, 2, -16, 0)}
    assert "negative offsets" in refusal(write(chain(), metadata=plan))


def test_name_that_moves_the_cursor_is_shown_without() -> None:
    graph = chain()
    graph.op("\x1b[2Jevil\r\n" + "x" * 300, [0], [1])
    (name, *_) = analyse(write(graph), PROFILE).operators
    assert name == "?[2Jevil??" + "x" * 190


def test_four_megabytes_take_no_more_than_three_times_their_memory() -> None:
    graph = Graph()
    x, y = graph.tensor([1, 2048]), graph.tensor([1, 2048])
    w = graph.tensor([2048, 2048], data=bytes(2048 * 2048))
    graph.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnected")
    graph.inputs, graph.outputs = [x], [y]
    data = write(graph)
    tracemalloc.start()
    try:
        fit = analyse(data, PROFILE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert fit.weights == 1 << 22
    assert peak + len(data) < 3 * len(data)
