"""Reads which device ran which release when from the log, a page at a time (rollout/deployments.py
has the rules). Each page is a transaction of its own, as of history.py."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from modelwave_controller.operations.history import PAGE
from modelwave_controller.results.deployments import Deployment, DeploymentsPage
from modelwave_controller.rollout.deployments import Deployments
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


def page(store: Store, asked: Asked, limit: int, cursor: str) -> DeploymentsPage:
    """Returns at most `limit` deployments: those that ended, by their end, and then those that
    still run. `cursor` is "" for the first page, of the log as it is now; each further page reads
    the same log again, and leaves out what was shown."""
    until, skip = map(int, cursor.split("-")) if cursor else (_newest(store), 0)
    found = Deployments()
    wanted = filter(asked.wants, _all(store, found, until))
    rows = list(islice(wanted, skip, skip + limit))
    more = next(wanted, None) is not None
    after = f"{until}-{skip + limit}" if more else ""
    return DeploymentsPage(rows, after, 0 if more else found.unknown)


def _newest(store: Store) -> int:
    with store.read() as connection:
        return log.newest_id(connection)


def _all(store: Store, found: Deployments, until: int) -> Iterator[Deployment]:
    after = 0
    while after < until:
        with store.read() as connection:
            page = log.page(connection, Wanted(answers=True), after, until, PAGE)
        if not page:
            break
        for event in page:
            yield from found.take(event)
        after = page[-1].id
    yield from found.running()
