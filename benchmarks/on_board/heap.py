"""On MicroPython: measures the heap that imported modules use.

    micropython heap.py FOLDER KNOWN MODULE…

FOLDER holds each MODULE. KNOWN (a,b,…) is imported before the measurement: modules that a firmware
has, or their replacements. After each MODULE it prints how many more bytes are in use than before
the first one. (An argument has at most 255 characters.)"""

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
