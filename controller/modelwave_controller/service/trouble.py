"""What is wrong for a while is said when it begins and when it is over, not at every try."""

import logging

logger = logging.getLogger(__name__)


class Trouble:
    """That of one part of the service."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, problem: str, level: int = logging.WARNING) -> None:
        """Logs each problem once until all is well."""
        if problem not in self._said:
            self._said.add(problem)
            logger.log(level, "%s", problem)

    def over(self) -> bool:
        """All is well; whether it was not before, which is then worth a line."""
        was = bool(self._said)
        self._said.clear()
        return was
