"""Reads which device ran which release when from the log, a page at a time (rollout/deployments.py
has the rules). Each page is a transaction of its own, as of history.py."""

from collections.abc import Iterator
from typing import NamedTuple

from modelwave_controller.operations.history import PAGE
from modelwave_controller.rollout.deployments import Deployment, Deployments
from modelwave_controller.storage import log
from modelwave_controller.storage.log import Wanted
from modelwave_controller.storage.store import Store


class Asked(NamedTuple):
    """Of one model or device, or of all (""); and only what ran at `since` or later."""

    model: str = ""
    device: str = ""
    since: float | None = None

    def wants(self, one: Deployment) -> bool:
        is_named = self.model in ("", one.model) and self.device in ("", one.device)
        return is_named and (self.since is None or one.end is None or one.end >= self.since)


class DeploymentsRead:
    """The deployments of the log as it is now: those that ended, by their end, and then those that
    still run. `unknown`, at the end: answers to orders that the log does not have."""

    def __init__(self, store: Store, asked: Asked) -> None:
        self._store = store
        self._asked = asked
        self.unknown = 0

    def __iter__(self) -> Iterator[Deployment]:
        yield from filter(self._asked.wants, self._all())

    def _all(self) -> Iterator[Deployment]:
        found, after = Deployments(), 0
        with self._store.read() as connection:
            until = log.newest_id(connection)
        while after < until:
            with self._store.read() as connection:
                page = log.page(connection, Wanted(answers=True), after, until, PAGE)
            if not page:
                break
            for event in page:
                yield from found.take(event)
            after = page[-1].id
        yield from found.running()
        self.unknown = found.unknown
