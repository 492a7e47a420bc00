"""Runs command.py; Ctrl-C may come while its imports are read."""

import sys

try:
    from tests.inject.command import main
except KeyboardInterrupt:
    sys.exit("ended by Ctrl-C before the first point")

sys.exit(main())
