"""The labels that a golden set is made with, from a person's file."""

from collections.abc import Sequence
from pathlib import Path

import numpy

from modelwave_agent.host.golden import given
from modelwave_agent.host.golden.archive import CLASSES, Archive, Array
from modelwave_shared.golden import GoldenError

MAX_LABELS_BYTES = 1 << 20


def read(file: str, outputs: Sequence[str], records: int) -> dict[str, Array]:
    """Returns {output: its labels}, {} if no file was given. Raises GoldenError and OSError."""
    if not file:
        return {}
    path = Path(file)
    if path.suffix == ".npz":
        with Archive(str(path)) as archive:
            rows = list(archive.rows())
        found = {
            name.removeprefix(CLASSES): numpy.array([int(row[name]) for row in rows])
            for name in archive.arrays
            if name.removeprefix(CLASSES) in outputs
        }
    elif len(outputs) == 1:
        found = {outputs[0]: _label_list(path)}
    else:
        raise GoldenError(
            f"--labels: the model has {len(outputs)} outputs; save an .npz with the labels by the "
            f"output's name: {', '.join(outputs[:8])}"
        )
    if not found:
        raise GoldenError(f"--labels: no array of an output: {', '.join(outputs[:8])}")
    for labels in found.values():
        if len(labels) != records:
            raise GoldenError(f"--labels: {len(labels)} labels, and {records} records")
    return found


def _label_list(path: Path) -> Array:
    """Reads an .npy of integers, or a text with an integer on each line."""
    if path.suffix == ".npy":
        labels = given.read_npy(str(path)).reshape(-1)
    else:
        text = path.read_bytes()[:MAX_LABELS_BYTES].decode("utf-8", "replace").split()
        if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in text):
            raise GoldenError(f"--labels: {path}: give a whole number on each line, or an .npy")
        labels = numpy.array([int(word) for word in text])
    if labels.dtype.kind not in "ui":
        raise GoldenError(f"--labels: {path}: {labels.dtype}; labels are whole numbers")
    return labels
