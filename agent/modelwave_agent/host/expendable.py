"""Makes a process one whose loss does no harm: those that run a model which may crash."""

import contextlib
import resource


def be_expendable() -> None:
    """Makes this process leave no core file, and be the first that the kernel kills when memory
    runs out."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
