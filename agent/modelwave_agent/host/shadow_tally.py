"""Counts what a candidate did beside the live model, and decides whether it goes on.

failures   as on trial (trial.py): the first one ends the shadow, or more than the share that the
           order allows, of which one alone never does
latency    the median of the last runs must be within the budget, from LEAST_RUNS on or at the
           end. A mean would also tell what else the machine did.
"""

import statistics
from collections import deque
from typing import Any

from modelwave_agent.host.shadow_messages import FAILED, Answer
from modelwave_shared.limits import MILLION

LEAST_RUNS = 20  # and a multiple of it: the median is computed again after so many runs
LAST_RUNS = 256
KILO = 1000


class Tally:
    def __init__(self, budget: Any, max_failed_ppm: int) -> None:
        """`budget`: orders.SHADOW of modelwave_shared; `max_failed_ppm`: of the runs."""
        self.budget = budget
        self.max_failed_ppm = max_failed_ppm
        self.runs = self.failures = self.agreed = 0
        self.peak_bytes = 0
        self.reason = ""  # of the last failure
        self.latencies: deque[float] = deque(maxlen=LAST_RUNS)  # in ms

    def add(self, answer: Answer) -> tuple[str, str] | None:
        """Counts a run. Returns the event that ends the shadow with its reason, or None."""
        self.runs += 1
        self.peak_bytes = max(self.peak_bytes, answer.peak_bytes)
        if answer.kind == FAILED:
            self.failures += 1
            self.reason = answer.text
            return self._failed()
        self.agreed += answer.agreed
        self.latencies.append(answer.latency_ms)
        return self._slow() if self.runs % LEAST_RUNS == 0 else None

    def ended(self, seconds: int, missed: int) -> tuple[str, str]:
        """Returns the event when the time is over, with what was seen. `missed`: inputs that were
        drawn while the candidate was busy."""
        if not self.runs:
            return "shadowed", (
                f"no input in {seconds} s: the program does not run its model by agent.run"
                if not missed
                else f"no input in {seconds} s, {missed} came while it was busy"
            )
        is_beyond = self.failures * MILLION > self.max_failed_ppm * self.runs
        slow = self._slow()
        if is_beyond:
            return "unhealthy", self._told_failures()
        if slow:
            return slow
        compared = self.runs - self.failures
        median = f", median {self._median():.3g} ms" if compared else ""
        return "shadowed", (
            f"{self.agreed} of {compared} outputs agree, {self.failures} of {self.runs} runs failed"
            f"{median}, {self.peak_bytes} bytes of RAM, {missed} inputs missed"
        )

    def _failed(self) -> tuple[str, str] | None:
        if self.max_failed_ppm and self.failures == 1:
            return None
        if self.failures * MILLION > self.max_failed_ppm * max(self.runs, LEAST_RUNS):
            return "unhealthy", self._told_failures()
        return None

    def _told_failures(self) -> str:
        return f"{self.failures} of {self.runs} runs failed: {self.reason}"

    def _slow(self) -> tuple[str, str] | None:
        allowed = self.budget["latency_us"]
        if not self.latencies or self._median() * KILO <= allowed:
            return None
        told = f"median {self._median() * KILO:.0f} us, {allowed} allowed"
        return "over", f"latency: {told}, of {len(self.latencies)} runs"

    def _median(self) -> float:
        return statistics.median(self.latencies)
