"""The maintenance windows of an order, judged by the device's local time.

A release is downloaded and proven at any time, but goes live only inside the windows; else the
update is deferred until the next one begins. A trial that has begun goes on after a window's end.
Nothing goes live while the clock is not set. A release runs beside the live one at any time.
"""

import asyncio
from datetime import tzinfo
from typing import Any

from modelwave_agent.ports import Clock
from modelwave_agent.record import spare
from modelwave_agent.shadow import problem
from modelwave_agent.update import Update
from modelwave_shared import local_time
from modelwave_shared.maintenance import LENGTHS, STARTS, of_extra


class MaintenanceGate:
    """Says whether the update of one model may go live now."""

    def __init__(self, update: Update, clock: Clock, zone: tzinfo | None) -> None:
        """`zone`: the time zone of the device; None: the system's."""
        self.update = update
        self.clock = clock
        self.zone = zone
        self._alarm: asyncio.TimerHandle | None = None

    def closed(self) -> str:
        """Returns "", or why the update that is under way may not go live now. Then the agent asks
        again when the next window begins."""
        if self._alarm:
            self._alarm.cancel()
        order = self.update.work.progress.order
        if order is None or not self._is_ready() or self._goes_beside(order.document):
            return ""
        try:
            windows = of_extra(order.extra(STARTS), order.extra(LENGTHS))
            if windows is None:
                return ""
            now = self.clock.wall()
            if now is None:
                return "maintenance windows: the clock of this device is not set"
            opens = local_time.opens_at(windows, now, self.zone)
        except ValueError as error:
            return f"maintenance windows: {error}"
        if opens == now:
            return ""
        ask = self.update.work.progress.update_now.set
        self._alarm = asyncio.get_running_loop().call_later(opens - now, ask)
        told = local_time.told(opens, self.zone)
        return f"outside of its maintenance windows; the next one begins {told}"

    def _goes_beside(self, order: dict[str, Any]) -> bool:
        """Whether the order wants a shadow, which leaves the live model as it is, and no trial in
        its place."""
        if not order["shadow"]:
            return False
        on_trial = order.get("extra", {}).get("shadow", {}).get("else_trial")
        return not (on_trial and problem(order, self.update.record, self.update.ports.shadow))

    def _is_ready(self) -> bool:
        """Whether the release was downloaded: it would be the next step to prove it, or to swap."""
        record, whole = self.update.record, self.update.work.progress.whole
        return record["state"] == "proving" or spare(record) in whole
