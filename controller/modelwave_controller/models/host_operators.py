"""Says which version of TensorFlow Lite a model needs on a host, by its operators, and why no
version runs it (host_operators.toml has the operators, and where they are from).

A runtime refuses a file if it lacks one of the file's builtin operators in its version, also if no
node uses it, and if it lacks a custom one that a node uses. The Flex delegate, which runs
TensorFlow's own operators (Flex…), is in no runtime for Python."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from modelwave_controller.fit.flatbuffer import File, Table
from modelwave_controller.fit.model import MAX_CODES, MAX_OPERATORS, MAX_SUBGRAPHS, MAX_TENSORS
from modelwave_controller.fit.tflite_schema import CUSTOM, OPERATORS, Slot
from modelwave_controller.models import edgetpu
from modelwave_shared.fit import numbers

_CODE_VERSION = 2  # the slot of an operator code's version
_SIGNATURE = 7  # the slot of a tensor's shape_signature, in which -1 is a side that is open
MAX_NAMED = 5
# No runtime for Python 3.11, which an agent needs, is older: a need for less excludes nobody.
LEAST_OF_ANY_HOST = "2.12.0"


@dataclass(frozen=True, slots=True)
class OnHosts:
    """What a file asks of a host's runtime. `refused` says why none runs it, "" if one does.
    `least` is the least version of TensorFlow Lite with all operators, and `by` the operator that
    needs it. `open_shape` names an input that has to be given a shape, "" for none."""

    refused: str
    least: str
    by: str
    open_shape: str

    @property
    def least_that_excludes(self) -> str:
        """`least`, or "" if the runtime of every host has it."""
        return self.least if numbers(self.least) > numbers(LEAST_OF_ANY_HOST) else ""


@dataclass(frozen=True, slots=True)
class _Code:
    """An operator in one version."""

    name: str
    version: int
    custom: bool

    @property
    def least(self) -> str:
        """The least version of TensorFlow Lite that has it; "" if none does."""
        if self.custom:
            return _table()["custom"].get(self.name, "")
        versions = _table()["builtin"].get(self.name, "").split()
        known = 1 <= self.version <= len(versions)
        return versions[self.version - 1].strip("-") if known else ""

    def __str__(self) -> str:
        return self.name if self.custom else f"{self.name} version {self.version}"


def on_hosts(data: bytes) -> OnHosts:
    """Reads what the file asks of a host's runtime. Raises ModelError if it is damaged."""
    root = File(data).root()
    graphs = root.tables(Slot.MODEL_SUBGRAPHS, MAX_SUBGRAPHS)
    codes = _codes(root, graphs)
    lacking = [code for code in codes if not code.least]
    newest = max(codes, key=lambda code: numbers(code.least), default=None)
    return OnHosts(
        _refusal(lacking),
        newest.least if newest else "",
        str(newest or ""),
        _open_shape(graphs[0]) if graphs else "",
    )


def _codes(root: Table, graphs: list[Table]) -> list[_Code]:
    """Returns the operators that a runtime looks up. Those for an Edge TPU are not among them: its
    delegate runs them, and who has none is told that (inspection.py)."""
    used: set[int] = set()
    for graph in graphs:
        nodes = graph.tables(Slot.GRAPH_OPERATORS, MAX_OPERATORS)
        used |= {node.u32(Slot.OPERATOR_CODE) for node in nodes}
    found = []
    for number, table in enumerate(root.tables(Slot.MODEL_CODES, MAX_CODES)):
        code = _code(table)
        if code.custom and (number not in used or code.name == edgetpu.OPERATOR):
            continue
        found.append(code)
    return found


def _code(table: Table) -> _Code:
    number = max(table.i8(Slot.CODE_OLD), table.i32(Slot.CODE_BUILTIN))
    version = table.i32(_CODE_VERSION, 1)
    if not 0 <= number < len(OPERATORS):
        return _Code(f"operator number {number}", version, False)
    if OPERATORS[number] == CUSTOM:
        return _Code(table.text(Slot.CODE_CUSTOM) or "one without a name", version, True)
    return _Code(OPERATORS[number], version, False)


def _refusal(lacking: list[_Code]) -> str:
    """Returns the reason with all operators that no runtime has, each kind with its advice."""
    by_advice: dict[str, list[str]] = {}
    for code in lacking:
        by_advice.setdefault(_advice(code), []).append(str(code))
    return "; ".join(
        f"no runtime for hosts has {_listed(sorted(set(names)))}: {advice}"
        for advice, names in by_advice.items()
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _advice(code: _Code) -> str:
    if not code.custom:
        return f"the newest that is known is {_table()['newest_package']}"
    if code.name.startswith("Flex"):
        return "operators of TensorFlow itself; convert the model without SELECT_TF_OPS"
    if code.name == "ethos-u":
        return "Vela compiled it for an Ethos-U; use the file from before Vela"
    return "custom operators; convert the model to builtin ones"


def _open_shape(graph: Table) -> str:
    """Returns an input whose shape is open in another place than the first, which counts records:
    as it stands in the file, such a model can often not be loaded."""
    tensors = graph.tables(Slot.GRAPH_TENSORS, MAX_TENSORS)
    for number in graph.ints(Slot.GRAPH_INPUTS):
        if not 0 <= number < len(tensors):
            continue  # read_model says so
        signature = tensors[number].ints(_SIGNATURE)
        if -1 in signature[1:]:
            name, shape = tensors[number].text(Slot.TENSOR_NAME), tensors[number].ints(0)
            sides = ", ".join("?" if side == -1 else str(side) for side in signature)
            return f"input {name} has the open shape [{sides}], which the file has as {list(shape)}"
    return ""


@cache
def _table() -> dict[str, dict[str, str]]:
    path = files("modelwave_controller.models") / "host_operators.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
