"""`make relay`: the long sweeps of the line, of boards behind a gateway, of SMP and of boards that
are only flashed, and then what a wave takes. It prints a table of figures and goals last. It ends
with 1 if a goal is missed or a measurement failed; after Ctrl-C it prints the rows that there are.

    python -m benchmarks.relay [NAME …] [--long]
    python -m benchmarks.relay --list
"""

import sys

from benchmarks.measuring import run
from benchmarks.relay.measurements import MEASUREMENTS

sys.exit(run("python -m benchmarks.relay", __doc__, MEASUREMENTS))
