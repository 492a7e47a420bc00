"""Compares the planner with tflite_micro itself (x86-64, reference kernels), on models that were
not used to develop it.

MODELWAVE_LONG=1 tests 400 random graphs and 2,000 damaged ones, an ordinary run 40 and 200.
"""

import os
import struct
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from random import Random

import pytest

from modelwave_controller.fit.errors import ModelError, ModelRefused, Unknown
from modelwave_controller.fit.kernel_data import load_tables
from tests.fit.builder import Builder, Step
from tests.fit.damage import damage
from tests.fit.graphs import KINDS, STEPS, random_graph
from tests.fit.oracle import INSTALLED, MISSING, WHEEL, Oracle, replay
from tests.fit.steps_control import conditional
from tests.fit.steps_custom import custom
from tests.fit.writer import Graph, write

GRAPHS = 400 if os.environ.get("MODELWAVE_LONG") == "1" else 40
ENDLESS = (conditional, custom)  # damaged, they may never end
DAMAGED = 20 if os.environ.get("MODELWAVE_LONG") == "1" else 2  # hundreds of graphs
SHAPES = ([1, 6, 6, 4], [1, 6, 6, 3], [1, 1, 6, 4], [1, 16], [1, 4, 3])
SEEDS = 200  # of each step: so many that one_to_one has made each of its kernels

pytestmark = [pytest.mark.slow, pytest.mark.skipif(INSTALLED != WHEEL, reason=MISSING)]


def judge(oracle: Oracle, path: Path) -> None:
    ours = replay(path.read_bytes())
    assert ours.used == oracle.used(path), path
    assert ours.need == oracle.need(path, 2 * ours.need), path


def allocates(data: bytes, folder: Path) -> bool:
    path = folder / "model.tflite"
    path.write_bytes(data)
    with Oracle() as oracle:
        return oracle.used(path) is not None


def test_random_graphs_take_what_tflite_micro_takes(tmp_path: Path) -> None:
    with Oracle() as oracle:
        for seed in range(GRAPHS):
            path = tmp_path / f"{seed}.tflite"
            path.write_bytes(random_graph(seed))
            judge(oracle, path)


def test_every_kernel_takes_what_tflite_micro_takes(tmp_path: Path) -> None:
    """So that an ordinary run too has seen every kernel with every type."""
    with Oracle() as oracle:
        for number, b in enumerate(each_kernel()):
            path = tmp_path / f"{number}-{b.graph.operators[0].code}-{b.kind}.tflite"
            path.write_bytes(write(b.graph, *b.called))
            assert replay(path.read_bytes()).used == oracle.used(path), path


def test_every_kernel_of_the_table_is_made_by_a_step() -> None:
    made = {code for b in each_kernel() for code in codes(b)}
    measured = set(load_tables("x86-64", "reference").kernels)
    missing = sorted(measured - made)
    assert missing == [], f"no step in STEPS of tests/fit/graphs.py makes {missing}"


def each_kernel() -> Iterator[Builder]:
    """Yields graphs of one step that together have each operator with each type of data."""
    seen: set[tuple[str, str]] = set()
    for kind, step, seed in product(dict.fromkeys(KINDS), dict.fromkeys(STEPS), range(SEEDS)):
        b = alone(step, kind, seed)
        new = {(code, kind) for code in codes(b)} - seen
        if new:
            seen |= new
            yield b


def codes(b: Builder) -> set[str]:
    return {operator.code for graph in (b.graph, *b.called) for operator in graph.operators}


def alone(step: Step, kind: str, seed: int) -> Builder:
    """One step from an input that it can start with; no operators if there is none."""
    first = seed % len(SHAPES)
    for shape in SHAPES[first:] + SHAPES[:first]:
        b = Builder(Random(seed), kind)
        b.graph.inputs = [b.tensor(list(shape))]
        made = step(b, 0)
        if b.graph.operators:
            b.graph.outputs = [0 if made is None else made]
            break
    return b


@pytest.mark.parametrize("seed", range(DAMAGED))
def test_damaged_graph_that_tflite_micro_refuses_is_nearly_always_refused(
    seed: int, tmp_path: Path
) -> None:
    """Of the rest, most break a rule about values of constants, which are not read here."""
    refused = accepted = 0
    with Oracle() as oracle:
        for number, data in enumerate(damaged(range(seed * 100, seed * 100 + 100))):
            path = tmp_path / f"{number}.tflite"
            path.write_bytes(data)
            if not oracle.runs(path):
                refused += 1
                accepted += is_accepted(data)
    assert refused > 30
    assert accepted <= refused / 10


def damaged(seeds: range) -> Iterator[bytes]:
    for seed in seeds:
        rng = Random(seed)
        step = rng.choice([step for step in STEPS if step not in ENDLESS])
        b = alone(step, rng.choice(KINDS), seed)
        if b.graph.operators:
            damage(b, rng)
            yield write(b.graph, *b.called)


def is_accepted(data: bytes) -> bool:
    try:
        replay(data)
    except (ModelRefused, ModelError, Unknown):
        return False
    return True


def chain(length: int = 5) -> Graph:
    """Floats through one RELU after the other; tensors 0 to length − 1."""
    graph = Graph()
    tensors = [graph.tensor([1, 100], "FLOAT32") for _ in range(length)]
    for source, target in pairwise(tensors):
        graph.op("RELU", [source], [target])
    graph.inputs, graph.outputs = [tensors[0]], [tensors[-1]]
    return graph


def with_output(graph: Graph, *more: int) -> Graph:
    graph.outputs = [*graph.outputs, *more]
    return graph


def with_unused_tensor() -> Graph:
    graph = chain()
    graph.tensor([1, 777], "FLOAT32")
    return graph


def with_tensor_nobody_makes() -> Graph:
    graph = chain()
    other, output = (graph.tensor([1, 100], "FLOAT32") for _ in range(2))
    graph.op("ADD", [graph.outputs[0], other], [output], "Add")
    graph.outputs = [output]
    return graph


def written_twice() -> Graph:
    graph = Graph()
    x, y = graph.tensor([4], "FLOAT32"), graph.tensor([4], "FLOAT32")
    graph.op("RELU", [x], [x])
    graph.op("RELU", [x], [y])
    graph.inputs, graph.outputs = [x], [y]
    return graph


def scalar() -> Graph:
    graph = Graph()
    x, y, z = (graph.tensor(None, "FLOAT32") for _ in range(3))
    graph.op("ADD", [x, y], [z], "Add")
    graph.inputs, graph.outputs = [x, y], [z]
    return graph


def branch(scratch: bool = False) -> Graph:
    """A subgraph of one tensor to one tensor, perhaps with a kernel that needs scratch."""
    graph = Graph()
    x, middle, y = (graph.tensor([1, 8, 8, 1], "FLOAT32") for _ in range(3))
    if scratch:
        mean = graph.tensor([1, 1], "FLOAT32")
        graph.op("MEAN", [x, graph.constant([1, 2])], [mean], "Reducer")
    graph.op("ADD", [x, x], [middle], "Add")
    graph.op("RELU", [middle], [y])
    graph.inputs, graph.outputs = [x], [y]
    return graph


def identity() -> Graph:
    graph = Graph()
    x = graph.tensor([1, 8, 8, 1], "FLOAT32")
    graph.inputs, graph.outputs = [x], [x]
    return graph


def caller(then: int, otherwise: int, times: int = 1) -> Graph:
    graph = Graph()
    x = graph.tensor([1, 8, 8, 1], "FLOAT32")
    graph.inputs = [x]
    for _ in range(times):
        flag, y = graph.tensor([1], "BOOL"), graph.tensor([1, 8, 8, 1], "FLOAT32")
        graph.inputs = [*graph.inputs, flag]
        graph.op("IF", [flag, x], [y], "If", ThenSubgraphIndex=then, ElseSubgraphIndex=otherwise)
        x = y
    graph.outputs = [x]
    return graph


def plan(*offsets: int, tensors: int | None = None) -> dict[str, bytes]:
    count = len(offsets) if tensors is None else tensors
    return {"OfflineMemoryAllocation": struct.pack(f"<{3 + len(offsets)}i", 1, 0, count, *offsets)}


def without_operators() -> Graph:
    graph = Graph()
    x, y = graph.tensor([4], "FLOAT32"), graph.tensor([4], "FLOAT32", data=bytes(16))
    graph.inputs, graph.outputs = [x], [x, y]
    return graph


ODD = {
    "model without operators": write(without_operators()),
    "tensor that nobody uses": write(with_unused_tensor()),
    "tensor that nobody makes": write(with_tensor_nobody_makes()),
    "input given out again": write(with_output(chain(), 0)),
    "tensor from within given out": write(with_output(chain(), 2)),
    "output given out twice": write(with_output(chain(), 4)),
    "tensor written twice": write(written_twice()),
    "scalars": write(scalar()),
    "both branches one subgraph": write(caller(1, 1), branch()),
    "subgraphs run several times": write(caller(1, 2, times=3), branch(), branch()),
    "subgraph that does nothing": write(caller(1, 2), branch(), identity()),
    "subgraph that nobody runs": write(caller(1, 1), branch(), branch()),
    "scratch in a subgraph": write(caller(1, 2, times=2), branch(scratch=True), branch()),
    "plan for all tensors": write(chain(), metadata=plan(0, 400, 800, 0, 1200)),
    "plan for some tensors": write(chain(), metadata=plan(-1, 512, -1, 0, -1)),
    "plan with a gap": write(chain(), metadata=plan(-1, -1, 2048, -1, -1)),
    "plan with overlaps": write(chain(), metadata=plan(0, 0, 0, 0, 0)),
    "plan for subgraphs": write(
        caller(1, 2), branch(), branch(), metadata=plan(-1, -1, -1, 512, 512, 512, 0, 1024, 0)
    ),
}


@pytest.mark.parametrize("name", list(ODD))
def test_odd_graphs_take_what_tflite_micro_takes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(ODD[name])
    with Oracle() as oracle:
        judge(oracle, path)


def test_plan_for_another_number_of_tensors_is_refused_by_both(tmp_path: Path) -> None:
    data = write(chain(), metadata=plan(0, 0, 0, 0, 0, tensors=4))
    assert not allocates(data, tmp_path)
    with pytest.raises(ModelRefused, match="plan has 4 tensors, not 5"):
        replay(data)


def test_intermediate_tensor_with_content_is_refused_by_both(tmp_path: Path) -> None:
    graph = chain(2)
    graph.operators[0].intermediates = [0]
    assert not allocates(write(graph), tmp_path)
    with pytest.raises(ModelRefused, match="intermediate"):
        replay(write(graph))


def test_empty_output_is_refused_by_both(tmp_path: Path) -> None:
    graph = chain(2)
    graph.tensors[1].shape = [0, 4]
    assert not allocates(write(graph), tmp_path)
    with pytest.raises(ModelRefused, match="output 1 is empty"):
        replay(write(graph))
