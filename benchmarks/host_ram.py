"""Compares the RAM that `release create` writes into a host's release with the memory by which
serving processes grow, for the figures of docs/fit.md.

    python -m benchmarks.host_ram MODEL.tflite… [--python PROGRAM]…

A serving process of each Python has run the smallest model, loads this one, and runs it RUNS times
on inputs drawn by another seed; once for each number of threads. Prints a row a model: the figure,
the greatest growth, and the figure's excess; then the least and the median one. Ends with 1 if a
figure is below the growth. (A process that has run a model with the same operators grows less, by
up to 0.7 MB: their code is in memory already.)"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import measuring

RUNS = 30
THREADS = (0, 1, 8)
SERVING = """
import sys
from modelwave_agent.host import measure
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import RuntimeSettings
model, threads, runs = sys.argv[1:]
settings = RuntimeSettings(threads=int(threads))
measure.warm_up(registry.make("tflite", settings), "tflite")
had = measure.resident("Rss")
runtime = registry.make("tflite", settings)
runtime.load(model)
measure.SEED = 2
for _ in range(int(runs)):
    runtime.run(measure.drawn(runtime.inputs))
print(max(measure.peak(), measure.resident("Rss")) - had)
"""


def grown(python: str, model: Path, threads: int) -> int:
    """Returns the bytes by which a serving process grows."""
    arguments = [str(model), str(threads), str(RUNS)]
    with measuring.environment(python) as env:
        done = subprocess.run(
            [python, "-c", SERVING, *arguments], capture_output=True, check=True, env=env
        )
    return int(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description="The RAM of a release against that of serving.")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.tflite")
    parser.add_argument("--python", action="append", default=[], metavar="PROGRAM")
    options = parser.parse_args()
    excesses = []
    print("| model | needs.ram, MB | greatest growth, MB | excess |\n| --- | ---: | ---: | ---: |")
    for model in options.models:
        try:
            figure = measuring.measure(model, "tflite", {}, options.python)
        except OperatorError as refused:
            print(f"{model.name}: {refused}", file=sys.stderr)
            continue
        assert figure, "no runtime: pip install 'modelwave[tflite]'"
        pythons = (sys.executable, *options.python)
        growth = max(grown(python, model, threads) for python in pythons for threads in THREADS)
        excesses.append(figure.ram / growth - 1)
        megabytes = f"{figure.ram / 1e6:.2f} | {growth / 1e6:.2f}"
        print(f"| {model.stem} | {megabytes} | {excesses[-1]:.0%} |", flush=True)
    print(json.dumps({"models": len(excesses), "least": min(excesses), "greatest": max(excesses)}))
    print(f"\nmedian {statistics.median(excesses):.1%}")
    return 0 if min(excesses) >= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
