"""Measures the memory by which a serving process grows with a model, in a process of its own, for
the controller's `release create` and `model inspect`.

    python -m modelwave_agent.host.measure --model F --format tflite --loading JSON --settings JSON
        --seconds N --memory BYTES --golden FILE

The process has loaded Python, numpy and the runtime, and has run another model, the smallest that
there is, as a program has that gets an update. Then it loads the model and runs it RUNS times on
inputs that are drawn at random, or if it fails on these, on the golden set's first ones. The figure
is its highest resident size after that (with the pages of files, such as the mapped model and the
runtime's code) less its resident size before.

Prints one JSON line {"ram", "reason", "runtime", "version"} and exits with 0: `ram` in bytes, or 0
with the `reason` if the model cannot be loaded or run. Exits with 1 and a line on stderr if it
cannot be measured here (no runtime, an unreadable file), and with 2 for wrong arguments. A model
may also crash it, and its alarm ends it after N seconds.
"""

import argparse
import base64
import contextlib
import ctypes
import gc
import json
import resource
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from modelwave_agent.host.expendable import be_expendable
from modelwave_agent.host.golden.sets import GoldenSet, inputs_of
from modelwave_agent.host.memory import available_bytes, bytes_of
from modelwave_agent.host.prove import printable
from modelwave_agent.host.runtime_options import add_runtime_options
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_agent.host.runtimes.specs import OPEN, TensorSpec
from modelwave_agent.ports import ProofError
from modelwave_shared.golden import GoldenError
from modelwave_shared.words import ONNX, TFLITE

RUNS = 5
SECONDS = 60
MAX_REASON = 1000  # characters
SEED = 1

# The smallest model of a format: one Relu. Other formats have none, so the figure has the memory
# that their runtime takes for its first model of all.
SMALLEST = {
    TFLITE: """
GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAABAAAAAGAAAAAMAAAABAAAACAAAAAQABAAEAAAAAQAAABAAAAAMAAwACwAA
AAAABAAMAAAAEwAAAAAAABMAAAAAAQAAABAAAAAMABQAEAAMAAgABAAMAAAAIAAAAAwAAAAQAAAARAAAAAEAAAABAAAAAQAAAAAA
AAABAAAAEAAAAAAACgAMAAAACAAEAAoAAAAIAAAADAAAAAEAAAABAAAAAQAAAAAAAAACAAAANAAAAAQAAADg////EAAAAAQAAAAB
AAAAAQAAAAcAAAB0ZW5zb3IxAAwADAAIAAAAAAAEAAwAAAAQAAAABAAAAAEAAAABAAAABwAAAHRlbnNvcjAA""",
    ONNX: """
CAcSADozCgwKAXgSAXkiBFJlbHUSAWdaDwoBeBIKCggIARIECgIIAWIPCgF5EgoKCAgBEgQKAggBQgQKABAN""",
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    be_expendable()
    resource.setrlimit(resource.RLIMIT_DATA, (options.memory, options.memory))
    signal.setitimer(signal.ITIMER_REAL, options.seconds)  # also if its parent was killed
    try:
        with open(options.model, "rb"):
            pass  # the runtime's own error is the same for a missing file and a bad one
        runtime = registry.make(options.format, options.settings)
        warm_up(runtime, options.format)
    except (ProofError, OSError, MemoryError) as error:
        print(f"measure: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    ram, reason = _measured(runtime, options)
    found = {
        "ram": ram,
        "reason": printable(reason[:MAX_REASON]),
        "runtime": runtime.name,
        "version": runtime.version,
    }
    print(json.dumps(found))
    return 0


def _measured(runtime: HostRuntime, options: argparse.Namespace) -> tuple[int, str]:
    """Returns (bytes, "") or (0, the reason)."""
    try:
        return grown(runtime, options.model, options.loading, options.golden), ""
    except ProofError as error:
        return 0, str(error)
    except MemoryError:
        return 0, f"the model needs more than the {options.memory:,} bytes that are free here"


def grown(runtime: HostRuntime, path: str, loading: Mapping[str, Any], golden: str = "") -> int:
    """Returns the bytes by which this process grows. Raises ProofError or MemoryError."""
    _give_back()
    before = resident("Rss")
    _forget_peak()
    runtime.load(path, loading)
    try:
        _run(runtime, drawn(runtime.inputs))
    except ProofError:  # such as for a sample rate that does not exist
        if not golden:
            raise
        _run(runtime, recorded(runtime, golden))
    return max(peak(), resident("Rss")) - before


def _run(runtime: HostRuntime, inputs: Mapping[str, Any]) -> None:
    for _ in range(RUNS):
        runtime.run(inputs)


def recorded(runtime: HostRuntime, golden: str) -> Mapping[str, Any]:
    """Returns the golden set's first inputs. Raises ProofError if it is none for this model."""
    try:
        with GoldenSet(golden) as opened:
            opened.bind(runtime)
            return inputs_of(next(opened.rows()), runtime.inputs)
    except (GoldenError, OSError) as error:
        raise ProofError(str(error)) from error


def warm_up(runtime: HostRuntime, format_: str) -> None:
    """Loads and runs the smallest model, and unloads it."""
    if format_ not in SMALLEST:
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(base64.b64decode(SMALLEST[format_]))
        file.flush()
        runtime.load(file.name)
        runtime.run(drawn(runtime.inputs))
        runtime.unload()


def drawn(specs: Sequence[TensorSpec]) -> dict[str, Any]:
    """Returns inputs at random, the same ones in each process: floats from 0 to 1, integers 0 and
    1, as other numbers of words or places may not exist."""
    source = numpy.random.default_rng(SEED)
    found: dict[str, Any] = {}
    for spec in specs:
        shape = [1 if size == OPEN else size for size in spec.shape]
        kind = numpy.dtype(spec.dtype)
        if kind.kind == "S":
            found[spec.name] = numpy.full(shape, b"a", dtype=object)
        elif kind.kind == "f":
            found[spec.name] = source.random(shape, dtype=numpy.float32).astype(kind)
        else:
            found[spec.name] = source.integers(0, 2, shape).astype(kind)
    return found


def _give_back() -> None:
    """Returns what is free in this process to the system, so that the model does not take its
    memory from there."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def _forget_peak() -> None:
    """Makes the present size the highest one. Where that is not allowed, the figure is too high."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak() -> int:
    """Returns the highest resident size of this process, in bytes (proc(5), VmHWM)."""
    return bytes_of("/proc/self/status", "VmHWM:")


def resident(kind: str) -> int:
    """Returns the resident size of this process in bytes, "Rss" or "Pss", counted page by page."""
    return bytes_of("/proc/self/smaps_rollup", f"{kind}:")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="measure", description="Measure a model's memory.")
    parser.add_argument("--model", required=True, metavar="FILE")
    add_runtime_options(parser)
    parser.add_argument("--golden", default="", metavar="FILE", help="the model's golden set")
    parser.add_argument("--seconds", default=SECONDS, type=float, help="time limit")
    parser.add_argument(
        "--memory", default=available_bytes(), type=int, metavar="BYTES", help="limit of its data"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
