"""Computes the looks of shadow stages: what devices measured of a release beside the live one.

Each device of a shadow stage so far counts with all its shadow windows of the release that ended
after the first order and until the end of the look. looks.py says how a look is read and stored.
"""

import time
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from modelwave_controller.evidence.figures import NO_FIGURES
from modelwave_controller.evidence.findings import occasion_of
from modelwave_controller.evidence.shadow_findings import ShadowFindings, shown_beside
from modelwave_controller.judge.devices import Sums, fold
from modelwave_controller.rollout.events import Looked
from modelwave_controller.rollout.facts import population_of
from modelwave_controller.service.due_looks import DueLook
from modelwave_controller.storage import devices, windows
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.gate_windows import windows_of
from modelwave_controller.storage.tables import SHADOW


class ShadowLooking:
    """A look that is under way. It only reads."""

    def __init__(self, look: DueLook) -> None:
        self.look = look
        self.created = look.rollout.created
        self.gates = self.created.plan.gates_of(look.stage)
        self._measured = [*self.gates, *shown_beside(self.gates).values()]
        self._connection: Connection
        self._sums: dict[tuple[str, str], list[Sums]] = {}  # by gate and target: of each device
        self._work = self._all_steps()

    def step(self, connection: Connection, seconds: float) -> Looked | None:
        """Reads for about so many seconds; returns what the look finds when everything is read."""
        self._connection = connection
        until = time.monotonic() + seconds
        for _ in self._work:
            if time.monotonic() >= until:
                return None
        return self._found()

    def _all_steps(self) -> Iterator[None]:
        rollout = self.look.rollout
        known = devices.known(self._connection, rollout.model)
        opened = set[str]().union(*(population_of(stage, known) for stage in rollout.stages))
        for target, release in sorted(self.created.releases.items()):
            ids = {name for names in known.devices.get(target, {}).values() for name in names}
            for gate in self._measured:
                self._sums[gate.text, target] = []
            for chunk in chunks(sorted(ids & opened)):
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
