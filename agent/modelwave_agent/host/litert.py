"""Runs TFLite models on a host, with tflite-runtime or its successor ai-edge-litert.

It uses the first one that can be imported, without its default delegates: with XNNPACK the
outputs of the same int8 model differed by up to 14 steps between the two, so a golden set would
prove less. The same class proves and serves models, so both compute the same outputs.
"""

import asyncio
import importlib
import json
import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from modelwave_agent.host import edgetpu, jetson, process
from modelwave_agent.ports import ProofError, Runtime

RUNTIMES = ("tflite-runtime", "ai-edge-litert")  # distributions; the older one first
EDGETPU, JETSON = "edgetpu", "jetson"
ACCELERATORS = ("", EDGETPU, JETSON)
EDGETPU_LIBRARY = "libedgetpu.so.1"
PROOF_SECONDS = 60
PROVE = (sys.executable, "-P", "-m", "modelwave_agent.host.prove")

# Signals of a person or the system; a process that they end says nothing about the model.
NOT_ITS_FAULT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InputError(ProofError, ValueError):
    """The program's input is not what the model takes. That says nothing about the model."""


class LiteRT(Runtime):
    """A runtime for one model at a time, with one input and one output tensor.

        runtime = LiteRT()
        runtime.load("digits.tflite")
        scores = runtime.run(picture)   # bytes of the tensors, little-endian

    Only one process at a time can use an Edge TPU (libedgetpu): while a program keeps it open,
    every proof fails.
    """

    format = "tflite"

    def __init__(
        self,
        accelerator: str = "",
        ram_bytes: int = 0,
        proof_seconds: float = PROOF_SECONDS,
        kernels: Sequence[str] = (),
    ) -> None:
        """`ram_bytes` is the limit for a model; 0 means the free memory. `kernels` are the
        operators of a board that this host simulates; () means all. Raises ProofError if the
        runtime or the accelerator's library is not installed."""
        self.name, self._tflite = _import_runtime()
        self.version = metadata.version(self.name)
        self._kind = accelerator
        self._edgetpu_version = ""
        if accelerator == EDGETPU:
            self._edgetpu_version = edgetpu.runtime_version(EDGETPU_LIBRARY)
        elif accelerator == JETSON:
            jetson.require()
        self.kernels = list(kernels) or None
        self.ram_bytes = ram_bytes
        self.proof_seconds = proof_seconds
        self._interpreter: Any = None
        self._given: Any = None
        self._result: Any = None

    @property
    def accelerator(self) -> str:  # type: ignore[override]  # read each time: the mode may change
        """The accelerator with its detail: "edgetpu/14" (the library's runtime version) or
        "jetson/15W" (the power mode)."""
        detail = jetson.power_mode() if self._kind == JETSON else self._edgetpu_version
        return f"{self._kind}/{detail}" if detail else self._kind

    def load(self, path: str) -> None:
        with open(path, "rb"):
            pass  # a file that cannot be opened raises OSError, which is no fault of the model
        tflite = self._tflite
        try:
            interpreter = tflite.Interpreter(
                model_path=path,
                experimental_op_resolver_type=tflite.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                experimental_delegates=self._delegates(),
            )
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ProofError(f"the model cannot be loaded: {_line(error)}") from error
        self._given = _only(interpreter.get_input_details(), "input")
        self._result = _only(interpreter.get_output_details(), "output")
        self._interpreter = interpreter

    def run(self, data: bytes) -> bytes:
        """Runs the model on the bytes of its input tensor, exactly as many as it has, and returns
        those of the output tensor. Raises InputError if there are more or fewer, else
        ProofError."""
        if self._interpreter is None:
            raise ProofError("no model is loaded")
        shape, dtype = self._given["shape"], self._given["dtype"]
        wanted = int(shape.prod()) * dtype().itemsize
        if len(data) != wanted:
            raise InputError(f"the model needs {wanted} bytes of input, and got {len(data)}")
        try:
            # A string tensor has no fixed size; numpy refuses to make one from bytes.
            tensor = _numpy().frombuffer(data, dtype).reshape(shape)
            self._interpreter.set_tensor(self._given["index"], tensor)
            self._interpreter.invoke()
            result: bytes = self._interpreter.get_tensor(self._result["index"]).tobytes()
        except (ValueError, RuntimeError) as error:
            raise ProofError(f"the model cannot be run: {_line(error)}") from error
        return result

    @property
    def output_type(self) -> str:
        """The type of the output's elements as numpy writes it ("|i1", "<f4"); "" if no model is
        loaded."""
        result = self._result
        return str(_numpy().dtype(result["dtype"]).str) if result else ""

    def unload(self) -> None:
        self._interpreter = self._given = self._result = None

    def free_ram(self) -> int:
        free = available_bytes()
        return min(free, self.ram_bytes) if self.ram_bytes else free

    async def prove(
        self, model_path: str, golden_path: str, tolerance: Any, breathe: object = None
    ) -> str:
        """Runs the golden set in a process of its own (prove.py), so that a model that crashes its
        runtime or makes it hang counts as unhealthy. Returns "" or the reason. Raises OSError or
        MemoryError if the device could not run it."""
        options = {
            "--model": model_path,
            "--golden": golden_path,
            "--tolerance": json.dumps(tolerance),
            "--accelerator": self._kind,
            "--seconds": str(self.proof_seconds),
        }
        arguments = [text for pair in options.items() for text in pair]
        try:
            async with asyncio.timeout(self.proof_seconds):
                ended = await process.run((*PROVE, *arguments))
        except TimeoutError:
            return f"proof: no result within {self.proof_seconds:g} seconds"
        return _verdict(ended)

    def _delegates(self) -> list[Any] | None:
        if self._kind != EDGETPU:
            return None  # TFLite uses a Jetson's CPU; only TensorRT uses its GPU
        return [self._tflite.load_delegate(EDGETPU_LIBRARY)]


def _verdict(ended: process.Ended) -> str:
    if ended.code == -signal.SIGKILL:
        raise MemoryError("the proof was killed; the kernel does this when memory runs out")
    if -ended.code in NOT_ITS_FAULT:
        raise OSError(f"the proof was ended from outside ({signal.Signals(-ended.code).name})")
    if ended.code < 0:
        return f"proof: the model crashed its runtime ({signal.Signals(-ended.code).name})"
    if ended.code > 0:
        raise OSError(ended.last_line() or f"exit code {ended.code}")
    try:
        # The last line: a runtime, or the system's Python, may print lines of its own before.
        judgement = json.loads(ended.out.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise OSError(f"the proof gave no result, but {ended.out[-40:]!r}") from error
    return "" if judgement["healthy"] else str(judgement["reason"])


def _import_runtime() -> tuple[str, Any]:
    """Returns (distribution, module) of the first runtime that can be imported. Raises
    ProofError."""
    problems = []
    for name in RUNTIMES:
        try:
            return name, importlib.import_module(name.replace("-", "_") + ".interpreter")
        except ImportError as error:
            problems.append(str(error))
    raise ProofError(f"no TFLite runtime: pip install 'modelwave[tflite]' ({'; '.join(problems)})")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _numpy() -> Any:
    return importlib.import_module("numpy")  # both runtimes depend on it


def _only(details: list[Any], what: str) -> Any:
    if len(details) != 1:
        raise ProofError(
            f"the model has {len(details)} {what} tensors; this agent runs models with one"
        )
    return details[0]


def available_bytes() -> int:
    """Returns the memory that Linux can provide without swapping (proc(5), MemAvailable)."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0
