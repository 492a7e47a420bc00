"""The delta of a fine-tuned model beside bsdiff4, detools and zstd --patch-from.

The model is the example's largest, 47,632 bytes of int8. It is trained on the first pictures and
then fine-tuned on the others, by plain steps of the same gradient, which takes seconds. A row is
the size of the delta of kind 1, which boards apply, over that of the best of the others; in the
long form for other ways to fine-tune too. detools is tried with each of its compressions. It is
not among modelwave's packages (`pip install detools`), and zstd is a program: a row says which
were there.
"""

import contextlib
import copy
import importlib
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.scale.row import Row

from modelwave_controller.releases import delta_making
from modelwave_shared.deltas import BSDIFF, SUBTRACTED

EXAMPLE = Path(__file__).parents[2] / "examples/digits"
HIDDEN, EPOCHS, FIRST = (192, 160), 40, 1000
COMPRESSIONS = ("lzma", "bz2", "heatshrink", "crle", "lz4", "zstd")


def rows(long: bool) -> Iterator[Row]:
    sys.path.insert(0, str(EXAMPLE))
    try:
        examples = _Examples()
    finally:
        sys.path.remove(str(EXAMPLE))
    ways = {"all layers": examples.tuned(5, 0.01, None)}
    if long:
        ways["last layer"] = examples.tuned(5, 0.01, len(HIDDEN))
        ways["all layers, longer"] = examples.tuned(10, 0.05, None)
    for what, new in ways.items():
        ours = delta_making.deltas(examples.old, new)
        others = dict(_others(examples.old, new, ours[BSDIFF]))
        best = min(others, key=lambda name: others[name])
        told = ", ".join(f"{name} {size:,}" for name, size in sorted(others.items()))
        changed = sum(one != other for one, other in zip(examples.old, new, strict=True))
        yield Row(
            f"delta of a fine-tuned model for boards, {what}, / the best other",
            len(ours[SUBTRACTED]) / others[best],
            1.1,
            "×",
            f"{len(ours[SUBTRACTED]):,} of {len(new):,} bytes, {changed:,} changed; {told}",
        )


def _others(old: bytes, new: bytes, bsdiff: bytes) -> Iterator[tuple[str, int]]:
    yield "bsdiff4", len(bsdiff)
    with contextlib.suppress(ImportError):
        detools: Any = importlib.import_module("detools")
        for compression in COMPRESSIONS:
            made = io.BytesIO()
            detools.create_patch(io.BytesIO(old), io.BytesIO(new), made, compression=compression)
            yield f"detools {compression}", len(made.getvalue())
    if zstd := shutil.which("zstd"):
        with tempfile.TemporaryDirectory() as name:
            places = [Path(name) / one for one in ("old", "new", "made")]
            places[0].write_bytes(old)
            places[1].write_bytes(new)
            command = [zstd, "-q", "--ultra", "-22", f"--patch-from={places[0]}"]
            subprocess.run(
                [*command, str(places[1]), "-o", str(places[2])], check=True, capture_output=True
            )
            yield "zstd --patch-from", places[2].stat().st_size


class _Examples:
    """The example's network, as its folder's modules make it."""

    def __init__(self) -> None:
        self._network: Any = importlib.import_module("network")
        self._recipes: Any = importlib.import_module("train")
        self._file: Any = importlib.import_module("int8_tflite")
        pictures, _, _ = self._recipes.split()
        self._inputs = pictures.pixels * self._recipes.PIXEL.scale
        self._labels = pictures.labels
        classes = self._recipes.CLASSES
        self._wanted = np.eye(classes)[self._labels]
        first = self._inputs[:FIRST], self._labels[:FIRST]
        random = np.random.RandomState(1)
        self._layers = self._network.train(*first, HIDDEN, classes, EPOCHS, random)
        self.old = self._built(self._layers)

    def tuned(self, epochs: int, rate: float, only: int | None) -> bytes:
        """The model after steps on the other pictures; `only`: the number of the layer that
        changes."""
        layers, random = copy.deepcopy(self._layers), np.random.RandomState(2)
        inputs, wanted = self._inputs[FIRST:], self._wanted[FIRST:]
        for _ in range(epochs):
            order = random.permutation(len(inputs))
            for start in range(0, len(order), self._network.BATCH):
                batch = order[start : start + self._network.BATCH]
                gradients = self._network._gradients(layers, inputs[batch], wanted[batch])
                for number, (layer, gradient) in enumerate(zip(layers, gradients, strict=True)):
                    if only in (None, number):
                        for values, slope in zip(
                            (layer.weights, layer.bias), gradient, strict=True
                        ):
                            values -= rate * slope
        return self._built(layers)

    def _built(self, layers: Any) -> bytes:
        made: bytes = self._file.build(
            layers, self._inputs, self._recipes.PIXEL, "modelwave example: digits v4"
        )
        return made
