"""Runs a program's own test functions, on MicroPython."""

import asyncio
import sys


def run(names):
    """`names`: the program's globals. Prints each failure and last "N passed, M failed"; ends
    the program with 1 if any failed, or if there was none."""
    passed = failed = 0
    for name in sorted(names):
        if name.startswith("test_"):
            try:
                names[name]()
                passed += 1
            except Exception as error:
                print("FAILED", name)
                sys.print_exception(error)
                failed += 1
            asyncio.new_event_loop()
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed or not passed else 0)
