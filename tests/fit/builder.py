"""Builds random graphs: tensors with shape and quantisation, and the operators on them."""

from collections.abc import Callable
from random import Random

from tests.fit.writer import Graph

MOST_ELEMENTS = 4096  # of one tensor
WEIGHT_KIND = {"INT8": "INT8", "INT16": "INT8", "FLOAT32": "FLOAT32"}
BIAS_KIND = {"INT8": "INT32", "INT16": "INT64", "FLOAT32": "FLOAT32"}
SCALE = 0.1

Shape = list[int]
Step = Callable[["Builder", int], int | None]


class Builder:
    """A graph that grows: each step takes a tensor and returns the new one, or None where its
    operator does not go with the tensor. `called` are the subgraphs that operators run,
    `variables` the shapes of resource variables."""

    def __init__(self, rng: Random, kind: str) -> None:
        self.rng = rng
        self.kind = kind
        self.graph = Graph()
        self.called: list[Graph] = []
        self.variables: dict[str, Shape] = {}

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
