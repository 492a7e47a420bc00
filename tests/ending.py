"""How a long command of the tests ends that is ended from outside: in order, with its last line."""

import signal
from types import FrameType

INTERRUPTED = 130  # as a shell says it of a program that Ctrl-C ended

_asked: list[int] = []


def end_at_sigterm() -> None:
    """Lets SIGTERM end this process as Ctrl-C does. Else what it has started would go on, and what
    it has written would stay."""
    # Of a command that a script starts with `&`, SIGINT is ignored.
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN

    def end(number: int, frame: FrameType | None) -> None:
        _asked.append(number)
        if ignored:
            signal.default_int_handler(number, frame)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, end)


def was_sigterm() -> bool:
    """Whether SIGTERM came, which goes to one process, and not to those that it has started."""
    return bool(_asked)
