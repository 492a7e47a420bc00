"""Runs command.py; Ctrl-C may come while its imports are read."""

import sys

from tests.ending import end_at_sigterm, loading

end_at_sigterm()
with loading("scene"):
    from tests.disk.command import main

sys.exit(main())
