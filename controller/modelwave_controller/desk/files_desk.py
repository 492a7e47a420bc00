"""Does the calls that the files of a home answer, for the command line on its machine: without its
database, which takes long to import, and which a home that only signs releases has not."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwave_controller.api.call import AnswerT, AskedT, Call
from modelwave_controller.desk import doing
from modelwave_controller.home import Home
from modelwave_controller.people.roles import Person

if TYPE_CHECKING:
    from modelwave_controller.storage.store import Store


@dataclass(frozen=True)
class FilesDesk:
    home: Home
    person: Person
    clock: Callable[[], float] = time.time

    def ask(self, call: Call[AskedT, AnswerT], asked: AskedT, sent: Path | None = None) -> AnswerT:
        """Does the call, and returns its answer; `sent`: the file that it sends, if it does.
        Raises ModelwaveError."""
        return doing.do(self, call, asked, sent)

    @contextlib.contextmanager
    def database(self) -> "Iterator[Store | None]":
        from modelwave_controller.operations.running import database_of
        from modelwave_controller.storage.store import Store

        url = database_of(self.home)
        if url is None:
            yield None
            return
        with contextlib.closing(Store(url)) as store:
            yield store
