"""How a service is, for those who watch it: /healthz, /livez, and systemd's watchdog.

The threads of the service note here what they see; the file server and the watchdog read it. What
is wrong is said in fixed words, as anybody who reaches the file server may read them; the log has
the rest.

    alive    the loop that leads, or stands by, came round a moment ago: else the process hangs
    healthy  alive, the database answers, and if it leads it reaches the broker, but for a moment
"""

import time
from collections.abc import Callable

from modelwave_controller.service.figures import Figures

HUNG_SECONDS = 30  # longest time for one round of the loop
PATIENCE_SECONDS = 10  # for which database or broker may be away: a restart is no trouble

HANGS = "the service hangs"
NO_DATABASE = "the database does not answer"
NO_BROKER = "the broker is not reached"


class Vitals:
    """Any thread may use it. `steady` returns seconds of a clock that nobody can set. `does`: what
    the service does while it does not stand by."""

    def __init__(self, steady: Callable[[], float] = time.monotonic, does: str = "leads") -> None:
        self.does = does
        self.figures = Figures()
        self.has_begun = False  # a round is over
        self._steady = steady
        self._round = steady()
        self._database_away: float | None = None  # since when
        self._broker_away: float | None = None
        self.leads = False

    def came_round(self, database: bool, broker: bool, leads: bool) -> None:
        """Notes a round of the loop, and whether the database answered in it and the broker is
        reached; `broker` matters only if the service leads."""
        now = self._steady()
        self._round, self.has_begun = now, True
        self._database_away = None if database else self._database_away or now
        self._broker_away = None if broker or not leads else self._broker_away or now
        self.leads = leads

    @property
    def alive(self) -> bool:
        return self._steady() - self._round <= HUNG_SECONDS

    @property
    def reaches_broker(self) -> bool:
        """Whether it was reached in the last round; only of a service that leads."""
        return self.leads and self._broker_away is None

    def problems(self) -> list[str]:
        """Returns what is wrong; [] if the service is healthy."""
        found = [] if self.alive else [HANGS]
        found += [NO_DATABASE] if self._lasts(self._database_away) else []
        return found + ([NO_BROKER] if self._lasts(self._broker_away) else [])

    def _lasts(self, since: float | None) -> bool:
        return since is not None and self._steady() - since > PATIENCE_SECONDS

    def words(self) -> str:
        """Says in one line what the service does, for a person."""
        does = self.does if self.leads else "stands by"
        return ", but ".join([does, *self.problems()])
