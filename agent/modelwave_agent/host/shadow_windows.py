"""The windows of models that run beside the live ones (docs/observations.md).

They have the numbers of the live windows, and wait with these for the broker.
"""

from collections.abc import Callable
from typing import Any

from modelwave_agent.host.kept_windows import KeptObservations
from modelwave_agent.host.shadow_messages import FAILED, NO_CLASS, Answer
from modelwave_agent.measures import Measures, Sample
from modelwave_agent.ports import Clock
from modelwave_agent.types import Enrolment, Window


class ShadowMeasures(Measures):
    """What was measured in a window of a shadow."""

    def __init__(self) -> None:
        super().__init__()
        self.compared = self.agreed = 0

    def join(self, other: Measures) -> None:
        super().join(other)
        assert isinstance(other, ShadowMeasures)
        self.compared += other.compared
        self.agreed += other.agreed

    def _parts(self) -> list[tuple[str, Any]]:
        # First, so that it is in the document with the counts.
        compared = {"compared": self.compared, "agreed": self.agreed}
        return [("shadow", compared), *super()._parts()]


class ShadowWindow(Window):
    """A class of its own, so that no live window is joined with it (backlog.py)."""

    def __init__(self, model: str, release: int, number: int) -> None:
        super().__init__(model, release, number, 0.0, False)
        self.measures = ShadowMeasures()


class HostObservations(KeptObservations):
    """The windows of a host: those of live models and of shadows."""

    def __init__(self, seconds: float, clock: Clock, folder: str, device: Enrolment) -> None:
        super().__init__(seconds, clock, folder, device)
        self.shadows: dict[tuple[str, int], ShadowWindow] = {}  # open, by model and release
        self.take: Callable[[], object] = lambda: None  # brings the counts that still wait

    def add_shadow(self, model: str, release: int, answer: Answer) -> None:
        """Adds a run of `release` beside the live model."""
        window = self.shadows.get((model, release))
        if not window:
            window = self.shadows[model, release] = ShadowWindow(model, release, self.number)
        if answer.kind == FAILED:
            window.count((1, 1, 0, 0))
            return
        window.count((1, 0, 0, 0))
        window.measures.compared += 1
        window.measures.agreed += answer.agreed
        predicted = None if answer.predicted == NO_CLASS else answer.predicted
        window.measures.add(Sample(None, predicted, answer.latency_ms, None))

    def close(self, now: float) -> None:
        self.take()
        for window in self.shadows.values():
            window.end = now
            window.seconds = now - self.start
            self.unsent.append(window)
        self.shadows = {}
        super().close(now)
