"""Runs command.py; Ctrl-C may come while its imports are read."""

import sys

try:
    from tests.ending import end_at_sigterm
    from tests.inject.command import main
except KeyboardInterrupt:
    sys.exit("ended by Ctrl-C before the first point")

end_at_sigterm()
sys.exit(main())
