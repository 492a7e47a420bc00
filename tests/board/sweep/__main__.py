"""Runs command.py; Ctrl-C may come while its imports are read."""

import sys

from tests.ending import loading

with loading("scene"):
    from tests.board.sweep.command import main

sys.exit(main())
