"""The process that fuzzes one target, which command.py starts:

python -m tests.fuzz.child TARGET [libFuzzer's options and folders]
"""

import sys
from collections.abc import Callable
from random import Random

import atheris

from tests.fuzz.shapes import SHAPES
from tests.fuzz.targets import TARGETS

PRODUCT = ["modelwave_shared", "modelwave_agent", "modelwave_controller"]
SHAPED = 0.5  # of the changes keep the shape


def main() -> None:
    target = TARGETS[sys.argv[1]]
    with atheris.instrument_imports(include=PRODUCT, exclude=list(target.unfollowed)):
        run = target.run

    def once(data: bytes) -> None:
        run(data)

    mutator = {"custom_mutator": _shaped(target.shape)} if target.shape else {}
    atheris.Setup(sys.argv[1:], once, **mutator)
    atheris.Fuzz()


def _shaped(shape: str) -> Callable[[bytes, int, int], bytes]:
    change = SHAPES[shape]

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        draw = Random(seed)
        found = change(data, longest, draw) if draw.random() < SHAPED else None
        other: bytes = atheris.Mutate(data, longest) if found is None else found
        return other

    return mutate


if __name__ == "__main__":
    main()
