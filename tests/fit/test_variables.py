"""Tests resource variables, the state of streaming models: exact against tflite_micro, and refused
where TFLM would copy from nowhere or over other tensors."""

from pathlib import Path

import pytest

from modelwave_controller.fit import analyse
from tests.fit.measured import FEW
from tests.fit.oracle import INSTALLED, MISSING, WHEEL, Oracle, replay
from tests.fit.steps_state import handle
from tests.fit.writer import Graph, write

PYPI = "x86-64:pypi"
# Measured in PyPI's tflite_micro: arena used, smallest arena that works. (bytes)
WAKE_WORDS = {
    "hey_jarvis_v2": (19_792, 20_304),
    "hey_mycroft_v2": (21_712, 21_712),
    "vad_v2": (12_192, 13_552),
}
SHAPE = [1, 40]
oracle_only = pytest.mark.skipif(INSTALLED != WHEEL, reason=MISSING)


def keeps(read: int = 40, assigned: bool = True, container: str = "") -> Graph:
    """Gives out the last input, which a variable keeps. `read` is the size of what is read."""
    graph = Graph()
    x, before, y = (graph.tensor(shape, "FLOAT32") for shape in (SHAPE, [1, read], SHAPE))
    graph.op("READ_VARIABLE", [handle(graph, "state")], [before], "ReadVariable")
    if assigned:
        graph.op("ASSIGN_VARIABLE", [handle(graph, "state", container), x], [], "AssignVariable")
    graph.op("RELU", [x], [y])
    graph.inputs, graph.outputs = [x], [y, before]
    return graph


def with_handle_of_type(kind: str) -> Graph:
    graph = keeps()
    for tensor in graph.tensors:
        tensor.kind = kind if tensor.kind == "RESOURCE" else tensor.kind
    return graph


def with_handle_given_out() -> Graph:
    graph = keeps()
    graph.outputs = [*graph.outputs, 3]
    return graph


def with_variable_nobody_uses() -> Graph:
    graph = keeps()
    handle(graph, "other")
    return graph


def without_name() -> Graph:
    graph = keeps()
    graph.operators[0].options = None
    return graph


def with_arguments_for_call_once() -> Graph:
    graph = keeps()
    graph.op("CALL_ONCE", [0], [], "CallOnce", InitSubgraphIndex=1)
    return graph


def with_handle_passed_on(assigned: bool = True) -> bytes:
    """IF passes a handle to the subgraph that reads and assigns the variable."""
    main, user, idle = Graph(), Graph(), Graph()
    x, flag, y = main.tensor(SHAPE, "FLOAT32"), main.tensor([1], "BOOL"), main.tensor(SHAPE)
    main.tensors[y].kind = "FLOAT32"
    state = handle(main, "state")
    if assigned:
        main.op("ASSIGN_VARIABLE", [state, x], [], "AssignVariable")
    main.op("IF", [flag, state, x], [y], "If", ThenSubgraphIndex=1, ElseSubgraphIndex=2)
    main.inputs, main.outputs = [x, flag], [y]
    for graph in (user, idle):
        given, inner = graph.tensor([], "RESOURCE"), graph.tensor(SHAPE, "FLOAT32")
        before, after = graph.tensor(SHAPE, "FLOAT32"), graph.tensor(SHAPE, "FLOAT32")
        if graph is user:
            graph.op("READ_VARIABLE", [given], [before], "ReadVariable")
            graph.op("ASSIGN_VARIABLE", [given, before], [], "AssignVariable")
        graph.op("RELU", [inner], [after])
        graph.inputs, graph.outputs = [given, inner], [after]
    return write(main, user, idle)


def path_of(data: bytes, folder: Path) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", list(WAKE_WORDS))
def test_wake_word_model_takes_what_was_measured(name: str) -> None:
    fit = analyse((FEW / "streaming" / f"{name}.tflite").read_bytes(), PYPI)
    assert (fit.used, fit.need) == WAKE_WORDS[name]
    assert fit.derived is None


ACCEPTED = {
    "read before it is assigned": write(keeps()),
    "handles of type INT32": write(with_handle_of_type("INT32")),
    "handle given out": write(with_handle_given_out()),
    "variable that nobody uses": write(with_variable_nobody_uses()),
    "handle passed to a subgraph": with_handle_passed_on(),
}


@pytest.mark.slow
@oracle_only
@pytest.mark.parametrize("name", list(ACCEPTED))
def test_variables_take_what_tflite_micro_takes(name: str, tmp_path: Path) -> None:
    path = path_of(ACCEPTED[name], tmp_path)
    ours = replay(ACCEPTED[name])
    with Oracle() as oracle:
        assert ours.used == oracle.used(path)
        assert ours.need == oracle.need(path, 2 * ours.need)
        assert oracle.runs(path)


# `runs`: tflite_micro runs it all the same, as its checks are compiled out, and reads or writes
# memory that is not the variable's.
REFUSED = {
    "nothing assigns its variable": (write(keeps(assigned=False)), True),
    "it has 80 bytes, its variable 160": (write(keeps(read=20)), True),
    "it has 320 bytes, its variable 160": (write(keeps(read=80)), True),
    "operator 1 READ_VARIABLE: nothing assigns": (write(keeps(container="other")), False),
    "operator 0 READ_VARIABLE: nothing assigns": (with_handle_passed_on(assigned=False), False),
    "it names no variable": (write(without_name()), False),
    "it has 1 inputs and 0 outputs": (write(with_arguments_for_call_once(), Graph()), False),
    "is not the handle of a variable": (write(with_handle_of_type("FLOAT32")), False),
}


@pytest.mark.slow
@pytest.mark.parametrize("piece", list(REFUSED))
def test_variable_that_tflm_cannot_serve_is_refused_with_the_reason(
    piece: str, tmp_path: Path
) -> None:
    data, runs = REFUSED[piece]
    assert piece in (analyse(data, "cortex-m4:reference").refused or "")
    if INSTALLED != WHEEL:
        pytest.skip(MISSING)
    with Oracle() as oracle:
        assert oracle.runs(path_of(data, tmp_path)) == runs


def test_figures_of_an_abi_without_measurement_are_called_derived() -> None:
    fit = analyse(write(keeps()), "esp32:reference")
    assert fit.need is not None
    assert (fit.derived or "").startswith("derived from tflite-micro's source")
    assert (fit.derived or "").endswith("ASSIGN_VARIABLE, READ_VARIABLE, VAR_HANDLE")


def test_variables_with_long_names_that_begin_alike_are_two() -> None:
    graph = keeps(assigned=False)
    for letter in "ab":
        handle(graph, "state" * 100 + letter)
    assert analyse(write(graph), PYPI).variables == 0  # refused before it counts
    graph.operators = graph.operators[-2:]
    assert analyse(write(graph), PYPI).variables == 2
