"""A host's runtime has the operators of host_operators.toml, and the models that it would refuse
are "no" with the operator's name."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tflite

from modelwave_agent.host.offers import format_version
from modelwave_agent.host.runtimes.litert import LiteRT
from modelwave_controller.fit.tflite_schema import CUSTOM, OPERATORS
from modelwave_controller.models import host_operators
from modelwave_controller.models.host_operators import _Code, _table, on_hosts
from modelwave_controller.models.inspection import Inspection, ModelOnTarget
from modelwave_controller.models.targets import Targets
from modelwave_shared.fit import numbers
from tests.fit.writer import Graph, write
from tests.models import small_models


@pytest.fixture
def host(tmp_path: Path) -> Any:
    return Targets(tmp_path).get("linux-cpu")


def row(data: bytes, host: Any) -> ModelOnTarget:
    return Inspection("FILE", data).row(host)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The runtime writes a line to stderr for each model that it refuses."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def with_version(name: str, version: int) -> bytes:
    """A model without a node, whose file lists the operator: enough for a runtime to look it up."""
    graph = Graph()
    graph.inputs = graph.outputs = [graph.tensor([1], "FLOAT32")]
    return write(graph, versions={name: version})


def accepted(runtime: LiteRT, data: bytes) -> bool:
    types = runtime._tflite.OpResolverType
    without = types.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        runtime._tflite.Interpreter(model_content=data, experimental_op_resolver_type=without)
    except ValueError:
        return False
    return True


def test_installed_runtime_has_exactly_the_versions_of_operators_that_the_table_says() -> None:
    """And ai-edge-litert the version of TensorFlow Lite that its number is translated to."""
    runtime = LiteRT()
    here = numbers(format_version(runtime.name, runtime.version))
    wrong = []
    with quiet():
        for name in (name for name in OPERATORS if hasattr(tflite.BuiltinOperator, name)):
            last = len(_table()["builtin"].get(name, "").split())
            for version in range(last + 3) if name != CUSTOM else ():
                least = numbers(_Code(name, version, custom=False).least)
                said = bool(least) and least <= here
                if accepted(runtime, with_version(name, version)) != said:
                    wrong.append(f"{name} version {version}: {said}")
    assert wrong == []


def test_newest_version_of_the_table_is_that_of_its_package() -> None:
    table: Any = _table()
    name, version = table["newest_package"].split()
    assert format_version(name, version) == table["newest"]
    known = [*table["custom"].values(), *" ".join(table["builtin"].values()).split()]
    assert max((one for one in known if one != "-"), key=numbers) == table["newest"]
    assert set(table["builtin"]) < set(OPERATORS)


@pytest.mark.parametrize(
    ("operator", "advice"),
    [
        ("FlexErf", "convert the model without SELECT_TF_OPS"),
        ("ethos-u", "use the file from before Vela"),
        ("Landmarks2TransformMatrix", "custom operators; convert the model to builtin ones"),
        ("STABLEHLO_CBRT", "the newest that is known is ai-edge-litert"),
    ],
)
def test_model_with_an_operator_that_no_runtime_has_is_no(
    host: Any, operator: str, advice: str
) -> None:
    found = row(small_models.one(operator, "FLOAT32"), host)
    assert found.fits == "no"
    assert found.refused is not None
    assert operator in found.refused
    assert advice in found.refused


@pytest.mark.parametrize("operator", list(_table()["custom"]))
def test_custom_operator_that_is_built_in_is_no_reason(host: Any, operator: str) -> None:
    assert row(small_models.one(operator, "FLOAT32"), host).fits == "yes"


def test_model_for_an_edge_tpu_lacks_the_accelerator_and_not_the_operator(tmp_path: Path) -> None:
    data = small_models.edgetpu()
    assert row(data, Targets(tmp_path).get("coral-usb")).fits == "yes"
    found = row(data, Targets(tmp_path).get("linux-cpu"))
    assert (found.fits, found.refused) == ("no", None)


def test_text_input_that_cannot_be_sized_does_not_hide_the_operators_name(host: Any) -> None:
    found = row(small_models.one("Normalize", "STRING"), host)
    assert found.fits == "no"
    assert "Normalize" in (found.refused or "")


def test_many_operators_are_named_briefly() -> None:
    graph = Graph()
    last = graph.tensor([1, 8], "FLOAT32")
    graph.inputs = [last]
    for number in range(7):
        graph.op(f"FlexOp{number}", [last], [last := graph.tensor([1, 8], "FLOAT32")])
    graph.outputs = [last]
    assert (
        "FlexOp0, FlexOp1, FlexOp2, FlexOp3, FlexOp4 and 2 more" in on_hosts(write(graph)).refused
    )


def test_version_of_an_operator_that_is_newer_than_all_is_no(host: Any) -> None:
    found = row(write(_dense(), versions={"FULLY_CONNECTED": 99}), host)
    assert "FULLY_CONNECTED version 99" in (found.refused or "")


def test_the_least_runtime_follows_from_the_versions_of_the_operators(host: Any) -> None:
    asks = on_hosts(write(_dense(), versions={"FULLY_CONNECTED": 13, "SOFTMAX": 3}))
    assert (asks.least, asks.by) == ("2.18.0", "FULLY_CONNECTED version 13")
    assert asks.least_that_excludes == "2.18.0"
    old = on_hosts(write(_dense(), versions={"FULLY_CONNECTED": 4}))
    assert numbers(old.least) <= numbers(host_operators.LEAST_OF_ANY_HOST)
    assert old.least_that_excludes == ""


def _dense() -> Graph:
    graph = Graph()
    given, weights = graph.tensor([1, 8]), graph.constant([[1] * 8] * 4, "INT8")
    made = graph.tensor([1, 4])
    graph.op("FULLY_CONNECTED", [given, weights, -1], [made], "FullyConnected")
    graph.inputs, graph.outputs = [given], [made]
    return graph


def test_tensor_that_is_quantised_along_an_axis_that_it_lacks_is_no(host: Any) -> None:
    graph = Graph()
    given = graph.tensor([1, 8], axis=2)
    made = graph.tensor([1, 8])
    graph.op("RELU", [given], [made])
    graph.inputs, graph.outputs = [given], [made]
    found = row(write(graph), host)
    assert "quantised along axis 2, but has the shape [1, 8]" in (found.refused or "")
    with quiet():
        assert not accepted(LiteRT(), write(graph))


@pytest.mark.parametrize(("assigned", "fits"), [(False, "no"), (True, "yes")])
def test_variable_that_is_read_before_it_has_a_value_is_no(
    host: Any, tmp_path: Path, assigned: bool, fits: str
) -> None:
    graph = Graph()
    given, handle = graph.tensor([1, 8], "FLOAT32"), graph.tensor([], "RESOURCE")
    made = graph.tensor([1, 8], "FLOAT32")
    graph.op("VAR_HANDLE", [], [handle], "VarHandle")
    if assigned:
        graph.op("ASSIGN_VARIABLE", [handle, given], [], "AssignVariable")
    graph.op("READ_VARIABLE", [handle], [made], "ReadVariable")
    graph.inputs, graph.outputs = [given], [made]
    assert row(write(graph), host).fits == fits


def test_input_whose_shape_is_open_is_not_yes(host: Any) -> None:
    found = row(_open([1, 1], [-1, -1]), host)
    assert found.fits == "unknown"
    assert "has the open shape [?, ?], which the file has as [1, 1]" in (found.unknown or "")


def test_open_number_of_records_is_no_reason(host: Any) -> None:
    assert row(_open([1, 8], [-1, 8]), host).fits == "yes"


def _open(shape: list[int], signature: list[int]) -> bytes:
    graph = Graph()
    given = graph.tensor(shape, "FLOAT32", signature=signature)
    made = graph.tensor(shape, "FLOAT32")
    graph.op("RELU", [given], [made])
    graph.inputs, graph.outputs = [given], [made]
    return write(graph)
