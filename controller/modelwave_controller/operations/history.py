"""Reads the log for people and programs: a bounded number of events, a page at a time.

Each page is a transaction of its own. So a reader who stops for a while, as in a pager, does not
hold an old state of the database, and the log is never in memory as a whole.
"""

from collections.abc import Iterator

from modelwave_controller.operations import rollouts
from modelwave_controller.results.log import LogEntry
from modelwave_controller.rollout.events import FLEET
from modelwave_controller.rollout.lines import line_of
from modelwave_controller.storage import counting, log
from modelwave_controller.storage.log import Wanted
from modelwave_controller.storage.store import Store

PAGE = 1000  # events


class History:
    """The newest `limit` of the wanted events, as they were when it was made.

    hidden: answers of devices that are not in it, because they are not wanted
    older: whether wanted events are left out because of the limit
    """

    def __init__(self, store: Store, wanted: Wanted, limit: int) -> None:
        self._store = store
        self._wanted = wanted
        self._models: dict[int, str] = {FLEET: ""}
        with store.read() as connection:
            self._until = log.newest_id(connection)
            self._after = log.before_newest(connection, wanted, limit)
            self.hidden = 0 if wanted.answers else log.count_answers(connection, wanted)
        self.older = self._after > 0

    def __iter__(self) -> Iterator[LogEntry]:
        after = self._after
        while entries := self._page(after):
            yield from entries
            after = entries[-1].id

    def _page(self, after: int) -> list[LogEntry]:
        with self._store.read() as connection:
            events = log.page(connection, self._wanted, after, self._until, PAGE)
            for number in {event.rollout for event in events} - self._models.keys():
                self._models[number] = counting.model_of(connection, number)
        return [
            LogEntry(
                id=event.id,
                at=event.at,
                rollout=event.rollout or None,
                model=self._models[event.rollout],
                kind=event.body.kind,
                **line_of(event)._asdict(),
            )
            for event in events
        ]


def number_of(store: Store, wanted: str | None) -> int:
    """Returns the number of the rollout `wanted`, as rollouts.find. Raises OperatorError."""
    with store.read() as connection:
        return rollouts.find(log.folded(connection, reports_of=[]), wanted).id
