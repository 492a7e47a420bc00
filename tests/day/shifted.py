"""Runs a module of the product with the day's clock, as `python -m MODULE` would:

    python -m tests.day.shifted CLOCK controller|PLACE MODULE [ARGUMENT ...]

PLACE: the number of the agent's place in the clock's file.
"""

import runpy
import sys
from pathlib import Path

from tests.day.clock import DayClock

if __name__ == "__main__":
    _, clock, who, module, *rest = sys.argv
    is_controller = who == "controller"
    DayClock(Path(clock), None if is_controller else int(who)).install(is_controller)
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
