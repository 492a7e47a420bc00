"""Decides which agent the launcher starts (launcher.py). An agent may be in a bank of the model
`agent`, "a" or "b", or be the one that was installed with the launcher, OWN.

Rules:

  1. The journal of the model `agent` says what is live. The launcher reads it when no agent runs,
     and never writes it.
  2. A trial begins only when the agent that runs asks for it, and the journal says `trial`. So a
     power cut, or a restart of the launcher, ends a trial: what is confirmed starts.
  3. An agent on trial that ends by itself, is silent, or does not bring a report to the broker and
     back in time, has failed. What is confirmed starts, and is told the reason (`verdict`), with
     which it rolls the release back.
  4. An agent on trial that confirms itself (the journal makes its bank live) is confirmed.
  5. A confirmed agent that cannot be started, or that ends MAX_FAILED times in a row before it has
     brought a report back, is passed over: first for the other bank, if that was confirmed once,
     then for OWN. The one that starts is told (`lost`), so that the bank counts as lost and is
     filled again.

Nothing here reads a file, a clock or a process.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

OWN = ""
BANKS = ("a", "b")
MAX_FAILED = 3  # starts in a row


class Start(NamedTuple):
    """What the launcher starts. `place`: a bank or OWN. `verdict`: why the trial before it has
    failed. `lost`: why the live bank was passed over."""

    place: str
    on_trial: bool = False
    verdict: str = ""
    lost: str = ""


class End(NamedTuple):
    """How an agent ended. `asked`: it has asked for another to be started. `reported`: it had
    brought a report back."""

    start: Start
    asked: bool
    reported: bool
    reason: str


class Failures:
    """Counts the starts in a row of each place that came to nothing."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.reasons: dict[str, str] = {}

    def note(self, end: End) -> None:
        place = end.start.place
        if end.reported or end.asked:
            self._counts.pop(place, None)
        elif not end.start.on_trial:
            self._counts[place] = self._counts.get(place, 0) + 1
            self.reasons[place] = end.reason

    def forget(self, place: str) -> None:
        self._counts.pop(place, None)

    def are_too_many(self, place: str) -> bool:
        return self._counts.get(place, 0) >= MAX_FAILED


def next_start(
    record: Mapping[str, Any] | None,
    end: End | None,
    is_usable: Callable[[str], bool],
    failures: Failures,
) -> Start:
    """Returns what to start. `record`: of the model `agent`; None if there is none, or it cannot be
    read. `end`: of the agent that ran before; None at the launcher's own start. `is_usable`:
    whether the agent of a bank is installed to its end."""
    if record is None:
        return Start(OWN)
    verdict = ""
    if end and end.asked and not end.start.on_trial and record["state"] == "trial":
        candidate = BANKS[1 - record["live"]]
        if is_usable(candidate):
            failures.forget(candidate)
            return Start(candidate, on_trial=True)
        verdict = f"bank {candidate} has no whole environment"
    elif end and end.start.on_trial and not end.asked and not _is_live(record, end.start.place):
        verdict = end.reason
    return _confirmed(record, is_usable, failures)._replace(verdict=verdict)


def is_readable(record: object) -> bool:
    """Whether `record` has what the rules read of a record: an agent of years later may write
    another one."""
    if not isinstance(record, dict) or not isinstance(record.get("state"), str):
        return False
    live, banks = record.get("live"), record.get("banks")
    if live not in (0, 1) or not isinstance(banks, list) or len(banks) != len(BANKS):
        return False
    return all(
        entry is None or (isinstance(entry, dict) and "confirmed" in entry) for entry in banks
    )


def _confirmed(
    record: Mapping[str, Any], is_usable: Callable[[str], bool], failures: Failures
) -> Start:
    lost = ""
    live = record["live"]
    for bank in (live, 1 - live):
        place = BANKS[bank]
        if not _is_confirmed(record, bank):
            continue
        if not is_usable(place):
            problem = f"bank {place}: its environment is not whole"
        elif failures.are_too_many(place):
            problem = f"bank {place}: {MAX_FAILED} starts failed: {failures.reasons[place]}"
        else:
            return Start(place, lost=lost)
        lost = lost or (problem if bank == live else "")
    return Start(OWN, lost=lost)


def _is_confirmed(record: Mapping[str, Any], bank: int) -> bool:
    entry = record["banks"][bank]
    return entry is not None and bool(entry["confirmed"])


def _is_live(record: Mapping[str, Any], place: str) -> bool:
    return place == BANKS[record["live"]] and _is_confirmed(record, record["live"])
