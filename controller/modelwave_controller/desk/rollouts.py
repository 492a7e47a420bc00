"""Does the calls about rollouts."""

from sqlalchemy import Connection

from modelwave_controller.api import rollouts as calls
from modelwave_controller.api.call import Asked
from modelwave_controller.desk.desk import Desk
from modelwave_controller.desk.doing import does
from modelwave_controller.operations import control, history, report, rollouts, trusted
from modelwave_controller.operations.status import StatusReader, entries
from modelwave_controller.results.report import RolloutReport
from modelwave_controller.results.rollouts import Entry, Promoted, Status
from modelwave_shared import checkout


@does(calls.LIST)
def list_all(desk: Desk, _asked: Asked) -> list[Entry]:
    with desk.store.read() as connection:
        return entries(connection, desk.clock())


@does(calls.STATUS)
def status(desk: Desk, asked: calls.One) -> Status:
    number = _number_of(desk, asked.rollout)

    def make(connection: Connection) -> StatusReader:
        return StatusReader(
            connection, str(number), with_series=True, trust=lambda: trusted.troubles(desk.home)
        )

    return desk.statuses.read(desk.store, number, desk.clock, make)


@does(calls.REPORT)
def make_report(desk: Desk, asked: calls.Report) -> RolloutReport:
    fleet, program = desk.home.config.fleet, checkout.described()
    return report.make(
        desk.store, calls.none_if_newest(asked.rollout), fleet, program, desk.clock(), asked.utc
    )


@does(calls.PAUSE)
def pause(desk: Desk, asked: calls.Act) -> Status:
    words = _because("paused", asked)
    return _after(desk, rollouts.pause(desk.store, asked.rollout, words, *_who(desk)))


@does(calls.RESUME)
def resume(desk: Desk, asked: calls.Resume) -> Status:
    return _after(desk, rollouts.resume(desk.store, asked.rollout, asked.accept, *_who(desk)))


@does(calls.PROMOTE)
def promote(desk: Desk, asked: calls.Promote) -> Promoted:
    number, skipped = control.promote(
        desk.store, asked.rollout, asked.reason, *_who(desk), asked.force, asked.full
    )
    return Promoted(skipped, _after(desk, number))


@does(calls.APPROVE_STAGE)
def approve(desk: Desk, asked: calls.Approve) -> Status:
    number = control.approve(desk.store, asked.rollout, asked.stage, asked.reason, *_who(desk))
    return _after(desk, number)


@does(calls.RETRY)
def retry(desk: Desk, asked: calls.Retry) -> Status:
    number, _ = rollouts.retry(
        desk.store,
        calls.none_if_newest(asked.rollout),
        asked.devices,
        asked.outcomes,
        _because("retried", asked),
        *_who(desk),
    )
    return _after(desk, number)


@does(calls.ABORT)
def abort(desk: Desk, asked: calls.Act) -> Status:
    words = _because("aborted", asked)
    return _after(desk, rollouts.abort(desk.store, asked.rollout, words, *_who(desk)))


@does(calls.REVERT)
def revert(desk: Desk, asked: calls.Act) -> Status:
    words = _because("reverted", asked)
    least = desk.home.root.minimum
    number = rollouts.revert(desk.store, asked.rollout, words, *_who(desk), minimum=least)
    return _after(desk, number)


def _number_of(desk: Desk, which: str) -> int:
    """Returns the number of the rollout; a number is not looked up, and may be of none."""
    if which.isascii() and which.isdecimal() and which == str(int(which)):
        return int(which)
    return history.number_of(desk.store, calls.none_if_newest(which))


def _who(desk: Desk) -> tuple[float, str]:
    return desk.clock(), desk.person.name


def _because(what: str, asked: calls.Act) -> str:
    said = f"{what} by the operator"
    return f"{said}: {asked.reason}" if asked.reason else said


def _after(desk: Desk, number: int) -> Status:
    """Returns the status after an act."""
    with desk.store.read() as connection:
        return StatusReader(connection, str(number)).read(connection, desk.clock())
