"""Reads the log of a service, and follows it."""

from collections.abc import Generator, Iterator

from modelwave_controller.api import fleet
from modelwave_controller.client import stream
from modelwave_controller.client.group import Group
from modelwave_controller.results.log import LogEntry


class Log(Group):
    """`rollout` is a number, or a model: the newest rollout of it; None: all, and acts that belong
    to none. `answers`: those of devices too."""

    def entries(
        self,
        rollout: int | str | None = None,
        answers: bool = False,
        since: float | None = None,
        limit: int = fleet.LOG_PAGE,
    ) -> Iterator[LogEntry]:
        """Yields the newest `limit` events, the newest last; `since` is in Unix seconds."""
        which = None if rollout is None else str(rollout)
        said = {"rollout": which, "answers": answers, "since": since, "limit": limit}
        page = self._ask(fleet.LOG, **said)
        while True:
            yield from page.entries
            if not page.next:
                return
            page = self._ask(fleet.LOG, **said, cursor=page.next)

    def follow(
        self,
        rollout: int | str | None = None,
        answers: bool = False,
        after: int | None = None,
        patience: float = stream.PATIENCE_SECONDS,
    ) -> Generator[LogEntry, None, None]:
        """Yields the events after the event `after` as they come, each once and without end; None:
        from now on. Where it is cut off it goes on. Raises ServerError if the service is not
        reached for `patience` seconds, and its errors, as when the token is revoked."""
        which = None if rollout is None else str(rollout)
        asked = fleet.STREAM.say(rollout=which, answers=answers, after=after)
        return stream.follow(self._remote, asked, patience)
