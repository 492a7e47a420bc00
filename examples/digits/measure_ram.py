"""Measure the arena that each model needs in TensorFlow Lite for Microcontrollers.

    pip install tflite_micro 'numpy<2'
    python examples/digits/measure_ram.py

By bisection: the smallest arena with which the interpreter can allocate its tensors, on
this machine (64 bits, reference kernels). Every arena that is too small makes the
interpreter complain on stderr. Exits with 1 where models.json says less.
"""

import json
import sys
from pathlib import Path

try:
    from tflite_micro import runtime
except ImportError as error:
    sys.exit(f"measure_ram.py: {error}. It needs: pip install tflite_micro 'numpy<2'")

MODELS = Path(__file__).parent / "models"
ALIGNMENT = 16  # of what the interpreter puts into its arena
ENOUGH_BYTES = 65536


def least_arena(model: bytes) -> int:
    """Bytes, a multiple of ALIGNMENT."""
    too_small, enough = 0, ENOUGH_BYTES // ALIGNMENT
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        if allocates(model, middle * ALIGNMENT):
            enough = middle
        else:
            too_small = middle
    return enough * ALIGNMENT


def allocates(model: bytes, arena_bytes: int) -> bool:
    try:
        runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    except RuntimeError:
        return False
    return True


def main() -> int:
    short = False
    for version in json.loads((MODELS / "models.json").read_text(encoding="utf-8"))["versions"]:
        needed = least_arena((MODELS / version["file"]).read_bytes())
        short |= needed > version["ram_bytes"]
        print(f"{version['file']}: needs {needed}, models.json says {version['ram_bytes']}")
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
