"""Logs a temporary failure when it begins and when it is over, not at every retry."""

import logging

logger = logging.getLogger(__name__)


class Trouble:
    """The temporary failures of one part of the service."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, problem: str, level: int = logging.WARNING) -> None:
        """Logs a problem once, until over() is called."""
        if problem not in self._said:
            self._said.add(problem)
            logger.log(level, "%s", problem)

    @property
    def begun(self) -> bool:
        return bool(self._said)

    def over(self) -> bool:
        """Notes that the part works; returns whether it had a problem before, which the caller then
        logs."""
        was = bool(self._said)
        self._said.clear()
        return was
