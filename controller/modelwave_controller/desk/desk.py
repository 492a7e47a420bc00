"""Does calls on a home: for the command line on its machine, and for the HTTP listener."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from modelwave_controller.api.call import AnswerT, AskedT, Call
from modelwave_controller.desk import doing
from modelwave_controller.desk.statuses import Statuses
from modelwave_controller.home import Home
from modelwave_controller.people.roles import Person
from modelwave_controller.storage.store import Store


@dataclass(frozen=True)
class Desk:
    """`clock` returns Unix seconds. The caller has found out who `person` is, and what they may
    do. `tell` is told how far a long call is: what it does, how many steps of how many."""

    home: Home
    store: Store
    person: Person
    clock: Callable[[], float] = time.time
    statuses: Statuses = field(default_factory=Statuses)
    tell: Callable[[str, int, int], None] = lambda _what, _done, _of: None

    def ask(self, call: Call[AskedT, AnswerT], asked: AskedT, sent: Path | None = None) -> AnswerT:
        """Does the call, and returns its answer; `sent`: the file that it sends, if it does.
        Raises ModelwaveError."""
        return doing.do(self, call, asked, sent)

    @contextlib.contextmanager
    def database(self) -> Iterator[Store]:
        yield self.store


def desks(
    home: Home, store: Store, clock: Callable[[], float]
) -> Callable[[Person], contextlib.AbstractContextManager[Desk]]:
    """Returns what gives each person a desk of this home, as a listener wants it. The statuses of
    rollouts are kept for all of them."""
    statuses = Statuses()

    @contextlib.contextmanager
    def desk_of(person: Person) -> Iterator[Desk]:
        yield Desk(home, store, person, clock, statuses)

    return desk_of
