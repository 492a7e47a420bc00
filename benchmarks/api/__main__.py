"""`make api`: the sweeps of the API's tests, and then what API, page and files cost. It prints a
table of figures and goals last. It ends with 1 if a goal is missed or a measurement failed; after
Ctrl-C it prints the rows that there are.

    python -m benchmarks.api [NAME …] [--long]
    python -m benchmarks.api --list
"""

import sys

from benchmarks.api.measurements import MEASUREMENTS
from benchmarks.measuring import run

sys.exit(run("python -m benchmarks.api", __doc__, MEASUREMENTS))
