"""Runs the core's tests on the interpreter that runs this, which may be MicroPython:

    micropython tests/core/run.py [test_fields …]

Without names all modules in this directory that begin with test_. Prints each failure and
last "N passed, M failed"; exits with 1 on a failure, or if there was nothing to run.
"""

import gc
import os
import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

try:
    print_exception = sys.print_exception
except AttributeError:  # CPython
    from traceback import print_exception


def test_modules():
    return sorted(
        name[:-3] for name in os.listdir(HERE) if name.startswith("test_") and name.endswith(".py")
    )


def run(module_name):
    """(passed, failed) of one module, whose memory is free again afterwards."""
    passed = failed = 0
    full_name = "tests.core." + module_name
    try:
        module = __import__(full_name, None, None, ("*",))
    except Exception as error:
        return 0, failure(module_name, error)
    for name in sorted(dir(module)):
        if name.startswith("test_"):
            try:
                getattr(module, name)()
                passed += 1
            except Exception as error:
                failed += failure(module_name + "." + name, error)
            gc.collect()
    del sys.modules[full_name]
    delattr(sys.modules["tests.core"], module_name)  # else the package keeps it in memory
    return passed, failed


def failure(name, error):
    """Shows it; 1."""
    print("FAILED", name)
    print_exception(error)
    return 1


def main(module_names):
    passed = failed = 0
    for module_name in module_names or test_modules():
        good, bad = run(module_name)
        passed += good
        failed += bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
