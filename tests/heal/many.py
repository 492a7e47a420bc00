"""Plays histories in several processes."""

import multiprocessing
import signal

from tests.heal.histories import first, made, play


def played(seeds, processes=None):
    """Yields (seed, Outcome) for each of the seeds, in their order."""
    first()  # made once, before the processes part
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, initializer=_ignore_ctrl_c) as pool:
        yield from pool.imap(_play, seeds)


def _ignore_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the others


def _play(seed):
    return seed, play(made(seed), seed)
