"""A step of random graphs that runs other subgraphs."""

from tests.fit.builder import Builder, Shape
from tests.fit.writer import Graph


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
