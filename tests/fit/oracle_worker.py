"""Reads lines "allocate arena path" and "run arena path"; answers with arena_used_bytes() after
AllocateTensors, or after Invoke; with "no" if tflite_micro refuses."""

import os
import re
import sys
import tempfile
from functools import cache

from tflite_micro import runtime

TOTAL = re.compile(rb"Arena allocation total (\d+) bytes")


@cache
def content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def used(path: str, arena: int, run: bool, errors: int) -> str:
    try:
        interpreter = runtime.Interpreter.from_bytes(content(path), arena_size=arena)
        if run:
            interpreter.invoke()
    except RuntimeError:
        return "no"
    # It tells only on stderr, which it writes to as a C library does.
    os.ftruncate(errors, 0)
    os.lseek(errors, 0, os.SEEK_SET)
    interpreter.print_allocations()
    found = TOTAL.search(os.pread(errors, 4096, 0))
    return found[1].decode() if found else "no"


def main() -> None:
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        for line in sys.stdin:
            verb, arena, path = line.rstrip("\n").split(" ", 2)
            print(used(path, int(arena), verb == "run", file.fileno()), flush=True)


if __name__ == "__main__":
    main()
