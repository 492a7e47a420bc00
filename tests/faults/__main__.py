"""Runs command.py."""

import sys

from tests.ending import end_at_sigterm
from tests.faults.command import main

end_at_sigterm()
sys.exit(main())
