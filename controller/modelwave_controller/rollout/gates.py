"""Computes the gate of a stage from the answers of its devices.

Shares are shares of the stage's known devices. The first row that applies decides:

    rolled back above the plan's limit       FAIL          the model is bad
    rolled back, and the evidence reverts    FAIL
    rolled back, and the evidence holds      INCONCLUSIVE
    failed above its limit                   INCONCLUSIVE  devices cannot get or keep the files
    rejected above its limit                 INCONCLUSIVE  the release does not suit the devices
    silent above its limit                   INCONCLUSIVE  the result is unknown
    enough successes are no longer possible  INCONCLUSIVE
    pending answers cannot change the result PASS
    otherwise                                PENDING

A plan without a limit of roll-backs is judged by evidence (judge/rollbacks.py), from the roll-backs
among all devices that the rollout has opened: one of the first two reverts, and one of 14 holds,
so there is no share at which the verdict jumps. A plan's own limit takes the evidence's place.

A row applies as soon as it is certain: more roll-backs than the limit fail the stage at once.
Before the deadline a device without an answer is pending, after it silent (TIMED_OUT). A
canceled order says as little about the model as silence and is counted with it; so does one that
the device's program defers, but only after the deadline, as until then it may still go on. Rejected
is never counted with failed. A later answer replaces the earlier one, so a device that succeeded
and then rolls back can still fail the stage.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import NamedTuple

from modelwave_controller.judge.rollbacks import GO_ON, REVERT, RollBacks, judge_rollbacks
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.rollout.plan import Stage, share

PENDING = "PENDING"


@dataclass(frozen=True)
class Counts:
    """The numbers of devices by their latest answer; `devices` is the number of all devices in the
    stage's slots."""

    devices: int = 0
    in_progress: int = 0
    deferred: int = 0
    succeeded: int = 0
    rolled_back: int = 0
    failed: int = 0
    rejected: int = 0
    canceled: int = 0

    @property
    def answered(self) -> int:
        return self.succeeded + self.rolled_back + self.failed + self.rejected + self.canceled

    @property
    def pending(self) -> int:
        """The devices that have not answered, or that are in progress or defer it."""
        return self.devices - self.answered

    @property
    def queued(self) -> int:
        return self.pending - self.in_progress - self.deferred


NOBODY = Counts()


def total(counts: Iterable[Counts]) -> Counts:
    """Returns the sums of several stages."""
    return Counts(*(sum(numbers) for numbers in zip(*map(astuple, counts), strict=True)))


class Gate(NamedTuple):
    verdict: str
    reason: str


def judge_stage(stage: Stage, counts: Counts, overdue: bool, opened: Counts | None = None) -> Gate:
    """Returns the gate by the rules above. `overdue` says that the stage's deadline has passed;
    `opened` are the answers of all devices that the rollout has opened, None: of this stage's."""
    pending = 0 if overdue else counts.pending
    silent = counts.canceled + counts.pending - pending
    evidence = _rolled_back(stage, counts if opened is None else opened)
    if evidence is not None and evidence.word != GO_ON:
        return Gate(FAIL if evidence.word == REVERT else INCONCLUSIVE, evidence.reason)
    most_back = 100.0 if stage.max_rolled_back_percent is None else stage.max_rolled_back_percent
    bounds = (
        (FAIL, counts.rolled_back, "rolled back", most_back),
        (INCONCLUSIVE, counts.failed, "failed", stage.max_failed_percent),
        (INCONCLUSIVE, counts.rejected, "rejected", stage.max_rejected_percent),
        (INCONCLUSIVE, silent, _silent_word(counts), stage.max_silent_percent),
    )
    for verdict, number, word, limit in bounds:
        if _beyond(number, counts.devices, limit):
            return Gate(verdict, f"{_of(number, counts, word)}, the limit is {limit:g} %")
    least = stage.min_succeeded_percent
    if _short(counts.succeeded + pending, counts.devices, least):
        return Gate(
            INCONCLUSIVE,
            f"{_of(counts.succeeded, counts, 'succeeded')}, at least {least:g} % must succeed",
        )
    certain = not _short(counts.succeeded, counts.devices, least) and not any(
        _beyond(number + pending, counts.devices, limit) for _, number, _, limit in bounds
    )
    return Gate(PASS if certain else PENDING, tally(counts, overdue))


def without_overruled(
    stage: Stage, counts: Counts, overruled: int, opened: Counts, overruled_of_opened: int
) -> Stage:
    """Returns the stage, without its rule of roll-backs if no more have rolled back than when the
    operator overruled its gate: a plan's limit is about the stage's devices, the evidence about all
    `opened` ones."""
    by_evidence = stage.max_rolled_back_percent is None
    known = overruled_of_opened if by_evidence else overruled
    number = opened.rolled_back if by_evidence else counts.rolled_back
    if not known or number > known:
        return stage
    return stage.model_copy(update={"max_rolled_back_percent": 100.0})


def _rolled_back(stage: Stage, opened: Counts) -> RollBacks | None:
    """Returns what the evidence says; None if the plan has a limit, or none has rolled back."""
    if stage.max_rolled_back_percent is not None or not opened.rolled_back:
        return None
    return judge_rollbacks(opened.rolled_back, opened.devices)


def tally(counts: Counts, overdue: bool) -> str:
    """Returns all counts that are not 0, such as "3 of 4 devices succeeded, 1 rolled back"."""
    if not counts.devices:
        return "no known device in its slots"
    rest = (
        (counts.rolled_back, "rolled back"),
        (counts.failed, "failed"),
        (counts.rejected, "rejected"),
        (counts.canceled, "canceled"),
        (counts.deferred, "deferred"),
        (counts.pending - counts.deferred if overdue else 0, "timed out"),
        (0 if overdue else counts.in_progress, "in progress"),
        (0 if overdue else counts.queued, "without an answer yet"),
    )
    parts = [f"{counts.succeeded} of {_devices(counts.devices)} succeeded"]
    return ", ".join(parts + [f"{number} {word}" for number, word in rest if number])


def _silent_word(counts: Counts) -> str:
    return "silent, deferred or canceled" if counts.deferred else "silent or canceled"


def _of(number: int, counts: Counts, word: str) -> str:
    percent = 100 * number / counts.devices
    return f"{number} of {_devices(counts.devices)} {word} ({percent:.3g} %)"


def _devices(number: int) -> str:
    return f"{number} device" if number == 1 else f"{number} devices"


def _beyond(number: int, devices: int, limit_percent: float) -> bool:
    return number > share(limit_percent) * devices


def _short(number: int, devices: int, least_percent: float) -> bool:
    return number < share(least_percent) * devices
