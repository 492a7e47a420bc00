"""Runs ONNX models with ONNX Runtime: the package onnxruntime, or onnxruntime-gpu, which is
imported by the same name.

It computes where the manifest's `loading.providers` allow it, the preferred one first, and this
device's agent.toml, and where the installed package can; a manifest without them allows the CPU. A
provider that cannot be started, as its driver is missing, is left out; that none is left is no
fault of the model. Where the CPU is not allowed, no part of the model may fall back to it.

The graph is optimised as far as ONNX Runtime does it by itself, because that is the larger part of
its speed: fused operators round differently than single ones, but what proves a model loads it in
the same way as what serves it, so its tolerance covers that. Two settings keep results alike among
devices: kernels that give the same result each time are taken, and on x86-64 processors without
VNNI those for int8 that do not saturate (`session.x64quantprecision`), where they can load the
graph.
"""

import errno
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from modelwave_agent.host.runtimes import engines, naming
from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings
from modelwave_agent.host.runtimes.specs import OPEN, InputError, TensorSpec
from modelwave_agent.ports import ProofError
from modelwave_shared.words import ONNX

try:
    import onnxruntime
except ImportError as problem:
    raise ImportError(
        f"no ONNX Runtime: pip install 'modelwave-agent[onnx]' ({problem})"
    ) from problem

TENSORRT, CUDA, CPU = "tensorrt", "cuda", "cpu"
CLASSES = {
    TENSORRT: "TensorrtExecutionProvider",
    CUDA: "CUDAExecutionProvider",
    CPU: "CPUExecutionProvider",
}
DTYPES = {
    "float": "<f4",
    "double": "<f8",
    "float16": "<f2",
    "bool": "|b1",
    "string": "|S0",
    "int8": "|i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "|u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
}
FATAL_ONLY = 4  # what goes wrong is raised
NO_CPU = "fallback to CPU EP has been explicitly disabled"  # part of its error
NO_MEMORY = ("bad_alloc", "Failed to allocate memory", "out of memory")


class OnnxRuntime(HostRuntime):
    """ONNX Runtime.

    runtime = OnnxRuntime(RuntimeSettings())
    runtime.load("digits.onnx", {"providers": ["cuda", "cpu"]})
    scores = runtime.run({"image": picture})["scores"]
    """

    format = ONNX
    name = "onnxruntime"

    def __init__(self, settings: RuntimeSettings = RuntimeSettings()) -> None:
        super().__init__(settings)
        self.version: str = onnxruntime.__version__
        there = onnxruntime.get_available_providers()
        self._there = tuple(
            one for one, its in CLASSES.items() if its in there and one in settings.providers
        )
        self.offers = tuple(f"{self.name}+{one}" for one in self._there)
        self._session: Any = None
        self._used = CPU
        self._given: dict[str, str] = {}  # {input: its name in the file}
        self._results: dict[str, str] = {}

    @property
    def configuration(self) -> str:
        return self.name if self._used == CPU else f"{self.name}+{self._used}"

    def load(self, path: str, loading: Mapping[str, Any] = {}) -> None:
        with open(path, "rb"):
            pass  # a file that cannot be opened raises OSError, which is no fault of the model
        self.unload()
        allowed = loading.get("providers", (CPU,))
        taken = [one for one in allowed if one in self._there]
        if not taken:
            raise OSError(
                errno.ENODEV,
                f"none of the providers that the release allows ({', '.join(allowed)}) is on this "
                f"device ({', '.join(self._there) or 'none'})",
            )
        shapes = loading.get("shapes", {})
        try:
            sizes = _sizes(path, shapes, self._options(taken)) if shapes else {}
            session = self._opened(path, taken, sizes)
            self._look_at(session, shapes)
        except (ProofError, OSError):
            self.unload()
            raise
        except Exception as error:  # its errors have no class in common
            self.unload()
            raise _told("loaded", error) from error
        self._session = session
        self._used = _name_of(session.get_providers()[0])

    def _opened(self, path: str, taken: Sequence[str], sizes: Mapping[str, int]) -> Any:
        try:
            return self._started(path, taken, sizes, precise=True)
        except OSError:
            raise
        except Exception:  # some graphs cannot be loaded with those kernels, in each version
            return self._started(path, taken, sizes, precise=False)

    def _started(
        self, path: str, taken: Sequence[str], sizes: Mapping[str, int], precise: bool
    ) -> Any:
        options = self._options(taken)
        if precise:
            options.add_session_config_entry("session.x64quantprecision", "1")
        for dimension, size in sizes.items():
            options.add_free_dimension_override_by_name(dimension, size)
        providers = [(CLASSES[one], self._of_provider(one, path)) for one in taken]
        session = onnxruntime.InferenceSession(
            path, options, providers=providers, enable_fallback=0
        )
        session.disable_fallback()
        if not any(CLASSES[one] in session.get_providers() for one in taken):
            raise OSError(errno.ENODEV, f"{', '.join(taken)} cannot be started on this device")
        return session

    def _options(self, taken: Sequence[str]) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL_ONLY
        options.intra_op_num_threads = self.settings.threads
        options.use_deterministic_compute = True
        if CPU not in taken:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        return options

    def _of_provider(self, provider: str, path: str) -> dict[str, str]:
        folder = engines.folder_of(path)
        if provider != TENSORRT or folder is None:
            return {}
        cache = str(engines.cache_for(folder, self.version))
        return {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": cache,
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": cache,
        }

    def _look_at(self, session: Any, shapes: Mapping[str, Sequence[int]]) -> None:
        given, results = session.get_inputs(), session.get_outputs()
        self._given = _named(given, "input")
        self._results = _named(results, "output")
        for name in shapes:
            _require(
                name in self._given,
                f"the manifest has a shape for {name}, the inputs are {', '.join(self._given)}",
            )
        self.inputs = tuple(
            _spec(name, one, shapes.get(name)) for name, one in zip(self._given, given, strict=True)
        )
        self.outputs = tuple(
            _spec(name, one, None) for name, one in zip(self._results, results, strict=True)
        )

    def _run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        fed = {self._given[name]: _with_texts(array) for name, array in inputs.items()}
        try:
            found = self._session.run(list(self._results.values()), fed)
        except Exception as error:
            raise _told("run", error) from error
        return {name: _as_bytes(array) for name, array in zip(self._results, found, strict=True)}

    def unload(self) -> None:
        self._session = None
        self.inputs = self.outputs = ()


def _sizes(path: str, shapes: Mapping[str, Sequence[int]], options: Any) -> dict[str, int]:
    """Returns {dimension: size} of the named dimensions that the manifest's shapes give. To know
    the names the file is opened first, without work on its graph. A name with two sizes is none:
    exporters write "?" for all that is open."""
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "0")
    looked = onnxruntime.InferenceSession(path, options, providers=[CLASSES[CPU]])
    inputs = looked.get_inputs()
    found: dict[str, set[int]] = {}
    for name, one in zip(_named(inputs, "input"), inputs, strict=True):
        for dimension, size in zip(one.shape or (), shapes.get(name, ()), strict=False):
            if isinstance(dimension, str):
                found.setdefault(dimension, set()).add(size)
    return {name: sizes.pop() for name, sizes in found.items() if len(sizes) == 1}


def _named(described: Sequence[Any], what: str) -> dict[str, str]:
    names = [one.name for one in described]
    return dict(zip(naming.usable(names, what), names, strict=True))


def _spec(name: str, described: Any, shape: Sequence[int] | None) -> TensorSpec:
    """`shape`: that of the manifest. Raises ProofError if it, or the type, is not the model's."""
    kind = described.type.removeprefix("tensor(").removesuffix(")")
    _require(
        kind in DTYPES,
        f"{name} is a {described.type}, for which numpy has no array; a classifier of "
        "scikit-learn: convert it with zipmap=False",
    )
    own = tuple(size if isinstance(size, int) else OPEN for size in described.shape or ())
    if shape is None:
        return TensorSpec(name, DTYPES[kind], own)
    _require(
        len(own) == len(shape)
        and all(size in (OPEN, wanted) for size, wanted in zip(own, shape, strict=True)),
        f"the manifest gives {name} the shape {list(shape)}, the model has {list(own)}",
    )
    return TensorSpec(name, DTYPES[kind], tuple(shape))


def _require(is_so: bool, problem: str) -> None:
    if not is_so:
        raise ProofError(f"the model cannot be loaded: {problem}")


def _with_texts(array: Any) -> Any:
    """Returns texts as ONNX Runtime takes them: as str objects."""
    if array.dtype.kind not in "SUO":
        return array
    try:
        texts = [one.decode() if isinstance(one, bytes) else str(one) for one in array.ravel()]
    except UnicodeDecodeError as error:
        raise InputError(f"a text is no UTF-8: {error}") from error
    return numpy.array(texts, object).reshape(array.shape)


def _as_bytes(array: Any) -> Any:
    """Returns texts as bytes, as TFLite does."""
    if array.dtype.kind not in "UO":
        return array
    return numpy.array([str(one).encode() for one in array.ravel()], object).reshape(array.shape)


def _name_of(provider: str) -> str:
    return next((one for one, its in CLASSES.items() if its == provider), CPU)


def _told(what: str, error: Exception) -> Exception:
    """Returns what to raise for an error of ONNX Runtime: MemoryError and OSError say nothing about
    the model. Which part of a model a GPU can run depends on the device's versions, too."""
    told = " ".join(str(error).split())
    if NO_CPU in told:
        return OSError(errno.ENODEV, "the release does not allow the CPU, which a part of it needs")
    if any(sign in told for sign in NO_MEMORY):
        return MemoryError(told)
    return ProofError(f"the model cannot be {what}: {told}")
