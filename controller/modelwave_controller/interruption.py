"""Signals that end a command in order: what was begun is cleaned up, and the message says how far
it came.

While the modules are loaded, nothing has to be cleaned up, and the process ends at once: an
exception in the middle of an import may get lost. Then a signal raises Interrupted in the main
thread.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asks this process to end. Its notes say what was done until then. It is no
    KeyboardInterrupt, which versions of Click and Typer replace, each in another way."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class _Signals:
    def __init__(self) -> None:
        self.loading = False
        self.held = 0  # blocks of `held_back` that run
        self.pending: int | None = None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        if self.loading:
            os.write(2, b"modelwave: interrupted\n")
            os._exit(128 + number)
        if self.held:
            self.pending = number
        else:
            raise Interrupted(number)


_signals = _Signals()


def begin() -> None:
    """From now on a signal ends the process; call it before slow imports. Signals that are ignored
    (nohup) stay ignored."""
    _signals.loading = True
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _signals.handle)


def loaded() -> None:
    """From now on a signal raises Interrupted, if `begin` was called."""
    _signals.loading = False


def end() -> None:
    """From now on a signal ends the process without a word: the command is done."""
    for number in ENDING:
        if signal.getsignal(number) == _signals.handle:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """A signal during the block is raised at its end, or ignored in the clean-up after an earlier
    one. For short blocks that must be done as a whole."""
    ends_already = isinstance(sys.exc_info()[1], Interrupted)
    _signals.held += 1
    try:
        yield
    finally:
        _signals.held -= 1
        number = _signals.pending
        if not _signals.held:
            _signals.pending = None
    if number is not None and not _signals.held and not ends_already:
        raise Interrupted(number)


@contextlib.contextmanager
def saying(state: str) -> Iterator[None]:
    """Adds to an interruption of the block what the state is then, and the way out."""
    try:
        yield
    except Interrupted as error:
        error.add_note(state)
        raise


def message(error: Interrupted) -> str:
    return "; ".join(["interrupted", *getattr(error, "__notes__", [])])
