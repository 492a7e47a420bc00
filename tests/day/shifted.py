"""Runs a module of the product with the day's clock, as `python -m MODULE` would:

python -m tests.day.shifted CLOCK controller|device MODULE [ARGUMENT ...]
"""

import runpy
import sys
from pathlib import Path

from tests.day.clock import DayClock

if __name__ == "__main__":
    _, clock, where, module, *rest = sys.argv
    DayClock(Path(clock)).install(where == "controller")
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
