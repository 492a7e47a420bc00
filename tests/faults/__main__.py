"""Runs command.py."""

import sys

from tests.faults.command import main

sys.exit(main())
