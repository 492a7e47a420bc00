"""Takes over what ingest processes hand over to the service that leads, and watches them."""

import logging
from collections.abc import Callable, Mapping

from modelwave_controller.service.leader import LeaderStore
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.storage import handover, shares
from modelwave_controller.storage.handover import Ask

logger = logging.getLogger(__name__)


class TakingOver:
    """Use it in the thread that leads."""

    def __init__(
        self,
        store: LeaderStore,
        ask: Callable[[str, Ask], None],
        again: Callable[[Mapping[str, float]], None],
    ) -> None:
        """`ask` takes a device that asks for a heartbeat, `again` devices that have repeated their
        report, with the rollout clock then."""
        self.store = store
        self.ask = ask
        self.again = again
        self._troubles: dict[int, Trouble] = {}

    def step(self, now: float) -> None:
        """`now` is in Unix seconds. Raises LeaseLost and StorageError."""
        with self.store.read() as connection:
            waits = handover.waits(connection)
            found = shares.stored(connection)
        for share in found:
            self._watch(share, now)
        if waits:
            self._take()

    def _take(self) -> None:
        with self.store.write() as connection:
            taken = handover.take(connection)
        for one in taken:
            for device, ask in one.asks.items():
                self.ask(device, ask)
            self.again(one.again)

    def _watch(self, share: shares.Share, now: float) -> None:
        """Says once when a share is not received, and when it is again."""
        trouble = self._troubles.setdefault(share.number, Trouble())
        if problem := share.problem(now):
            if not trouble.begun:
                trouble.say(problem)
        elif trouble.over():
            logger.info("%s is received again", share)
