"""Has garbage collected early, from the import of this module on.

Without it, what stays is allocated between garbage, and the heap has no large free piece for a
model. Importing the agent makes most of it, above all from source files, so agent.py imports this
module before the others.
"""

import gc

GARBAGE_BYTES = 4096  # of new allocations, after which garbage is collected

if hasattr(gc, "threshold") and gc.threshold() < 0:  # else the program has set it
    gc.threshold(GARBAGE_BYTES)
