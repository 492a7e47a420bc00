"""The labels that a golden set is made with, from a person's file."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy

from modelwave_agent.host.golden import given
from modelwave_agent.host.golden.archive import CLASSES, Array, Stacked
from modelwave_shared.golden import GoldenError

MAX_LABELS_BYTES = 1 << 20


def read(file: str, outputs: Sequence[str], records: int) -> dict[str, Array]:
    """Returns {output: its labels}, {} if no file was given. Raises GoldenError and OSError."""
    if not file:
        return {}
    path = Path(file)
    if path.suffix == ".npz":
        found = _of_npz(path, outputs)
    elif len(outputs) == 1:
        found = {outputs[0]: _label_list(path)}
    else:
        raise GoldenError(
            f"--labels: the model has {len(outputs)} outputs; save an .npz with the labels by the "
            f"output's name: {', '.join(outputs[:8])}"
        )
    for labels in found.values():
        if len(labels) != records:
            raise GoldenError(
                f"--labels: {len(labels)} labels, and {records} records; give one for each record"
            )
    return found


def _of_npz(path: Path, outputs: Sequence[str]) -> dict[str, Array]:
    with given.open_npz(str(path), "--labels") as archive:
        named = {name: name.removeprefix(CLASSES) for name in archive.arrays}
        chosen = {name: output for name, output in named.items() if output in outputs}
        if not chosen:
            raise GoldenError(
                f"--labels: no array of an output: it has {', '.join(named)[:200]}, and the "
                f"outputs are {', '.join(outputs[:8])}"
            )
        for name in chosen:
            _require_one(archive.arrays[name])
        rows = list(archive.rows())
    return {
        out: numpy.array([int(row[name].item()) for row in rows]) for name, out in chosen.items()
    }


def _require_one(stacked: Stacked) -> None:
    """Raises GoldenError unless each record of an array is one whole number."""
    if stacked.dtype.kind not in "ui":
        raise GoldenError(
            f"--labels: {stacked.name}: {stacked.dtype.name}; labels are whole numbers"
        )
    if math.prod(stacked.shape) != 1:
        raise GoldenError(
            f"--labels: {stacked.name}: records of the shape {list(stacked.shape)}; a label is one "
            "number, the place of the right class"
        )


def _label_list(path: Path) -> Array:
    """Reads an .npy of integers, or a text with an integer on each line."""
    if path.suffix == ".npy":
        labels = given.read_npy(str(path), "--labels").reshape(-1)
    else:
        text = path.read_bytes()[:MAX_LABELS_BYTES].decode("utf-8", "replace").split()
        if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in text):
            raise GoldenError(f"--labels: {path}: give a whole number on each line, or an .npy")
        labels = numpy.array([int(word) for word in text])
    if labels.dtype.kind not in "ui":
        raise GoldenError(f"--labels: {path}: {labels.dtype}; labels are whole numbers")
    return labels
