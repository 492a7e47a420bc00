"""Measures what `agent.run` adds to an inference with the runtime alone, for docs/agent.md.

    python -m benchmarks.serving [--runs 3000] [--layers 0,1,6,16] [--threads 1] [--share 0.5]
        [FILE.tflite …]

Each model is a network of float convolutions, or a file with one input and one output, which an
agent without a broker serves. Blocks of runs with the bare interpreter and with the agent take
turns, so that both see the same machine. A figure is the median of all runs; the mean also has what
the agent's thread takes now and then. `--share 0.01` takes the time that one run in a hundred stays
below in place of the median: on a machine that has other work, those had the processor alone. The
columns with XNNPACK compare it, as a manifest may allow it, with the runtime's own kernels."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from tests.agent.confirmed import MODEL, serving
from tests.fit.writer import Graph, write

from modelwave_agent.host.runtimes.litert import LiteRT
from modelwave_agent.host.runtimes.port import RuntimeSettings

SHAPE = (1, 32, 32, 16)
BLOCK = 25  # runs of one kind that follow each other
COLUMNS = (
    "µs alone",
    "`run` on an array",
    "ratio",
    "of means",
    "on bytes",
    "ratio",
    "µs with XNNPACK",
    "ratio to without",
)
XNNPACK = {"delegates": ["xnnpack"]}
Call = Callable[[], object]


class Times(NamedTuple):
    """Microseconds of many runs of one kind: what the share of them that was asked for stays below,
    and the mean."""

    usual: float
    mean: float


@dataclass(frozen=True)
class Cost:
    """An inference with the runtime alone, with the agent on an array and on bytes, and with the
    agent on an array where XNNPACK computes."""

    bare: Times
    array: Times
    data: Times
    delegate: Times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3000, help="of each kind")
    parser.add_argument("--layers", default="0,1,6,16", help="of the network")
    parser.add_argument("--threads", type=int, default=1, help="of the runtime")
    parser.add_argument("--share", type=float, default=0.5, help="of the runs; 0.5 for the median")
    parser.add_argument("files", nargs="*", type=Path, help="in place of the networks")
    options = parser.parse_args()
    models = [file.read_bytes() for file in options.files]
    models = models or [network(int(layers)) for layers in options.layers.split(",")]
    print(f"| {' | '.join(COLUMNS)} |")
    print("|" + " ---: |" * len(COLUMNS))
    for model in models:
        settings = RuntimeSettings(threads=options.threads)
        found = measured(model, options.runs, settings, options.share)
        print(row(found), flush=True)
    return 0


def row(cost: Cost) -> str:
    def against(value: Times) -> list[str]:
        added, ratio = value.usual - cost.bare.usual, value.usual / cost.bare.usual
        return [f"{added:+.0f}", f"{ratio:.3f}", f"{value.mean / cost.bare.mean:.3f}"]

    cells = [f"{cost.bare.usual:.0f}", *against(cost.array), *against(cost.data)[:2]]
    faster = cost.delegate.usual / cost.array.usual
    return f"| {' | '.join([*cells, f'{cost.delegate.usual:.0f}', f'{faster:.2f}'])} |"


def measured(model: bytes, runs: int, settings: RuntimeSettings, share: float) -> Cost:
    """Runs the model `runs` times in each way."""
    lines = ["[runtime]", f"threads = {settings.threads}"]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "own", model, lines=lines) as agent,
        serving(Path(folder) / "xnnpack", model, XNNPACK, lines) as faster,
    ):
        runtime = LiteRT(settings)
        runtime.load(agent.live(MODEL).path)
        given = random_input(runtime)
        data = given.tobytes()
        calls: list[Call] = [
            bare_call(runtime, given),
            lambda: agent.run(MODEL, given),
            lambda: agent.run(MODEL, data),
            lambda: faster.run(MODEL, given),
        ]
        return Cost(*alternating(calls, runs, share))


def random_input(runtime: LiteRT) -> Any:
    (spec,) = runtime.inputs
    return numpy.random.default_rng(1).uniform(-1, 1, spec.shape).astype(spec.dtype)


def bare_call(runtime: LiteRT, given: Any) -> Call:
    """An inference as a program without an agent does it, on the same interpreter."""
    interpreter = runtime._interpreter
    (taken,), (made,) = runtime._given.values(), runtime._results.values()

    def call() -> object:
        interpreter.set_tensor(taken, given)
        interpreter.invoke()
        return interpreter.get_tensor(made)

    return call


def alternating(calls: list[Call], runs: int, share: float) -> list[Times]:
    """Returns the times of each call."""
    seen: list[list[int]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(-(-runs // BLOCK)):
        for call, times in zip(calls, seen, strict=True):
            for _ in range(BLOCK):
                begun = time.perf_counter_ns()
                call()
                times.append(time.perf_counter_ns() - begun)
    return [
        Times(sorted(one)[int(len(one) * share)] / 1000, statistics.fmean(one) / 1000)
        for one in seen
    ]


def network(layers: int) -> bytes:
    """A model of floats: so many convolutions of 3 × 3, the last one followed by a RELU."""
    graph = Graph()
    weights = numpy.random.default_rng(2).standard_normal((SHAPE[-1], 3, 3, SHAPE[-1])) / 10
    options = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    last = given = graph.tensor(SHAPE, "FLOAT32")
    for _ in range(layers):
        bias = graph.constant([0.0] * SHAPE[-1], "FLOAT32")
        following = graph.tensor(SHAPE, "FLOAT32")
        parts = [last, graph.constant(weights, "FLOAT32"), bias]
        graph.op("CONV_2D", parts, [following], "Conv2D", **options)
        last = following
    made = graph.tensor(SHAPE, "FLOAT32")
    graph.op("RELU", [last], [made])
    graph.inputs, graph.outputs = [given], [made]
    return write(graph)


if __name__ == "__main__":
    sys.exit(main())
