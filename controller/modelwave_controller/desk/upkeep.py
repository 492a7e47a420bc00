"""Does the calls that look after the controller itself."""

import threading

from modelwave_controller.api import upkeep as calls
from modelwave_controller.api.call import Asked
from modelwave_controller.desk.desk import Desk
from modelwave_controller.desk.doing import does
from modelwave_controller.errors import BusyError
from modelwave_controller.operations import acts, log_verifying, pruning, recover
from modelwave_controller.operations.log_walk import WrongLog
from modelwave_controller.results.upkeep import (
    ClockState,
    Numbers,
    PrunedRollout,
    RecoveredNumbers,
    VerifiedLog,
)
from modelwave_controller.storage import clock

AGAIN_SECONDS = 30.0  # after which another may find the log free

_verifying = threading.Lock()  # it goes over the whole log, and everybody may ask for it


@does(calls.CLOCK)
def show_clock(desk: Desk, _asked: Asked) -> ClockState:
    with desk.store.read() as connection:
        return _clock(clock.stored(connection), desk.clock())


@does(calls.ACCEPT_CLOCK)
def accept_clock(desk: Desk, asked: calls.Accept) -> ClockState:
    now = desk.clock()
    with desk.store.write() as connection:
        acts.accept_clock(connection, asked.reason, now, desk.person.name)
        return _clock(clock.stored(connection), now)


def _clock(found: clock.Stored, now: float) -> ClockState:
    return ClockState(now, found.seconds, found.doubt, found.accepted, found.accepted_at)


@does(calls.VERIFY_LOG)
def verify_log(desk: Desk, asked: calls.Verify) -> VerifiedLog:
    kept = None if asked.head is None else log_verifying.head_of(asked.head)
    if not _verifying.acquire(blocking=False):
        raise BusyError("the log is being verified for somebody else", AGAIN_SECONDS)
    try:
        found = log_verifying.verify(desk.store, kept, lambda n, of: desk.tell("log", n, of))
    except WrongLog as error:
        return VerifiedLog(False, event=error.event, problem=error.problem)
    finally:
        _verifying.release()
    newest = str(found.head) if found.head else None
    return VerifiedLog(True, found.events, found.deleted, newest, asked.head)


@does(calls.PRUNABLE)
def list_prunable(desk: Desk, asked: calls.Prune) -> list[PrunedRollout]:
    with desk.store.read() as connection:
        return pruning.prunable(connection, desk.clock() - asked.older_than)


@does(calls.PRUNE_LOG)
def prune_log(desk: Desk, asked: calls.Prune) -> list[PrunedRollout]:
    now = desk.clock()
    return pruning.prune(
        desk.store,
        now - asked.older_than,
        now,
        desk.person.name,
        lambda n, of: desk.tell("answers", n, of),
    )


@does(calls.NUMBERS)
def list_numbers(desk: Desk, _asked: Asked) -> list[Numbers]:
    with desk.store.read() as connection:
        return recover.numbers(connection, desk.home.root.epoch)


@does(calls.NUMBERS_OF)
def show_numbers(desk: Desk, asked: calls.OfModel) -> Numbers:
    with desk.store.read() as connection:
        return recover.of_model(connection, asked.model, desk.home.root.epoch, asked.to)


@does(calls.RECOVER)
def recover_numbers(desk: Desk, asked: calls.OfModel) -> RecoveredNumbers:
    epoch, who = desk.home.root.epoch, desk.person.name
    floor = recover.recover(desk.store, asked.model, epoch, asked.to, desk.clock(), who)
    with desk.store.read() as connection:
        found = recover.of_model(connection, asked.model, epoch, asked.to)
    return RecoveredNumbers(floor + 1, found)
