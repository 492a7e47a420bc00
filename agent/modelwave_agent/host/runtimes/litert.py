"""Runs TFLite models, with tflite-runtime or its successor ai-edge-litert: the first one that can
be imported.

Its default delegate, XNNPACK, computes only if the manifest allows it, as the outputs of the same
int8 model differ by up to 14 steps with it between the two: then the golden set was made with it,
and the tolerance has a figure for it.
"""

import importlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from modelwave_agent.host.accelerators import EDGETPU, EDGETPU_LIBRARY
from modelwave_agent.host.runtimes import naming
from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings
from modelwave_agent.host.runtimes.specs import OPEN, TensorSpec
from modelwave_agent.ports import ProofError
from modelwave_agent.record import said
from modelwave_shared.tensors import XNNPACK
from modelwave_shared.words import TFLITE

RUNTIMES = ("tflite-runtime", "ai-edge-litert")  # distributions; the older one first


class LiteRT(HostRuntime):
    """TensorFlow Lite.

        runtime = LiteRT()
        runtime.load("digits.tflite")
        scores = runtime.run({"image": picture})["scores"]

    Names of inputs and outputs are those of the model's signature, if it has exactly one, else
    those of its tensors. Only one process at a time can use an Edge TPU (libedgetpu): while a
    program keeps it open, every proof fails.
    """

    format = TFLITE

    def __init__(self, settings: RuntimeSettings = RuntimeSettings()) -> None:
        """Raises ProofError if no runtime is installed."""
        super().__init__(settings)
        self.name, self._tflite = _import_runtime()
        self.version = metadata.version(self.name)
        self._interpreter: Any = None
        self._with_xnnpack = False
        self._given: dict[str, int] = {}  # {name of an input: its tensor's index}
        self._results: dict[str, int] = {}

    @property
    def configuration(self) -> str:
        return f"{self.name}+{XNNPACK}" if self._with_xnnpack else self.name

    def load(self, path: str, loading: Mapping[str, Any] = {}) -> None:
        with open(path, "rb"):
            pass  # a file that cannot be opened raises OSError, which is no fault of the model
        self.unload()
        self._with_xnnpack = (
            XNNPACK in loading.get("delegates", ()) and XNNPACK in self.settings.delegates
        )
        hint = ""
        try:
            interpreter = self._opened(path)
            shapes = loading.get("shapes", {})
            _resize(interpreter, shapes)
            hint = _open_shape(interpreter, shapes)
            interpreter.allocate_tensors()  # not before: in the file's shapes it may not work
            self._look_at(interpreter)
        except (ValueError, RuntimeError) as error:
            self.unload()
            raise ProofError(f"the model cannot be loaded: {_line(error)}{hint}") from error
        self._interpreter = interpreter

    def _opened(self, path: str) -> Any:
        types = self._tflite.OpResolverType
        return self._tflite.Interpreter(
            model_path=path,
            experimental_op_resolver_type=(
                types.BUILTIN if self._with_xnnpack else types.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            ),
            experimental_delegates=self._delegates(),
            num_threads=self.settings.threads or None,
        )

    def _delegates(self) -> list[Any] | None:
        if self.settings.accelerator != EDGETPU:
            return None  # TFLite uses a Jetson's CPU
        return [self._tflite.load_delegate(EDGETPU_LIBRARY)]

    def _look_at(self, interpreter: Any) -> None:
        inputs, outputs = names_of(interpreter)
        self.inputs = tuple(_spec(name, detail) for name, detail in inputs.items())
        self.outputs = tuple(
            _as_it_comes(interpreter, _spec(name, detail), detail)
            for name, detail in outputs.items()
        )
        self._given = {name: detail["index"] for name, detail in inputs.items()}
        self._results = {name: detail["index"] for name, detail in outputs.items()}

    def _run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        interpreter = self._interpreter
        try:
            for name, array in inputs.items():
                interpreter.set_tensor(self._given[name], array)
            interpreter.invoke()
            return {name: _output(interpreter, index) for name, index in self._results.items()}
        except (ValueError, RuntimeError) as error:
            raise ProofError(f"the model cannot be run: {_line(error)}") from error

    def unload(self) -> None:
        self._interpreter = None
        self.inputs = self.outputs = ()


def _import_runtime() -> tuple[str, Any]:
    """Returns (distribution, module) of the first runtime that can be imported. Raises
    ProofError."""
    problems = []
    for name in RUNTIMES:
        try:
            return name, importlib.import_module(name.replace("-", "_") + ".interpreter")
        except Exception as error:  # a broken one may raise anything; the other one may be whole
            problems.append(said(error))
    missing = "no TFLite runtime: pip install 'modelwave-agent[tflite]'"
    raise ProofError(f"{missing} ({'; '.join(problems)})")


def names_of(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns {name: detail} of the inputs and of the outputs, in the file's order."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    signature = _signature(interpreter, inputs, outputs)
    return _named(inputs, signature, "input"), _named(outputs, signature, "output")


def _signature(
    interpreter: Any, inputs: Sequence[Any], outputs: Sequence[Any]
) -> dict[int, str] | None:
    """Returns {tensor's index: name} of the model's signature, None unless it has exactly one, and
    that of the main graph with all of its inputs and outputs."""
    known = list(interpreter.get_signature_list())
    if len(known) != 1:
        return None
    runner = interpreter.get_signature_runner(known[0])
    details = runner.get_input_details(), runner.get_output_details()
    for named, tensors in zip(details, (inputs, outputs), strict=True):
        if sorted(one["index"] for one in named.values()) != sorted(
            one["index"] for one in tensors
        ):
            return None
    return {detail["index"]: name for named in details for name, detail in named.items()}


def _named(details: Sequence[Any], signature: dict[int, str] | None, what: str) -> dict[str, Any]:
    names = [signature[one["index"]] if signature else one["name"] for one in details]
    return dict(zip(naming.usable(names, what), details, strict=True))


def _spec(name: str, detail: Any) -> TensorSpec:
    numpy = importlib.import_module("numpy")  # both runtimes depend on it
    kind = numpy.dtype(detail["dtype"])
    shape = detail["shape"]
    return TensorSpec(name, "|S0" if kind.kind in "SO" else kind.str, tuple(map(int, shape)))


def _as_it_comes(interpreter: Any, spec: TensorSpec, detail: Any) -> TensorSpec:
    """Returns the output's specification, with an open shape if its size is known only after a run:
    it has no memory before."""
    is_open = 0 in spec.shape
    if not is_open and spec.dtype[1] != "S":  # TFLite crashes for texts that are not there yet
        try:
            interpreter.tensor(detail["index"])()
        except ValueError:
            is_open = True
    return TensorSpec(spec.name, spec.dtype, (OPEN,) * max(1, len(spec.shape))) if is_open else spec


def _output(interpreter: Any, index: int) -> Any:
    """Returns an output. TFLite has no array for one without elements, such as the boxes of a
    detector that finds none."""
    try:
        return interpreter.get_tensor(index)
    except ValueError:
        for detail in interpreter.get_output_details():
            if detail["index"] == index and 0 in detail["shape"]:
                numpy = importlib.import_module("numpy")
                return numpy.zeros(detail["shape"], detail["dtype"])
        raise


def _resize(interpreter: Any, shapes: Mapping[str, Sequence[int]]) -> None:
    """Gives inputs the shapes of the manifest. Raises ValueError if there is no such input, or if
    its shape is not open there."""
    inputs, _ = names_of(interpreter)
    for name, shape in shapes.items():
        if name not in inputs:
            raise ValueError(
                f"the manifest has a shape for {name}, the inputs are {', '.join(inputs)}"
            )
        own = _own_shape(inputs[name])
        if len(own) != len(shape) or any(
            size not in (OPEN, wanted) for size, wanted in zip(own, shape, strict=True)
        ):
            raise ValueError(
                f"the manifest gives {name} the shape {list(shape)}, the model has {own}"
            )
        interpreter.resize_tensor_input(inputs[name]["index"], list(shape), strict=True)


def _open_shape(interpreter: Any, shapes: Mapping[str, Sequence[int]]) -> str:
    """Returns what helps if the model leaves open a side that no manifest gives, beyond the first,
    which counts records; else nothing."""
    inputs, _ = names_of(interpreter)
    for name, detail in inputs.items():
        own = _own_shape(detail)
        if name not in shapes and OPEN in own[1:]:
            return f" (input {name} leaves its shape {own} open: golden make --shape gives it one)"
    return ""


def _own_shape(detail: Any) -> list[int]:
    """Returns the shape of a tensor in the file, with OPEN for a size that it leaves open."""
    signature = detail["shape_signature"]
    return [int(size) for size in (signature if len(signature) else detail["shape"])]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
