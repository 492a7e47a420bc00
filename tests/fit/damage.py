"""Damages random graphs, so that types, shapes, quantisation, inputs or options no longer go
together. tflite_micro refuses many of them, and some it runs."""

from random import Random

from tests.fit.builder import Builder, count
from tests.fit.writer import Operator, Tensor

KINDS = ("FLOAT32", "INT8", "INT16", "INT32", "INT64", "UINT8", "BOOL", "UINT32", "INT4")
BYTES = {"INT16": 2, "INT32": 4, "INT64": 8, "FLOAT32": 4, "UINT32": 4, "UINT64": 8, "RESOURCE": 4}


def damage(b: Builder, rng: Random) -> None:
    """Changes one thing of one operator of the graph."""
    operator = rng.choice(b.graph.operators)
    tensors = [number for number in (*operator.inputs, *operator.outputs) if number >= 0]
    if tensors and rng.random() < 0.8:
        tensor = b.graph.tensors[rng.choice(tensors)]
        rng.choice((_kind, _shape, _shape, _quantisation))(tensor, rng)
    else:
        rng.choice((_inputs, _options))(operator, rng)


def _kind(tensor: Tensor, rng: Random) -> None:
    tensor.kind = rng.choice(KINDS)
    _fill(tensor)


def _shape(tensor: Tensor, rng: Random) -> None:
    shape = list(tensor.shape or [])
    if shape and rng.random() < 0.5:
        axis = rng.randrange(len(shape))
        shape[axis] = max(0, shape[axis] + rng.choice((-1, 1, 2)))
    elif shape and rng.random() < 0.4:
        del shape[rng.randrange(len(shape))]
    else:
        shape.insert(rng.randint(0, len(shape)), rng.choice((1, 1, 2, 3)))
    tensor.shape = shape
    _fill(tensor)


def _fill(tensor: Tensor) -> None:
    if tensor.data is not None:
        size = count(list(tensor.shape or [])) * BYTES.get(tensor.kind, 1)
        tensor.data = (tensor.data * (size // max(1, len(tensor.data)) + 1))[:size]


def _quantisation(tensor: Tensor, rng: Random) -> None:
    channels = rng.choice((0, 1, 1, 2, 3))
    tensor.scales = [rng.choice((0.1, 0.2, 1 / 256, 100.0))] * channels
    tensor.zero_points = [rng.choice((0, 3, -128, 127))] * channels


def _inputs(operator: Operator, rng: Random) -> None:
    inputs = list(operator.inputs)
    if not inputs:
        return
    if rng.random() < 0.5:
        inputs.pop()
    else:
        inputs.append(inputs[-1])
    operator.inputs = inputs


def _options(operator: Operator, rng: Random) -> None:
    numbers = [key for key, value in operator.values.items() if isinstance(value, int)]
    if numbers:
        key = rng.choice(numbers)
        most = 4 if operator.values[key] > 1 else 1  # the others may be of type bool
        operator.values = {**operator.values, key: rng.randint(0, most)}
