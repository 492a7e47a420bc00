"""Plays histories in several processes."""

import multiprocessing
import signal

from tests.heal.histories import first, play


def played(histories, processes=None):
    """Yields (seed, history, Outcome) for each (seed, history), in their order."""
    first()  # made once, before the processes part
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, initializer=_ignore_ctrl_c) as pool:
        yield from pool.imap(_play, histories)


def _ignore_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the others


def _play(one):
    seed, history = one
    return seed, history, play(history, seed)
