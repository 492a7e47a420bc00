"""Goes along the hash chain over the log, event by event, and finds the first that is wrong.

It is pure: it gets the rows of the log and the ranges of deleted answers a page at a time. An id is
either a row's or in one range. So what is gone without such a range is missed, and an event that is
no answer cannot be in one: the hashes of all later events are over it (storage/log_chain.py).
"""

import struct
from collections.abc import Sequence
from heapq import merge
from typing import Any, NamedTuple

from modelwave_controller.rollout.events import REPORTED
from modelwave_controller.storage import log_chain
from modelwave_controller.storage.deleted_answers import Deleted
from modelwave_controller.storage.log_chain import Links


class Head(NamedTuple):
    """An event and its hash, which is over all events up to it."""

    event: int
    chain: bytes

    def __str__(self) -> str:
        return f"{self.event}:{self.chain.hex()}"


class WrongLog(Exception):
    """The log is not as it was written; `event` is the first one that is wrong."""

    def __init__(self, event: int, problem: str) -> None:
        super().__init__(problem)
        self.event, self.problem = event, problem


class Walk:
    """What was gone over so far; `at` is its last id.

    events, deleted: how many events are there, and how many answers are deleted
    head: the newest event that is no answer, as pruning deletes only answers; None: there is none
    newest_range: the first id of the newest range of deleted answers; 0: there is none
    """

    def __init__(self, beginning: Links, kept: Head | None) -> None:
        self.at, self.events, self.deleted, self.newest_range = 0, 0, 0, 0
        self.head: Head | None = None
        self.links = beginning
        self._kept = kept
        self._skipped: Deleted | None = None  # the range before the next event

    def over(self, rows: Sequence[Any], ranges: Sequence[Deleted], until: int) -> None:
        """Goes over the rows and ranges up to the id `until`. Raises WrongLog."""
        begun = self.at
        both = merge(
            ((row.id, row.id, row) for row in rows),
            ((one.first, one.last, one) for one in ranges),
            key=lambda item: item[:2],
        )
        for first, last, one in both:
            # Since the page before, pruning may have deleted what was gone over, and what follows.
            if isinstance(one, Deleted) and first <= begun == self.at:
                first = self.at + 1
            if first > self.at + 1:
                self._miss(first - 1)
            if first <= self.at or last < first:
                raise WrongLog(first, f"event {first} is there, and is said to be deleted")
            if isinstance(one, Deleted):
                self._skip(one, first)
            else:
                self._follow(one)
            self.at = last
        if self.at < until:
            self._miss(until)

    def _miss(self, last: int) -> None:
        first = self.at + 1
        which = f"event {first} is" if first == last else f"events {first} to {last} are"
        raise WrongLog(first, f"{which} missing, and not as answers that pruning has deleted")

    def _skip(self, one: Deleted, first: int) -> None:
        if self._kept and first <= self._kept.event <= one.last:
            number = self._kept.event
            raise WrongLog(
                number,
                f"event {number}, of which the head was taken, is deleted; pruning deletes only "
                "answers of devices, and no head is taken of these",
            )
        self.deleted += one.last - first + 1
        self.newest_range = one.first
        self.links, self._skipped = self.links._replace(newest=one.chain), one

    def _follow(self, row: Any) -> None:
        try:
            links = log_chain.follow(self.links, row.id, row.rollout, row.at, row.kind, row.body)
        except (struct.error, AttributeError, TypeError, UnicodeError):  # of no event
            links = None
        if links is None or links.newest != row.chain:
            raise WrongLog(row.id, self._altered(row))
        if self._kept and row.id == self._kept.event and row.chain != self._kept.chain:
            raise WrongLog(row.id, _not_the_beginning(row.id))
        if row.kind != REPORTED:
            self.head = Head(row.id, row.chain)
        self.events += 1
        self.links, self._skipped = links, None

    def _altered(self, row: Any) -> str:
        if row.chain is None:
            return f"event {row.id} has no hash: something else than this modelwave has written it"
        if self._skipped is None:
            return f"event {row.id} is not the one that was written here"
        first, last, _ = self._skipped
        which = f"event {first}" if first == last else f"events {first} to {last}"
        return (
            f"event {row.id} is not the one that was written here, or what is said to be deleted "
            f"answers before it, {which}, was more than that"
        )


def _not_the_beginning(number: int) -> str:
    return (
        f"event {number} has another hash than the head: the head was not copied whole, or the log "
        "up to it was written anew; or a backup of before it was restored, which `modelwave fleet "
        "log` says then"
    )
