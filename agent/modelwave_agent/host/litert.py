"""TFLite models on a host: tflite-runtime, or ai-edge-litert, which follows it.

Whichever imports is taken. Its default delegates stay off: with XNNPACK the same int8
model was up to 14 steps off between the two, and a golden set would mean less. What
proves a model and what serves it are this one class, so they compute the same.
"""

import asyncio
import ctypes
import importlib
import json
import signal
import sys
from importlib import metadata
from typing import Any

from modelwave_agent.ports import ProofError, Runtime

RUNTIMES = ("tflite-runtime", "ai-edge-litert")  # distributions, the older first
ACCELERATORS = ("", "edgetpu")
EDGETPU_LIBRARY = "libedgetpu.so.1"
PROOF_SECONDS = 60
AGAIN_SECONDS = 1

# What ends a proof from outside: a person or the system, never the model.
_NOT_ITS_FAULT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class LiteRT(Runtime):
    """One model at a time, with one input and one output tensor.

        runtime = LiteRT()
        runtime.load("digits.tflite")
        scores = runtime.run(picture)   # bytes in, bytes out, little-endian

    An Edge TPU is one process's at a time (libedgetpu): a program that keeps it open makes
    every proof fail.
    """

    format = "tflite"

    def __init__(
        self, accelerator: str = "", ram_bytes: int = 0, proof_seconds: float = PROOF_SECONDS
    ) -> None:
        """`ram_bytes`: the most a model may have, 0 for what is free. Raises ProofError where
        the runtime or the accelerator's library is not installed."""
        self.name, self._tflite = _import_runtime()
        self.version = metadata.version(self.name)
        if accelerator:
            _find_library(EDGETPU_LIBRARY)
        self.accelerator = accelerator
        self.ram_bytes = ram_bytes
        self.proof_seconds = proof_seconds
        self._interpreter: Any = None
        self._given: Any = None
        self._result: Any = None

    def load(self, path: str) -> None:
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
        """`data`: the input tensor's bytes, exactly as many as it has. ProofError."""
        if self._interpreter is None:
            raise ProofError("no model is loaded")
        shape, dtype = self._given["shape"], self._given["dtype"]
        wanted = int(shape.prod()) * dtype().itemsize
        if len(data) != wanted:
            raise ProofError(f"the model takes {wanted} bytes, these are {len(data)}")
        try:
            # A string tensor has no fixed size; numpy refuses to make one from bytes.
            tensor = _numpy().frombuffer(data, dtype).reshape(shape)
            self._interpreter.set_tensor(self._given["index"], tensor)
            self._interpreter.invoke()
            result: bytes = self._interpreter.get_tensor(self._result["index"]).tobytes()
        except (ValueError, RuntimeError) as error:
            raise ProofError(f"the model cannot be run: {_line(error)}") from error
        return result

    def unload(self) -> None:
        self._interpreter = self._given = self._result = None

    def free_ram(self) -> int:
        free = _available_bytes()
        return min(free, self.ram_bytes) if self.ram_bytes else free

    async def prove(
        self, model_path: str, golden_path: str, tolerance: Any, breathe: object = None
    ) -> str:
        """Runs the golden set in a process of its own (prove.py), so that a model that
        crashes or hangs its runtime is only unhealthy."""
        command = (sys.executable, "-P", "-m", "modelwave_agent.host.prove")
        options = {
            "--model": model_path,
            "--golden": golden_path,
            "--tolerance": json.dumps(tolerance),
            "--accelerator": self.accelerator,
            "--seconds": str(self.proof_seconds),
        }
        arguments = [text for pair in options.items() for text in pair]
        try:
            async with asyncio.timeout(self.proof_seconds):
                while True:
                    try:
                        code, out, err = await _run((*command, *arguments))
                    except OSError:  # no process to be had now
                        await asyncio.sleep(AGAIN_SECONDS)
                        continue
                    if -code not in _NOT_ITS_FAULT:
                        return _verdict(code, out, err)
        except TimeoutError:
            return f"proof: no verdict within {self.proof_seconds:g} seconds"

    def _delegates(self) -> list[Any] | None:
        if not self.accelerator:
            return None
        return [self._tflite.load_delegate(EDGETPU_LIBRARY)]


async def _run(command: tuple[str, ...]) -> tuple[int, bytes, bytes]:
    """(exit code, or minus the signal; stdout; stderr). Killed when cancelled. A session of
    its own keeps a terminal's Ctrl-C from it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out, err


def _verdict(code: int, out: bytes, err: bytes) -> str:
    if code < 0:
        return f"proof: the model crashed its runtime ({signal.Signals(-code).name})"
    if code > 0:
        lines = err.decode(errors="replace").split("\n")
        said = [line for line in lines if line.strip()] or [f"exit code {code}"]
        return f"proof: could not be made: {said[-1]}"
    judgement = json.loads(out)
    return "" if judgement["healthy"] else str(judgement["reason"])


def _import_runtime() -> tuple[str, Any]:
    """(distribution, module) of the first runtime that imports."""
    problems = []
    for name in RUNTIMES:
        try:
            return name, importlib.import_module(name.replace("-", "_") + ".interpreter")
        except ImportError as error:
            problems.append(str(error))
    raise ProofError(f"no TFLite runtime: pip install 'modelwave[tflite]' ({'; '.join(problems)})")


def _find_library(name: str) -> None:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        raise ProofError(f"the accelerator's library is not installed: {error}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _numpy() -> Any:
    return importlib.import_module("numpy")  # comes with either runtime


def _only(details: list[Any], what: str) -> Any:
    if len(details) != 1:
        raise ProofError(f"the model has {len(details)} {what} tensors, this agent runs one")
    return details[0]


def _available_bytes() -> int:
    """What Linux can give without swapping (proc(5), MemAvailable)."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0
