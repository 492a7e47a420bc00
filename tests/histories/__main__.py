"""Runs command.py; Ctrl-C may come while its imports are read."""

import sys

from tests.ending import end_at_sigterm, loading

with loading("history"):
    from tests.histories.command import main

end_at_sigterm()
sys.exit(main())
