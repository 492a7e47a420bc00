"""How a long command of the tests ends that is ended from outside: in order, with its last line."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
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


def asked_to_end() -> Callable[[], None]:
    """From now on Ctrl-C and SIGTERM raise nothing where they come: in a callback of Python's it
    would get lost, and in a task leave the others. Returns what raises KeyboardInterrupt if one of
    them came. A second one raises it at once."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, note)
    return check


@contextlib.contextmanager
def loading(first: str) -> Iterator[None]:
    """For slow imports, in which Ctrl-C may come. `first`: what is begun after them."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"ended by Ctrl-C before the first {first}", file=sys.stderr)
        sys.exit(INTERRUPTED)


def was_sigterm() -> bool:
    """Whether SIGTERM came, which goes to one process, and not to those that it has started."""
    return bool(_asked)
