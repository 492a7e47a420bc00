"""Who is logged in at the page, in memory: a browser holds a random id, and never the token.

The token is verified anew at each request, so that a session ends with its token. It also ends when
the service ends: people log in again.
"""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from modelwave_controller.people.roles import Person

MAX_SESSIONS, MAX_OF_ONE = 1000, 20  # all, and those with one token
IDLE_SECONDS = 12 * 3600.0


@dataclass
class Session:
    """person: whose the token was when it was verified last, for what a page says
    csrf: stands in each form of the session's pages: another site cannot read it
    signed_on: they have no token, but signed on at a proxy, which ends what it began
    used: when it was asked for last, by a clock that nobody can set
    """

    token: str = field(repr=False)
    used: float
    person: Person | None = None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    signed_on: bool = False


class Sessions:
    """`now` is in seconds of a clock that nobody can set. Threads may share it."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Session] = OrderedDict()  # that used longest ago first
        self._lock = threading.Lock()

    def begin(self, token: str, now: float) -> Session:
        """Of more than MAX_OF_ONE with this token the one that was not used for the longest time
        ends, so that nobody logs others out by logging in often; of more than MAX_SESSIONS too."""
        made = Session(token, now)
        with self._lock:
            its = [id for id, held in self._held.items() if held.token == token]
            for id in its[: len(its) + 1 - MAX_OF_ONE]:
                del self._held[id]
            self._held[made.id] = made
            while len(self._held) > MAX_SESSIONS:
                self._held.popitem(last=False)
        return made

    def find(self, id: str, now: float) -> Session | None:
        with self._lock:
            found = self._held.get(id)
            if found is None:
                return None
            if now - found.used > IDLE_SECONDS:
                del self._held[id]
                return None
            found.used = now
            self._held.move_to_end(id)
            return found

    def end(self, id: str) -> None:
        with self._lock:
            self._held.pop(id, None)
