"""Computes the looks of shadow stages: what devices measured of a release beside the live one.

Each device of a shadow stage so far counts with all its shadow windows of the release that ended
after the first order and until the end of the look. looks.py says how a look is read and stored.
"""

from collections.abc import Iterator, Sequence

from modelwave_controller.evidence.figures import NO_FIGURES
from modelwave_controller.evidence.findings import occasion_of
from modelwave_controller.evidence.shadow_findings import ShadowFindings, shown_beside
from modelwave_controller.judge.devices import Sums, fold
from modelwave_controller.rollout.events import Looked
from modelwave_controller.rollout.facts import opened_by
from modelwave_controller.service.due_looks import DueLook
from modelwave_controller.service.look_steps import LookInSteps
from modelwave_controller.storage import devices, windows
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.gate_windows import windows_of
from modelwave_controller.storage.tables import SHADOW


class ShadowLooking(LookInSteps):
    """A look of a shadow stage."""

    def __init__(self, look: DueLook) -> None:
        super().__init__(look)
        self.created = look.rollout.created
        self.gates = self.created.plan.gates_of(look.stage)
        self._measured = [*self.gates, *shown_beside(self.gates).values()]
        self._sums: dict[tuple[str, str], list[Sums]] = {}  # by gate and target: of each device

    def _all_steps(self) -> Iterator[None]:
        rollout = self.look.rollout
        known = devices.known(self._connection, rollout.model)
        opened = opened_by(rollout.stages, known)
        for target, release in sorted(self.created.releases.items()):
            for gate in self._measured:
                self._sums[gate.text, target] = []
            for chunk in chunks(sorted(known.of([target]) & opened)):
                self._read(target, release.release, chunk)
                yield

    def _read(self, target: str, release: int, names: Sequence[str]) -> None:
        look = self.look
        found = windows.between(
            self._connection, look.rollout.model, names, look.first, look.end, SHADOW
        )
        for rows in found.values():
            ours = [row for row in rows if row.release == release]
            for gate in self._measured:
                sums = fold(windows_of(gate, 0, ours, lambda _: NO_FIGURES))
                if sums.weight:
                    self._sums[gate.text, target].append(sums)

    def _found(self) -> Looked:
        plan, look = self.created.plan, self.look
        occasion = occasion_of(plan, look.stage, look.look, look.windows, 0)
        found = ShadowFindings(self.gates, self.created.expected, occasion, self._sums)
        return Looked(
            stage=look.stage,
            look=look.look,
            windows=look.windows,
            observed=found.compared,
            findings=found.all(),
        )
