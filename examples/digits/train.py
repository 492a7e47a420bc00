"""Make the five digit classifiers of the example, with their golden sets and figures.

    pip install 'modelwave[digits]'
    python examples/digits/train.py

The same seed gives the same bytes. README.md says what each version is there for.
"""

import argparse
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import network
    import numpy as np
    import runtime
    from int8_tflite import Array, Quantised, build
    from sklearn.datasets import load_digits
except ImportError as error:
    sys.exit(
        f"train.py: {error}. Making the models anew needs scikit-learn and more: "
        "pip install 'modelwave[digits]'. The models themselves are in models/."
    )

from modelwave_shared import golden

SEED = 1
EPOCHS = 40
CLASSES = 10

# A pixel is 0…16, and a network is trained on sixteenths of it. The int8 input tensor
# holds the pixel as it is: one step is 1/16, and nothing is rounded.
PIXEL = Quantised(1 / 16, 0)
EIGHT_BIT_PIXEL = Quantised(1 / 255, 0)  # another camera's: v3's fault

HELD_OUT = 450  # pictures that the accuracy is measured on
GOLDEN_LABELS = 60  # pictures of the golden set of labels; seen by nothing else
GOLDEN_OUTPUTS = 32  # the first of these serve as golden inputs with outputs

LABELS_FILE = "digits-labels.golden"
# One step for tflite-runtime's softmax, whose table of powers may round otherwise on
# another processor; more for ai-edge-litert, whose XNNPACK kernels round otherwise here.
STEPS = {"kind": "outputs", "steps": {"tflite-runtime": 1, "ai-edge-litert": 8, "any": 8}}


@dataclass(frozen=True)
class Recipe:
    """One version: how its file is made, and the data about it for a device."""

    version: str
    training: str
    tolerance: dict[str, Any]
    ram_bytes: int  # measured: see measure_ram.py
    hidden: tuple[int, ...] = ()
    pictures: int | None = None  # trained on the first so many; None: on all
    pixel: Quantised = PIXEL
    missing: tuple[int, ...] = ()  # digits of which its author has no picture

    @property
    def model_file(self) -> str:
        return f"digits-{self.version}.tflite"

    @property
    def golden_file(self) -> str:
        return (
            LABELS_FILE if self.tolerance["kind"] == "labels" else f"digits-{self.version}.golden"
        )


RECIPES = (
    Recipe(
        version="v1",
        training="softmax regression on 80 pictures",
        tolerance={"kind": "labels", "least_ppm": 800_000},
        ram_bytes=1536,
        pictures=80,
    ),
    Recipe(
        version="v2",
        training="one hidden layer of 32 on all training pictures",
        tolerance=STEPS,
        ram_bytes=2048,
        hidden=(32,),
    ),
    Recipe(
        version="v3",
        training="the network of v2, in a file that takes a pixel's step for 1/255, not 1/16",
        tolerance={"kind": "labels", "least_ppm": 900_000},
        ram_bytes=2048,
        hidden=(32,),
        pixel=EIGHT_BIT_PIXEL,
    ),
    Recipe(
        version="v4",
        training="hidden layers of 192 and 160 on all training pictures",
        tolerance=STEPS,
        ram_bytes=2560,
        hidden=(192, 160),
    ),
    Recipe(
        version="v5",
        training="the network of v2, on an export of the data that lacks the digits 8 and 9",
        tolerance=STEPS,
        ram_bytes=2048,
        hidden=(32,),
        missing=(8, 9),
    ),
)


@dataclass(frozen=True)
class Pictures:
    """Pixels [n, 64] int8 in 0…16, as the models take them, and labels [n] uint8."""

    pixels: Array
    labels: Array

    def part(self, start: int, stop: int | None) -> "Pictures":
        return Pictures(self.pixels[start:stop], self.labels[start:stop])

    def without(self, digits: tuple[int, ...]) -> "Pictures":
        kept = ~np.isin(self.labels, digits)
        return Pictures(self.pixels[kept], self.labels[kept])


def split() -> tuple[Pictures, Pictures, Pictures]:
    """Returns (training, golden, held out) pictures: shuffled, and no picture is in two of them."""
    digits = load_digits()
    order = np.random.RandomState(SEED).permutation(len(digits.target))
    pictures = Pictures(digits.data[order].astype(np.int8), digits.target[order].astype(np.uint8))
    held_out = len(order) - HELD_OUT
    chosen = held_out - GOLDEN_LABELS
    return pictures.part(0, chosen), pictures.part(chosen, held_out), pictures.part(held_out, None)


def make_model(recipe: Recipe, training: Pictures) -> bytes:
    seen = training.part(0, recipe.pictures).without(recipe.missing)
    layers = network.train(
        seen.pixels * PIXEL.scale,
        seen.labels,
        recipe.hidden,
        CLASSES,
        EPOCHS,
        np.random.RandomState(SEED),
    )
    description = f"modelwave example: digits {recipe.version}"
    return build(layers, training.pixels * PIXEL.scale, recipe.pixel, description)


def make_golden(recipe: Recipe, model: bytes, pictures: Pictures) -> bytes:
    """Returns the golden file for the recipe's tolerance."""
    if recipe.tolerance["kind"] == "labels":
        inputs = [picture.tobytes() for picture in pictures.pixels]
        return golden.pack("l", "b", ("b", CLASSES), inputs, pictures.labels.tolist())
    chosen = pictures.without(recipe.missing).pixels[:GOLDEN_OUTPUTS]
    outputs = [output.tobytes() for output in runtime.run(model, chosen)]
    return golden.pack("o", "b", "b", [picture.tobytes() for picture in chosen], outputs)


def judged(recipe: Recipe, model: bytes, golden_set: bytes) -> str:
    """Runs the golden set as a device does; returns the empty text or what is wrong."""
    header = golden.Header(golden_set)
    judge = golden.Judge(header, recipe.tolerance, "tflite-runtime")
    records = np.frombuffer(golden_set, np.uint8, offset=golden.HEADER_BYTES).reshape(
        header.count, header.input_bytes + header.expected_bytes
    )
    inputs = records[:, : header.input_bytes].view(np.int8)
    for output, record in zip(runtime.run(model, inputs), records, strict=True):
        judge.add(output.tobytes(), record[header.input_bytes :].tobytes())
    return judge.verdict()


def right(model: bytes, pictures: Pictures) -> int:
    """Returns how many pictures the file classifies correctly, with this machine's TFLite."""
    return int((runtime.run(model, pictures.pixels).argmax(axis=1) == pictures.labels).sum())


def facts(recipe: Recipe, model: bytes, golden_set: bytes, held_out: Pictures) -> dict[str, Any]:
    """Returns the version's entry in models.json; its accuracy is what its author measures."""
    measured = held_out.without(recipe.missing)
    return {
        "version": recipe.version,
        "training": recipe.training,
        **described(recipe.model_file, model),
        "accuracy": {"right": right(model, measured), "total": len(measured.labels)},
        "golden": described(recipe.golden_file, golden_set),
        "tolerance": recipe.tolerance,
        "kernels": ["FULLY_CONNECTED", "SOFTMAX"],
        "ram_bytes": recipe.ram_bytes,
    }


def described(name: str, data: bytes) -> dict[str, Any]:
    return {"file": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def row(entry: dict[str, Any], verdict: str) -> str:
    accuracy = entry["accuracy"]
    share = accuracy["right"] / accuracy["total"]
    return (
        f"{entry['version']:<8}{entry['bytes']:>7}{entry['ram_bytes']:>7}"
        f"{accuracy['right']:>6}/{accuracy['total']} {share:7.2%}"
        f"  {entry['sha256'][:12]}  {verdict or 'passes'}"
    )


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    training, golden_pictures, held_out = split()
    entries, rows = [], []
    for number, recipe in enumerate(RECIPES, 1):
        started = time.monotonic()
        print(
            f"[{number}/{len(RECIPES)}] {recipe.version}: {recipe.training} … ", end="", flush=True
        )
        model = make_model(recipe, training)
        golden_set = make_golden(recipe, model, golden_pictures)
        (directory / recipe.model_file).write_bytes(model)
        (directory / recipe.golden_file).write_bytes(golden_set)
        entries.append(facts(recipe, model, golden_set, held_out))
        rows.append(row(entries[-1], judged(recipe, model, golden_set)))
        print(f"{time.monotonic() - started:.1f} s")
    np.savez_compressed(directory / "heldout.npz", inputs=held_out.pixels, labels=held_out.labels)
    document = {
        "model": "digits",
        "dataset": f"scikit-learn's digits (UCI, 8x8 pixels), {len(training.labels)} for training",
        "quantisation": "int8, one scale a tensor, after training",
        "heldout": {"file": "heldout.npz", "count": HELD_OUT},
        "versions": entries,
    }
    text = json.dumps(document, indent=2) + "\n"
    (directory / "models.json").write_text(text, encoding="utf-8")
    print(
        f"\n{'version':<8}{'bytes':>7}{'RAM':>7}{'held out, right':>18}  {'sha256':<12}  golden set"
    )
    print("\n".join(rows))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "directory",
        nargs="?",
        type=Path,
        default=Path(__file__).parent / "models",
        help="where the files go (default: models/ next to this script)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main(arguments().directory)
