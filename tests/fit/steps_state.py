"""Steps of random graphs that keep state in resource variables, as streaming models do."""

from tests.fit.builder import Builder, count, size
from tests.fit.writer import Graph, Tensor


def streaming(b: Builder, x: int) -> int | None:
    """Adds the last value of a variable to the tensor, and keeps the sum. Another step may use
    the same variable; CALL_ONCE gives the first value, or the zero point is it."""
    if b.kind == "INT16":
        return None
    shape = b.shape(x)
    named = [name for name, held in b.variables.items() if held == shape]
    name = b.rng.choice(named) if named and b.rng.random() < 0.4 else f"state{len(b.variables)}"
    b.variables[name] = shape
    if b.rng.random() < 0.7:
        b.graph.op("CALL_ONCE", [], [], "CallOnce", InitSubgraphIndex=1 + len(b.called))
        b.called.append(_first_values(b.graph.tensors[x], name))
    state = handle(b.graph, name)
    before, after = b.like(x), b.tensor(shape)
    b.graph.op("READ_VARIABLE", [state], [before], "ReadVariable")
    b.graph.op("ADD", [x, before], [after], "Add")
    if b.rng.random() < 0.3:
        state = handle(b.graph, name)
    b.graph.op("ASSIGN_VARIABLE", [state, after], [], "AssignVariable")
    return after


def handle(graph: Graph, name: str, container: str = "") -> int:
    tensor = graph.tensor([], "RESOURCE")
    graph.op("VAR_HANDLE", [], [tensor], "VarHandle", Container=container, SharedName=name)
    return tensor


def _first_values(like: Tensor, name: str) -> Graph:
    graph = Graph()
    shape = list(like.shape or [])
    data = bytes(count(shape) * size(like.kind))
    value = graph.tensor(
        shape, like.kind, data=data, scales=like.scales, zero_points=like.zero_points
    )
    graph.op("ASSIGN_VARIABLE", [handle(graph, name), value], [], "AssignVariable")
    return graph
