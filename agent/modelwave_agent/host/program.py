"""The inferences of the program: which model is loaded, and what it runs on (given.py)."""

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from modelwave_agent.host import given
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings
from modelwave_agent.types import Live

if TYPE_CHECKING:
    from modelwave_agent.host.given import Arrays, Given


class Ran(NamedTuple):
    """An inference: the outputs by name, and the milliseconds that it took alone."""

    outputs: "Arrays"
    latency_ms: float


class Program:
    """Runs the program's own inferences, on a runtime for the live model's format."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self.settings = settings
        self.runtime: HostRuntime | None = None  # of the model that was loaded last
        self.loaded: Live | None = None
        self.lock = threading.RLock()
        self.is_busy = False

    @property
    def release(self) -> int | None:
        """The release that `run` ran last; None if there is none."""
        loaded = self.loaded
        return loaded.release if loaded else None

    def run(self, live: Live, data: "Given") -> Ran:
        """Loads `live` if it is new, and runs it. Raises as HostRuntime.run, OSError if its file
        cannot be read, and RuntimeError if it is called again in the same thread before it has
        returned."""
        with self.lock:
            if self.is_busy:
                raise RuntimeError(
                    "run: it was called within itself, as by a signal handler; call it there later"
                )
            self.is_busy = True
            try:
                runtime = self._ready(live)
                start = time.perf_counter()
                outputs = given.run(runtime, data)
                return Ran(outputs, (time.perf_counter() - start) * 1000)
            finally:
                self.is_busy = False

    def _ready(self, live: Live) -> HostRuntime:
        """Returns the runtime that has loaded `live`."""
        if self.runtime and not differ(live, self.loaded):
            return self.runtime
        runtime, self.runtime, self.loaded = self.runtime, None, None
        if runtime:
            runtime.unload()  # one that raises is not used again
        if not runtime or runtime.format != live.format:
            runtime = registry.make(live.format, self.settings)
        self.runtime = runtime
        self.runtime.load_surely(live.path, live.loading)
        self.loaded = live
        return self.runtime


def differ(live: Live, other: Live | None) -> bool:
    """Returns whether these are different models. Both release and path are compared: after two
    updates a bank has another release, after a repeated download a release is in the other
    bank."""
    return other is None or (live.release, live.path) != (other.release, other.path)
