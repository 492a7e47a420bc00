"""Prints the picture of a model's arena: python -m modelwave_controller.models.drawn FILE PROFILE
NAME. The service runs it in a process of its own (releases/arenas.py). If there is no picture, the
last line of stderr says why, and the exit code is 1.
"""

import resource
import sys
from pathlib import Path

from modelwave_controller.errors import OperatorError
from modelwave_controller.models import plot
from modelwave_controller.models.inspection import Inspection

MAX_MEMORY_BYTES = 1 << 30
MAX_SECONDS = 15  # of the processor


def main(file: str, profile: str, name: str) -> str:
    """Returns the picture. Raises OperatorError or ValueError, which says why there is none."""
    fit = Inspection(name, Path(file).read_bytes()).fit(profile)
    if fit.need is None:
        raise OperatorError(fit.refused or fit.unknown or "")
    return plot.draw(fit, name)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    try:
        sys.stdout.write(main(*sys.argv[1:]))
    except (OperatorError, ValueError, MemoryError) as error:
        sys.exit(f"{str(error) or 'out of memory'}")
