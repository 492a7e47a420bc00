"""Deletes from the database what nobody asks for any more, one short transaction at a time.

    1. The answers to rollouts that were over long ago, which are most of the log. Their counts are
       appended to the log first, with the names of the devices that rolled back: they are what
       `rollout status` shows from then on. What was decided, and who did what, stays.
    2. The messages of these rollouts' orders, as nobody puts them on a topic again.
    3. The sums of what devices measured of the releases of these rollouts (metrics.py).

A rollout is old if it is over, nothing was heard of it for a time, no order of it stands, and none
that stands names its release: of those that are ordered, `retry`, `deployments` and the like want
to know each device.

If this is killed, the next one goes on.
"""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, text, tuple_, update

from modelwave_controller.rollout.events import Condensed, WaveCounts, by
from modelwave_controller.rollout.facts import answers_in, later
from modelwave_controller.rollout.state import Rollout, State, Wanted
from modelwave_controller.storage import counting, log
from modelwave_controller.storage.counted import Counted
from modelwave_controller.storage.store import Transactions
from modelwave_controller.storage.tables import (
    NO_SUCCESS,
    WINDOW_TABLES,
    answered,
    blobs,
    orders,
    outbox,
)
from modelwave_controller.storage.waves import BACK
from modelwave_shared.words import ROLLED_BACK

# In a transaction. Each message is searched for in all of the outbox.
ANSWERS_AT_ONCE, MESSAGES_AT_ONCE, DEVICES_AT_ONCE = 1000, 10, 500


class Deleted(NamedTuple):
    """What a step has deleted: so many answers to a rollout; 0: something else."""

    rollout: int
    answers: int


NO_ANSWERS = Deleted(0, 0)

ReleaseNumber = tuple[str, int]  # model and release


def due(connection: Connection, state: State, before: float) -> list[Rollout]:
    """Returns the old rollouts, of which nothing was heard since `before` (Unix seconds), and those
    whose answers were counted already, as far as the log has answers to them."""
    standing = _standing(state)
    return [
        one
        for one in state.rollouts.values()
        if (_is_condensed(one) or _is_past(one, standing))
        and log.has_answers(connection, one.id)
        and (_is_condensed(one) or not log.has_events(connection, one.id, before))
    ]


def steps(
    store: Transactions,
    state: State,
    before: float,
    now: float,
    actor: str,
    but: set[ReleaseNumber],
) -> Iterator[Deleted]:
    """Deletes what is old, a step at each call of next(). `state` goes on in place; `before` and
    `now` are in Unix seconds. `but` has releases of which there are no sums any more; those whose
    sums are deleted are added."""
    with store.read() as connection:
        found = due(connection, state, before)
    for one in found:
        with store.write() as connection:
            is_counted = _condense(connection, state, one.id, now, actor)
        yield NO_ANSWERS
        while is_counted:
            with store.write() as connection:
                deleted = log.delete_answers(connection, one.id, ANSWERS_AT_ONCE)
            yield Deleted(one.id, deleted)
            is_counted = deleted == ANSWERS_AT_ONCE
    with store.read() as connection:
        log.without_answers(connection, state)
    yield from _delete_messages(store, state)
    yield from _delete_sums(store, _past_releases(state) - but)
    but |= _past_releases(state)


def _standing(state: State) -> list[Wanted]:
    """Returns the orders that stand now."""
    of_slots = (order for slots in state.desired.values() for order in slots.values())
    of_devices = (one.wanted for its in state.alone.values() for one in its.values())
    return [*{*of_slots, *of_devices}]


def _is_past(rollout: Rollout, standing: list[Wanted]) -> bool:
    """Returns whether nobody asks any more which device gave which answer."""
    if not rollout.over or rollout.retry or rollout.not_understood:
        return False
    named = {release.manifest for release in rollout.created.releases.values()}
    return all(
        order.rollout != rollout.id and order.release.manifest not in named for order in standing
    )


def _is_condensed(rollout: Rollout) -> bool:
    return any(wave.counted is not None for wave in rollout.waves())


def _condense(connection: Connection, state: State, number: int, now: float, actor: str) -> bool:
    """Appends the counts, if they are not in the log, and how many answers will be deleted. Returns
    whether they may be then: the operator may have done something with the rollout meanwhile."""
    state = log.without_answers(connection, state)
    rollout = state.rollouts[number]
    if _is_condensed(rollout):
        if late := log.late_answers(connection, number):
            same = [wave.counted for wave in rollout.waves() if wave.counted is not None]
            log.append(connection, number, now, [by(actor, Condensed(waves=same, answers=late))])
        return True
    if not _is_past(rollout, _standing(state)):
        return False
    known = Counted(connection, rollout.model)
    waves: list[int | None] = [*range(len(rollout.stages)), *([None] if rollout.back else [])]
    found = []
    for wave in waves:
        counts = known.answers(rollout, wave)
        back = rolled_back(connection, rollout, wave)
        found.append(
            WaveCounts(
                stage=wave, devices=counts.devices, answers=answers_in(counts), rolled_back=back
            )
        )
    body = Condensed(waves=found, answers=log.answers_of(connection, number))
    log.append(connection, number, now, [by(actor, body)])
    counting.drop_counts(connection, number)
    return True


def rolled_back(connection: Connection, rollout: Rollout, stage: int | None) -> list[str]:
    """Returns the devices whose newest answer to a stage, or to the revert (None), is that they
    rolled back."""
    its, follows = answered.c, later(rollout)[1 if stage is None else 0] is not None
    query = select(its.device, its.outcome, its.later).where(
        its.rollout == rollout.id, its.wave == (BACK if stage is None else stage), text(NO_SUCCESS)
    )
    return sorted(
        device
        for device, outcome, after in connection.execute(query)
        if ((after if follows else "") or outcome) == ROLLED_BACK
    )


def _delete_messages(store: Transactions, state: State) -> Iterator[Deleted]:
    """Deletes the messages of the orders of condensed rollouts that are on no topic."""
    past = [one.id for one in state.rollouts.values() if _is_condensed(one)]
    key = (orders.c.model, orders.c.epoch, orders.c.seq)
    query = select(*key, orders.c.message).where(orders.c.rollout.in_(past), orders.c.message != "")
    after = ("", 0, 0)
    while past:
        with store.write() as connection:
            page = query.where(tuple_(*key) > after).order_by(*key).limit(MESSAGES_AT_ONCE)
            rows = connection.execute(page).all()
            digests = {row.message for row in rows}
            held = select(outbox.c.blob).where(outbox.c.blob.in_(digests))
            free = digests - {*connection.scalars(held)}
            if free:
                its = orders.c.message.in_(free)
                keys = tuple_(*key).in_([tuple(row[:3]) for row in rows])
                connection.execute(update(orders).where(keys, its).values(message=""))
                connection.execute(delete(blobs).where(blobs.c.sha256.in_(free)))
        yield NO_ANSWERS
        if len(rows) < MESSAGES_AT_ONCE:
            return
        after = (rows[-1].model, rows[-1].epoch, rows[-1].seq)


def _past_releases(state: State) -> set[ReleaseNumber]:
    """Returns the releases of condensed rollouts that no other rollout and no order names."""
    past, named = set[ReleaseNumber](), set[ReleaseNumber]()
    for one in state.rollouts.values():
        its = {(one.model, release.release) for release in one.created.releases.values()}
        if _is_condensed(one):
            past |= its
        else:
            before = one.created.previous.values()
            named |= its | {(one.model, release.release) for release in before}
    for (model, _), slots in state.desired.items():
        named |= {(model, order.release.release) for order in slots.values()}
    for model, devices in state.alone.items():
        named |= {(model, one.wanted.release.release) for one in devices.values()}
    return past - named


def _delete_sums(store: Transactions, releases: set[ReleaseNumber]) -> Iterator[Deleted]:
    """Deletes the sums of these releases, going through the devices."""
    by_model: dict[str, list[int]] = {}
    for model, release in sorted(releases):
        by_model.setdefault(model, []).append(release)
    for sums in (kind.sums for kind in WINDOW_TABLES) if releases else ():
        after, names = "", [""]
        while names:
            page = select(sums.c.device).where(sums.c.device > after).distinct()
            with store.write() as connection:
                page = page.order_by(sums.c.device).limit(DEVICES_AT_ONCE)
                names = [*connection.scalars(page)]
                for model, numbers in by_model.items() if names else ():
                    its = sums.c.model == model, sums.c.release.in_(numbers)
                    here = sums.c.device > after, sums.c.device <= names[-1]
                    connection.execute(delete(sums).where(*here, *its))
            after = names[-1] if names else ""
            yield NO_ANSWERS
