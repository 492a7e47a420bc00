"""The log's lines about one board, and its console output among them.

A board may print what it likes, as fast as it likes. A line has at most MAX_CHARACTERS bytes, and
only characters that can be printed; BURST of them come at once, then one a second. What is left out
is counted, and told with the next line.
"""

import logging

from modelwave_agent.host.log import logger
from modelwave_agent.host.relay.allowance import Allowance
from modelwave_agent.ports import Clock

MAX_CHARACTERS = 200
BURST = 30
SECONDS = 1.0


class BoardLog:
    def __init__(self, device: str, clock: Clock) -> None:
        self.device = device
        self._lines = Allowance(clock, BURST, SECONDS)
        self._left_out = 0
        self._rest = b""  # of the console, without the end of its line

    def info(self, text: str) -> None:
        self._tell(logging.INFO, text)

    def warning(self, text: str) -> None:
        self._tell(logging.WARNING, text)

    def console(self, piece: bytes) -> None:
        """Takes what came over the wire and is no frame; noise of the wire is left out."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) >= MAX_CHARACTERS:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            shown = line[:MAX_CHARACTERS]
            text = _printable(shown)
            if 2 * len(text) > len(shown):
                self.info(f"prints: {text}")

    def _tell(self, level: int, text: str) -> None:
        if not self._lines.takes():
            self._left_out += 1
            return
        if self._left_out:
            logger.log(level, "%s: %d lines were left out", self.device, self._left_out)
            self._left_out = 0
        logger.log(level, "%s: %s", self.device, text[: MAX_CHARACTERS + 20])


def _printable(line: bytes) -> str:
    text = line.decode("utf-8", "ignore")
    return "".join(c for c in text if c.isprintable()).strip()
