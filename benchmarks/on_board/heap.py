"""On MicroPython: what importing modules takes of the heap.

    micropython heap.py FOLDER KNOWN MODULE…

FOLDER is where each MODULE is. KNOWN (a,b,…) is imported before anything is counted: what a
firmware has, or what stands in for it. Prints after each MODULE the bytes that are in use more
than before the first. (An argument has at most 255 characters.)"""

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
for name in sys.argv[3:]:
    __import__(name)
    print(name, used() - start)
