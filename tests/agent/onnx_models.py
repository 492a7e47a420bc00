"""Small ONNX models for tests, written with the package onnx."""

import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx, which writes models, is missing")

from onnx import TensorProto, helper  # noqa: E402


def tensor(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, opset=13, ir=8, constants=(), domains=()):
    """Returns the bytes of a model. `nodes`: (operator, inputs, outputs, attributes)."""
    made = [helper.make_node(op, given, results, **more) for op, given, results, more in nodes]
    graph = helper.make_graph(made, "test", inputs, outputs, list(constants))
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(domain, version) for domain, version in domains]
    whole = helper.make_model(graph, opset_imports=imports, producer_name="tests")
    whole.ir_version = ir
    return whole.SerializeToString()


def sums(shape=(1, 3)):
    """A model that adds its two inputs, and also gives their difference."""
    names = [tensor(name, shape) for name in ("left", "right", "sum", "difference")]
    nodes = [
        ("Add", ["left", "right"], ["sum"], {}),
        ("Sub", ["left", "right"], ["difference"], {}),
    ]
    return model(nodes, names[:2], names[2:])


def same(kind, shape=(1, 2)):
    """A model whose output is its input."""
    nodes = [("Identity", ["x"], ["y"], {})]
    return model(nodes, [tensor("x", shape, kind)], [tensor("y", shape, kind)])
