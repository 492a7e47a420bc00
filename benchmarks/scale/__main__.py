"""`make scale`: measures how modelwave holds as a fleet grows, and prints a table of figures and
goals last. It ends with 1 if a goal is missed or a measurement failed; after Ctrl-C it prints the
rows that there are.

    python -m benchmarks.scale [NAME …] [--long]
    python -m benchmarks.scale --list
"""

import sys

from benchmarks.measuring import run
from benchmarks.scale.measurements import MEASUREMENTS

sys.exit(run("python -m benchmarks.scale", __doc__, MEASUREMENTS))
