"""Runs command.py; Ctrl-C may come while its imports are read."""

import sys

from tests.ending import loading

with loading("sweep"):
    from tests.trust.command import main

sys.exit(main())
