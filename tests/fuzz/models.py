"""Files of models, which come from anywhere."""

import io
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tflite
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, helper

from modelwave_controller.fit import PROFILES, ModelError, analyse, formats, zip_list
from modelwave_controller.fit.errors import ModelRefused, Unknown
from modelwave_controller.fit.format_signs import sample_bytes
from modelwave_controller.fit.metadata import associated_files
from modelwave_controller.fit.model import Model, read_model
from modelwave_controller.fit.zip_list import ZipError
from modelwave_controller.models import onnx_file
from tests.fit.graphs import random_graph
from tests.fuzz.judging import require_line

_PROFILES = sorted(PROFILES)
_EXAMPLES = Path(__file__).resolve().parents[1] / "data" / "fit" / "models"
_MAX_SEED_BYTES = 3000
MOST_NAME = 200
MOST_UNPACKED = 1 << 16


def tflite_file(data: bytes) -> bool:
    """The reader of the package tflite sees the same graphs, operators, tensors and shapes."""
    formats.why_not_tflite(sample_bytes(data))
    try:
        fit = analyse(data, _PROFILES[len(data) % len(_PROFILES)])
        associated_files(data)
        found = read_model(data)
    except ModelError as error:
        require_line(error)
        return False
    except (ModelRefused, Unknown):
        return fit.need is None
    assert (fit.need is None) == bool(fit.refused or fit.unknown)
    _compare(found, tflite.Model.GetRootAs(data))
    return True


def _compare(found: Model, theirs: Any) -> None:
    assert len(found.subgraphs) == theirs.SubgraphsLength()
    for number, graph in enumerate(found.subgraphs):
        other = theirs.Subgraphs(number)
        assert len(graph.operators) == other.OperatorsLength()
        assert len(graph.tensors) == other.TensorsLength()
        for at, tensor in enumerate(graph.tensors):
            its = other.Tensors(at)
            assert list(tensor.shape) == [its.Shape(side) for side in range(its.ShapeLength())]


def onnx(data: bytes) -> bool:
    """The reader of protobuf sees the same versions, operators and shapes of outputs."""
    formats.format_of(sample_bytes(data))
    try:
        found = onnx_file.read(data)
    except ModelError as error:
        require_line(error)
        return False
    try:
        theirs = ModelProto.FromString(data)
    except DecodeError:  # it reads all fields, and we those that we need
        return True
    opsets = {_domain(one.domain): one.version % (1 << 64) for one in theirs.opset_import}
    operators = {_name(node) for node in theirs.graph.node}
    assert found.ir_version == theirs.ir_version % (1 << 64)
    if _are_plain(opsets):
        assert found.opsets == opsets
    if _are_plain(operators):
        assert found.operators >= operators
    return True


def _are_plain(names: Iterable[str]) -> bool:
    """Of other names we cut the end off, or replace what is no UTF-8."""
    return all(name.isascii() and len(name) < MOST_NAME for name in names)


def _domain(text: str | bytes) -> str:
    return "" if text == "ai.onnx" else _text(text)


def _name(node: Any) -> str:
    domain = _domain(node.domain)
    return f"{domain}:{_text(node.op_type)}" if domain else _text(node.op_type)


def _text(value: str | bytes) -> str:
    """protobuf gives bytes for what is no UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def tflite_file_seeds() -> list[bytes]:
    graphs = [random_graph(seed) for seed in range(60)]
    named = [path.read_bytes() for path in sorted(_EXAMPLES.iterdir())]
    found = [data for data in (*graphs, *named) if len(data) <= _MAX_SEED_BYTES]
    return [data for data in found if tflite_file(data)][:24]


def onnx_seeds() -> list[bytes]:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0] * 4)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    then = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "then", [], [out])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Gelu", ["y"], ["v"], domain="com.microsoft"),
        helper.make_node("If", ["c"], ["z"], then_branch=then, else_branch=then),
    ]
    graph = helper.make_graph(nodes, "g", [given], [out], [weights])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return [helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()]


def packed(data: bytes) -> bool:
    """A zip that is packed behind a model: zipfile reads the same files, if it reads them."""
    try:
        entries = zip_list.entries(data)
        contents = {one.name: zip_list.read(data, one, MOST_UNPACKED) for one in entries}
    except ZipError:
        return False
    zip_list.names(data[:500], data[-500:])
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as theirs:
            read = {info.filename: theirs.read(info) for info in theirs.infolist()}
    except (ValueError, LookupError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        return True
    if read.keys() == contents.keys():  # it has other names for bytes that are no UTF-8
        assert read == contents
    return bool(entries)


def packed_seeds() -> list[bytes]:
    out = io.BytesIO(b"TFL3 and so on")
    with zipfile.ZipFile(out, "a") as made:
        made.writestr(zipfile.ZipInfo("labels.txt"), b"cat\ndog\n")
        made.writestr(zipfile.ZipInfo("b"), b"x" * 300, zipfile.ZIP_DEFLATED)
    return [out.getvalue()]
