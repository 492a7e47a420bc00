"""Logs the changes of each model's state for people, one line per change."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from modelwave_agent.ports import LinkLost
from modelwave_agent.record import clean
from modelwave_agent.required_topics import DENIED
from modelwave_agent.update import Update


class _GuardedLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs, unless a handler or filter of the program raises: that must not end the agent."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        with contextlib.suppress(Exception):
            super().log(level, msg, *args, **kwargs)


logger = _GuardedLogger(logging.getLogger("modelwave_agent"), {})


@contextlib.contextmanager
def denials_told(whose: str = "") -> Iterator[None]:
    """Logs it if the broker denies what the agent cannot do without; of a lost connection the link
    tells. `whose`: as in Changes."""
    try:
        yield
    except LinkLost as error:
        if str(error).startswith(DENIED):
            logger.warning("%s%s; is it enrolled with this target and model?", whose, error)
        raise


class Changes:
    """Replaces `update.report.changed`: logs the change, then calls the original."""

    def __init__(self, update: Update, changed: Callable[[], None], whose: str = "") -> None:
        """`whose`: begins each line, where the program has several devices."""
        self.update = update
        self.whose = whose
        self.changed = changed
        self.told = ""

    def __call__(self) -> None:
        line = describe(self.update)
        if line != self.told:
            self.told = line
            logger.info("%s%s", self.whose, line)
        self.changed()


def describe(update: Update) -> str:
    """Returns a line such as "digits: trial, release 1 (v1) is live, order 7"."""
    state, live, report = update.state(), update.live(), update.report
    parts = [f"{update.model}: {state['state']}"]
    parts.append(
        f"release {live.release} ({clean(live.version)}) is live" if live else "no release"
    )
    if state["seq"]:
        parts.append(f"order {state['seq']} {state['outcome']}".strip())
    refused = report.note and f"refused a message: {clean(report.note)}"
    reasons = (state["reason"], *report.troubles.values(), refused)
    return ", ".join(parts) + "".join(f": {reason}" for reason in reasons if reason)
