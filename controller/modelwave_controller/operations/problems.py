"""Finds the devices of a rollout that did not succeed, and what each says about it."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from modelwave_controller.operations import gateway_words
from modelwave_controller.operations.health import Health
from modelwave_controller.phrases import moment
from modelwave_controller.results.rollouts import Problem
from modelwave_controller.rollout import retry, wanted
from modelwave_controller.rollout.events import IN_PROGRESS
from modelwave_controller.rollout.facts import Known, later, newest_answers, population_of
from modelwave_controller.rollout.numbers import NO_NUMBER, Number
from modelwave_controller.rollout.state import Answer, Rollout, StageState, State, Wave
from modelwave_controller.storage import gateways, last_heard
from modelwave_controller.storage.ahead import Comparison
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.devices import RefusalNote
from modelwave_controller.storage.gateways import Down
from modelwave_controller.storage.tables import device_models, devices
from modelwave_shared.words import SHADOWED, SUCCEEDED

# In place of an outcome:
SILENT = "silent"  # for a device without an answer
NO_ANSWER = "no answer by the deadline"
REFUSED = "refused"  # for one that refuses the order by its number

Answered = tuple[Wave, dict[str, Answer]]  # the answers by device


def problems_of(
    state: State,
    rollout: Rollout,
    known: Known,
    refusals: Sequence[RefusalNote],
    compared: Comparison,
    clock: float,
) -> list[Problem]:
    """Returns the devices that did not succeed, the newest stage first, a revert last; then those
    that refuse the orders, silent ones that say why, and those that say nothing after their
    deadline. `refusals` are what devices of the rollout's targets have refused; `clock` is in
    seconds of the rollout clock."""
    waves = _answers(rollout, known)
    refusing = _refusing(rollout, compared)
    named = {one.device for one in refusing}
    silent = [one for one in _silent(state, rollout, waves, refusals) if one.device not in named]
    found = [*_unsuccessful(waves), *refusing, *silent]
    return [*found, *_late(state, rollout, known, clock, {one.device for one in found})]


def with_moments(
    connection: Connection, model: str, found: Sequence[Problem], state: Health, utc: bool = False
) -> list[Problem]:
    """Returns the problems with `then`, where the device's newest report still has the reason; of
    devices that said nothing with the time of their last report, and with their gateway if that is
    known to be down."""
    return [
        one
        for chunk in chunks(found)
        for one in _with_moments(connection, model, chunk, state, utc)
    ]


def _with_moments(
    connection: Connection, model: str, found: Sequence[Problem], state: Health, utc: bool
) -> list[Problem]:
    its, reports, names = device_models.c, devices.c, [one.device for one in found]
    query = (
        select(its.device, its.reason, its.tries, its.next_seconds, last_heard.SEEN_AT)
        .select_from(last_heard.NEWEST)
        .join(device_models, its.device == reports.device)
        .where(its.model == model, its.tries > 0, its.device.in_(names))
    )
    down = gateways.silencing(connection, names) if state.up_to_date else {}
    then = {
        (row.device, NO_ANSWER): _silence(down.get(row.device), row.seen_at, utc)
        for row in connection.execute(
            select(reports.device, last_heard.SEEN_AT)
            .select_from(last_heard.NEWEST)
            .where(reports.device.in_(names))
        )
    } | {
        (row.device, row.reason): _next_try(row.seen_at + row.next_seconds, state.now, utc)
        for row in connection.execute(query)
    }
    return [replace(one, then=then.get((one.device, one.reason), "")) for one in found]


def _silence(gateway: Down | None, seen_at: float, utc: bool) -> str:
    last = f"its last report is of {moment(seen_at, utc)}"
    return f"{gateway_words.its(gateway.name, gateway.since, utc)}; {last}" if gateway else last


def _next_try(at: float, now: float, utc: bool) -> str:
    """Returns when a device tries again; a time that has passed is left out, as a device that is
    deferred once more for the same reason does not report it."""
    words = "it tries again by itself"
    return f"{words} at {moment(at, utc)}" if at > now else words


def _answers(rollout: Rollout, known: Known) -> list[Answered]:
    """Returns the devices' newest answers, the newest stage first, a revert last; not of a wave
    whose answers were deleted."""
    after_stages, after_back = later(rollout)
    waves: list[tuple[Wave, Wave | None]] = [(w, after_stages) for w in reversed(rollout.stages)]
    if rollout.back:
        waves.append((rollout.back, after_back))
    return [
        (wave, newest_answers(wave, population_of(wave, known), after))
        for wave, after in waves
        if not wave.counted
    ]


def _unsuccessful(waves: Sequence[Answered]) -> list[Problem]:
    """Returns the devices that answered, and did not succeed; those in progress last, if they say
    what keeps them."""
    newest: dict[str, Number] = {}  # what a device answered to a shadow order may be over
    for wave, answers in waves:
        if isinstance(wave, StageState):
            newest |= {
                device: max(newest.get(device, NO_NUMBER), answer.number)
                for device, answer in answers.items()
            }
    found = [
        Problem(device, answer.outcome, answer.reason)
        for _, answers in waves
        for device, answer in answers.items()
        if answer.outcome not in (SUCCEEDED, SHADOWED)
        and (answer.outcome != IN_PROGRESS or answer.reason)
        and answer.number >= newest.get(device, NO_NUMBER)
    ]
    return sorted(found, key=lambda one: one.outcome == IN_PROGRESS)


def _silent(
    state: State, rollout: Rollout, waves: Sequence[Answered], refusals: Sequence[RefusalNote]
) -> list[Problem]:
    """Returns the devices without an outcome of the rollout's order, if it is still their newest,
    that report a refused message: such as an order in a format that they cannot read, to which
    they cannot answer otherwise. They may still have been in progress with an earlier one."""
    found = []
    for refusal in refusals:
        place = (refusal.target, refusal.slot, refusal.device)
        desired = wanted.of(state, rollout.model, *place)
        for wave, answers in waves:
            ordered = any(
                desired is not None
                and order.release.manifest == desired.release.manifest
                and order.names(*place)
                for order in wave.orders
            )
            answer = answers.get(refusal.device)
            if not ordered:
                continue
            if answer is None:
                found.append(Problem(refusal.device, SILENT, refusal.note))
            elif answer.outcome == IN_PROGRESS and not answer.reason:
                found.append(Problem(refusal.device, IN_PROGRESS, refusal.note))
    return found


def _late(
    state: State, rollout: Rollout, known: Known, clock: float, told: set[str]
) -> list[Problem]:
    """Returns the devices without an answer after their deadline, but for those in `told`."""
    words = retry.outcomes(state, rollout, known, clock)
    late = retry.chosen(words, [retry.TIMED_OUT])
    return [Problem(device, SILENT, NO_ANSWER) for device in late if device not in told]


def _refusing(rollout: Rollout, compared: Comparison) -> list[Problem]:
    """Returns the devices that refuse the rollout's orders, because they have taken a newer one
    that this controller does not know of."""
    orders = [order for wave in rollout.waves() for order in wave.orders]
    return [
        Problem(
            one.device,
            REFUSED,
            f"its order {one.seq} is newer than this controller's {compared.given}: this "
            f"controller is behind, `modelwave recover {rollout.model}`",
        )
        for one in compared.ahead
        if any(order.names(one.target, one.slot, one.device) for order in orders)
    ]
