"""Runs a model on the inputs of a golden set, in one configuration of one runtime."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy

from modelwave_agent.host.golden import children, given, judges, writing
from modelwave_agent.host.golden.archive import EXPECTED, INPUTS, Array
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_shared.golden import GoldenError

EVERY = 16  # records between two lines of progress


def run(runtime: HostRuntime, inputs: str, random: int, seed: int, out: Path) -> dict[str, Any]:
    """Runs all records, and writes inputs and outputs to `out`. Returns what was run. Raises
    GoldenError, ProofError and OSError."""
    if random:
        stacked = given.random(runtime.inputs, random, seed)
    else:
        stacked = given.read(inputs, runtime.inputs)
    records = given.checked(stacked)
    outputs: dict[str, list[Array]] = {spec.name: [] for spec in runtime.outputs}
    began = time.monotonic()
    for index, row in enumerate(given.rows(stacked, records)):
        if index % EVERY == 0:
            children.say(f"{runtime.configuration} {runtime.version}: record {index} of {records}")
        for name, array in runtime.run({n: _input(a) for n, a in row.items()}).items():
            outputs[name].append(_trimmed(array))
    took = time.monotonic() - began
    arrays = {INPUTS + name: array for name, array in stacked.items()}
    arrays |= {EXPECTED + name: _stacked(name, found) for name, found in outputs.items()}
    writing.write(out, arrays)
    return {
        "configuration": runtime.configuration,
        "runtime": runtime.name,
        "version": runtime.version,
        "records": records,
        "seconds": round(took, 3),
        "inputs": [asdict(spec) for spec in runtime.inputs],
        "outputs": [asdict(spec) for spec in runtime.outputs],
    }


def _input(array: Array) -> Array:
    return judges.texts(array) if array.dtype.kind in judges.TEXTS else array


def _trimmed(array: Array) -> Array:
    """Returns one record's output without its first dimension of 1, which counts records."""
    array = judges.texts(array) if array.dtype.kind in judges.TEXTS else array
    return array[0] if array.shape[:1] == (1,) else array


def _stacked(name: str, found: list[Array]) -> Array:
    shapes = {array.shape for array in found}
    if len(shapes) > 1:
        raise GoldenError(
            f"output {name}: its shape differs from record to record ({len(shapes)} shapes); a "
            "golden set needs one: take inputs that give outputs of one shape"
        )
    stacked = numpy.stack(found)
    if stacked[0].size == 0:
        raise GoldenError(f"output {name}: it is empty (shape {list(found[0].shape)})")
    return stacked


def specs_of(run_: Mapping[str, Any], what: str) -> dict[str, dict[str, Any]]:
    """Returns {name: spec} of a run's inputs or outputs."""
    return {spec["name"]: spec for spec in run_[what]}
