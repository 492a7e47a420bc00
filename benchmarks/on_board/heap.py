"""On MicroPython: what importing modules takes of the heap.

    micropython heap.py FOLDER KNOWN MODULES

FOLDER is where MODULES (a,b,…) are. KNOWN (a,b,…) is imported before anything is counted: what
a firmware has, or what stands in for it. Prints the bytes in use after each module, of those
before them, then what all names in RAM take."""

import gc
import sys

sys.path.insert(0, sys.argv[1])


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


for name in sys.argv[2].split(","):
    __import__(name)
start = used()
for name in sys.argv[3].split(","):
    __import__(name)
    print(name, used() - start)
