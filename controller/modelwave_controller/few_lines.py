"""Keeps strangers from filling the log: of the lines of one place in the code at most a few a
minute are written, and then how many there were."""

import logging

LINES = 20
SECONDS = 60.0


class FewLines(logging.Filter):
    """A filter for a logger. The lines that are left out are counted, and the next that is written
    has their number."""

    def __init__(self, lines: int = LINES, seconds: float = SECONDS) -> None:
        super().__init__()
        self._lines, self._seconds = lines, seconds
        self._places: dict[tuple[str, int], _Place] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place = self._places.setdefault((record.pathname, record.lineno), _Place(record.created))
        if record.created - place.since >= self._seconds:
            self._begin_anew(place, record)
        elif place.written >= self._lines:
            place.left_out += 1
            return False
        place.written += 1
        return True

    def _begin_anew(self, place: "_Place", record: logging.LogRecord) -> None:
        if place.left_out:
            seconds = record.created - place.since
            text = f"{record.getMessage()} (and {place.left_out} more of this in {seconds:.0f} s)"
            record.msg, record.args = text, ()
        place.since, place.written, place.left_out = record.created, 0, 0


class _Place:
    def __init__(self, since: float) -> None:
        self.since = since
        self.written = self.left_out = 0


def bound(name: str) -> None:
    """Lets the logger of that name write few lines from now on; what it wrote before does not
    count."""
    logger = logging.getLogger(name)
    for one in [one for one in logger.filters if isinstance(one, FewLines)]:
        logger.removeFilter(one)
    logger.addFilter(FewLines())
