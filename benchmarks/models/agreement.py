"""Compares what an agent answered with what the runtime alone computed."""

from pathlib import Path

import numpy as np
from benchmarks.models.columns import YES

OUTPUTS = "outputs/"
MOST_STEPS = 16  # of integer outputs
MOST_OFF = 0.01  # of float outputs, as a share of the largest expected one


def agreement(answers: Path, expected: Path) -> str:
    """Returns "yes", or which output is off by how much. Outputs are compared in the model's
    order, as a runtime may name them in its own way."""
    with np.load(answers) as found, np.load(expected) as wanted:
        names = [name for name in wanted.files if name.startswith(OUTPUTS)]
        if len(names) != len(found.files):
            return f"{len(found.files)} outputs in place of {len(names)}"
        for name, other in zip(names, found.files, strict=True):
            said = _off(found[other], wanted[name])
            if said:
                return f"{name.removeprefix(OUTPUTS)}: {said}"
    return YES


def _off(found: "np.ndarray", wanted: "np.ndarray") -> str:
    if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
        return f"{found.dtype} {found.shape} in place of {wanted.dtype} {wanted.shape}"
    worst = float(np.max(np.abs(found.astype("f8") - wanted.astype("f8")), initial=0))
    if found.dtype.kind != "f":
        return f"off by {worst:g} steps" if worst > MOST_STEPS else ""
    most = MOST_OFF * float(np.max(np.abs(wanted), initial=0))
    return "" if worst <= most else f"off by {worst:g}, and {most:g} is allowed"
