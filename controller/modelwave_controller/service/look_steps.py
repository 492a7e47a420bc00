"""A look that is read in steps, so that no tick takes long (looks.py)."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator

from sqlalchemy import Connection

from modelwave_controller.rollout.events import Looked
from modelwave_controller.service.due_looks import DueLook


class LookInSteps(ABC):
    """A look that is under way. It only reads."""

    def __init__(self, look: DueLook) -> None:
        self.look = look
        self._connection: Connection
        self._work = self._all_steps()

    def step(self, connection: Connection, seconds: float) -> Looked | None:
        """Reads for about so many seconds; returns what the look finds when everything is read."""
        self._connection = connection
        until = time.monotonic() + seconds
        for _ in self._work:
            if time.monotonic() >= until:
                return None
        return self._found()

    @abstractmethod
    def _all_steps(self) -> Iterator[None]:
        """Reads by `_connection`, which may be another one after each step."""

    @abstractmethod
    def _found(self) -> Looked: ...
