"""Runs command.py; Ctrl-C may come while its imports are read."""

import sys

try:
    from tests.board.sweep.command import main
except KeyboardInterrupt:
    sys.exit("ended by Ctrl-C before the first scene")

sys.exit(main())
