"""Plays histories in several processes."""

import multiprocessing
import signal

from tests.heal.histories import first, play


def played(histories, processes=None):
    """Yields (seed, history, Outcome) for each (seed, history), in their order, up to the first
    that breaks a rule. The other processes have ended by then."""
    first()  # made once, before the processes part
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, initializer=_ignore_ctrl_c) as pool:
        for one in pool.imap(_play, histories):
            if one[2].violation:
                break
            yield one
        else:
            return
    yield one


def _ignore_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the others


def _play(one):
    seed, history = one
    return seed, history, play(history, seed)
