"""What the launcher and the agent tell one another. The launcher may be years older than the agent:
words are added here, and never changed; what is not known is ignored.

The launcher passes in the environment
    MODELWAVE_LAUNCHER   the number of the descriptor of a pipe, on which the agent writes lines
    MODELWAVE_START      JSON: {"place", "on_trial", "verdict", "lost"} as in choice.Start

The agent writes
    alive                every few seconds
    reported             once: it has brought a report to the broker and back
    confirmed            once: it was on trial, and is live now
    switch SECONDS       start another agent when I have ended. On trial it must confirm itself
                         within SECONDS of its first report, and some more
"""

import contextlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelwave_agent.host.self_update.choice import Start

if TYPE_CHECKING:
    from typing import Self

PIPE, START = "MODELWAVE_LAUNCHER", "MODELWAVE_START"
ALIVE, REPORTED, CONFIRMED, SWITCH = "alive", "reported", "confirmed", "switch"
MAX_LINE_BYTES = 200
ALIVE_SECONDS = 10  # between two lines of an agent that runs


def environment(start: Start, pipe: int) -> dict[str, str]:
    """Returns the launcher's variables for an agent."""
    return {PIPE: str(pipe), START: json.dumps(start._asdict())}


class Line:
    """The agent's end. `start`: how it was started."""

    def __init__(self, start: Start, pipe: int) -> None:
        self.start = start
        self._pipe = pipe
        os.set_inheritable(pipe, False)  # not for hooks
        os.set_blocking(pipe, False)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Self | None":
        """Returns the line to the launcher that has started this process; None if none has."""
        with contextlib.suppress(KeyError, ValueError, TypeError, OSError):
            told = json.loads(environ[START])
            known = {name: told[name] for name in Start._fields if name in told}
            return cls(Start(**known), int(environ[PIPE]))
        return None

    def say(self, word: str) -> bool:
        """Writes a line. False if the launcher has gone."""
        try:
            os.write(self._pipe, f"{word}\n".encode())
        except BlockingIOError:
            pass  # it is busy, and has enough lines to read
        except OSError:
            return False
        return True
