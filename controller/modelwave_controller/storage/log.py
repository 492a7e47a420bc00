"""The event log in the database."""

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, literal_column, or_, select, update

from modelwave_controller.rollout import events as bodies
from modelwave_controller.rollout.events import Body, Event, Reported
from modelwave_controller.rollout.state import State, fold
from modelwave_controller.storage import counting, deleted_answers, log_chain, many
from modelwave_controller.storage.chunks import chunks, rows_with
from modelwave_controller.storage.log_chain import Links
from modelwave_controller.storage.tables import events, heads, unread_answers

TICK_NOTED_SECONDS = 5

# As the index for it says it: databases do not use that for a parameter.
_IS_NO_ANSWER = events.c.kind != literal_column(f"'{bodies.REPORTED}'")
_HEAD = select(heads.c.value, heads.c.chain, heads.c.chain_but_answers)


def append(connection: Connection, rollout: int, at: float, entries: Sequence[Body]) -> list[Event]:
    """Appends entries to a rollout's log and returns the events. `at` is in Unix seconds,
    `connection` from Store.write()."""
    return append_all(connection, at, [(rollout, body) for body in entries])


def append_all(
    connection: Connection, at: float, entries: Sequence[tuple[int, Body]]
) -> list[Event]:
    if not entries:
        return []
    its = heads.c.name == "event"
    row = connection.execute(_HEAD.where(its)).one()
    head, links = row.value, Links(row.chain or b"", row.chain_but_answers or b"")
    added, rows = [], []
    for number, (rollout, body) in enumerate(entries, head + 1):
        added.append(Event(id=number, rollout=rollout, at=at, body=body))
        entry = (number, rollout, at, body.kind, bodies.dump_body(body))
        links = log_chain.follow(links, *entry)
        rows.append((*entry, links.newest))
    new = {"value": head + len(added), "chain": links.newest, "chain_but_answers": links.no_answer}
    connection.execute(update(heads).where(its).values(new))
    many.insert(connection, "events", ("id", "rollout", "at", "kind", "body", "chain"), rows)
    counting.count(connection, added)
    return added


def note_tick(connection: Connection, now: float) -> None:
    """Stores that a service is running, for `service_seen_at`; at most every TICK_NOTED_SECONDS."""
    if abs(now - service_seen_at(connection)) >= TICK_NOTED_SECONDS:
        connection.execute(update(heads).where(heads.c.name == "ticked").values(value=int(now)))


def service_seen_at(connection: Connection) -> int:
    """Returns the Unix seconds of a recent tick; 0 if no service has run yet."""
    return connection.scalar(select(heads.c.value).where(heads.c.name == "ticked")) or 0


def next_rollout(connection: Connection) -> int:
    newest = select(func.max(events.c.rollout)).where(_IS_NO_ANSWER)
    return (connection.scalar(newest) or 0) + 1


def events_after(
    connection: Connection, after: int = 0, reports_of: Iterable[int] | None = None
) -> Iterator[Event]:
    """Yields the events after id `after`, oldest first. `reports_of` names the rollouts whose
    devices' answers are included, None includes all: answers are most of the log."""
    query = select(events.c.id, events.c.rollout, events.c.at, events.c.kind, events.c.body)
    query = query.where(events.c.id > after).order_by(events.c.id)
    if reports_of is not None:
        wanted = list(reports_of)
        answers = or_(_IS_NO_ANSWER, events.c.rollout.in_(wanted))
        query = query.where(answers if wanted else _IS_NO_ANSWER)
    for row in connection.execute(query):
        yield bodies.load_event(*row)


class Wanted(NamedTuple):
    """The events that somebody wants to read: of one rollout or of all (None), with the devices'
    answers or without, not before `since` (Unix seconds)."""

    rollout: int | None = None
    answers: bool = False
    since: float | None = None


def page(connection: Connection, wanted: Wanted, after: int, until: int, limit: int) -> list[Event]:
    """Returns the first `limit` wanted events with ids above `after` and not above `until`."""
    query = select(events.c.id, events.c.rollout, events.c.at, events.c.kind, events.c.body)
    query = _restricted(query, wanted).where(events.c.id > after, events.c.id <= until)
    rows = connection.execute(query.order_by(events.c.id).limit(limit))
    return [bodies.load_event(*row) for row in rows]


def of_kinds(
    connection: Connection, kinds: Sequence[str], after: int, until: int, limit: int
) -> list[Event]:
    """Returns the first `limit` events of these kinds, none of them answers of devices, with ids
    above `after` and not above `until`."""
    query = select(events.c.id, events.c.rollout, events.c.at, events.c.kind, events.c.body)
    query = query.where(_IS_NO_ANSWER, events.c.kind.in_(kinds))
    query = query.where(events.c.id > after, events.c.id <= until).order_by(events.c.id)
    return [bodies.load_event(*row) for row in connection.execute(query.limit(limit))]


def before_newest(connection: Connection, wanted: Wanted, limit: int) -> int:
    """Returns the id of the event before the newest `limit` wanted ones; 0 if there are no more."""
    query = _restricted(select(events.c.id), wanted).order_by(events.c.id.desc())
    return connection.scalar(query.limit(1).offset(limit)) or 0


def newest_id(connection: Connection) -> int:
    return connection.scalar(select(func.max(events.c.id))) or 0


def count_answers(connection: Connection, wanted: Wanted) -> int:
    """Returns how many of the wanted events are answers of devices."""
    query = select(func.count()).where(events.c.kind == bodies.REPORTED)
    return connection.scalar(_restricted(query, wanted._replace(answers=True))) or 0


def answers_of(connection: Connection, rollout: int) -> int:
    """Returns how many answers of devices the log has of a rollout."""
    return connection.scalar(select(func.count()).where(*_answers_to(rollout))) or 0


def late_answers(connection: Connection, rollout: int) -> int:
    """Returns how many answers to a rollout came after those before them were counted."""
    its = (*_answers_to(rollout), events.c.id > _counted(connection, rollout))
    return connection.scalar(select(func.count()).where(*its)) or 0


def has_answers(connection: Connection, rollout: int) -> bool:
    query = select(events.c.id).where(*_answers_to(rollout)).limit(1)
    return connection.execute(query).first() is not None


def has_events(connection: Connection, rollout: int, since: float) -> bool:
    """Returns whether the log has something of a rollout since `since`, Unix seconds."""
    query = select(events.c.id).where(events.c.rollout == rollout, events.c.at >= since).limit(1)
    both = (_IS_NO_ANSWER, events.c.kind == bodies.REPORTED)  # the first is read sooner
    return any(connection.execute(query.where(its)).first() is not None for its in both)


def delete_answers(connection: Connection, rollout: int, limit: int) -> int:
    """Deletes up to `limit` answers of a rollout, and with the last one all that is kept of single
    devices; returns how many. Append Condensed first: an answer that came after it stays, as the
    log does not say its number yet."""
    query = select(
        events.c.id, events.c.rollout, events.c.at, events.c.kind, events.c.body, events.c.chain
    )
    its = (*_answers_to(rollout), events.c.id < _counted(connection, rollout))
    rows = connection.execute(query.where(*its).limit(limit)).all()
    said = [bodies.load_event(*row[:5]).body for row in rows]
    names = {body.device for body in said if isinstance(body, Reported)}
    counting.drop_answers_of(connection, rollout, sorted(names))
    for chunk in chunks([row.id for row in rows]):
        connection.execute(delete(unread_answers).where(unread_answers.c.event.in_(chunk)))
        connection.execute(delete(events).where(events.c.id.in_(chunk)))
    deleted_answers.note(connection, [(row.id, row.chain or b"") for row in rows])
    if len(rows) < limit and not has_answers(connection, rollout):
        counting.drop_rest(connection, rollout)
    return len(rows)


def _counted(connection: Connection, rollout: int) -> int:
    """Returns the newest event that says how many answers to a rollout there were; 0: none does."""
    its = (events.c.rollout == rollout, events.c.kind == bodies.CONDENSED)
    return connection.scalar(select(func.max(events.c.id)).where(*its)) or 0


def _answers_to(rollout: int) -> tuple[Any, ...]:
    return events.c.rollout == rollout, events.c.kind == bodies.REPORTED


def _restricted(query: Any, wanted: Wanted) -> Any:
    if wanted.rollout is not None:
        query = query.where(events.c.rollout == wanted.rollout)
    if not wanted.answers:
        query = query.where(_IS_NO_ANSWER)
    if wanted.since is not None:
        query = query.where(events.c.at >= wanted.since)
    return query


def folded(connection: Connection, reports_of: Iterable[int] | None = None) -> State:
    """Returns the state after the whole log; with the answers to the rollouts `reports_of` only."""
    return fold(events_after(connection, reports_of=reports_of))


def without_answers(connection: Connection, state: State | None = None) -> State:
    """Returns the state after the whole log, without the devices' answers: the counters have them
    (counted.py). `state`, read so before, goes on in place. Answers that are not understood are in
    it, as nothing may be decided about their rollout."""
    after = state.last if state else 0
    its = unread_answers.c.event
    numbers = connection.scalars(select(its).where(its > after).order_by(its)).all()
    query = select(events.c.id, events.c.rollout, events.c.at, events.c.kind, events.c.body)
    query = query.order_by(events.c.id)
    unread = [bodies.load_event(*r) for r in rows_with(connection, query, events.c.id, numbers)]
    others = events_after(connection, after, reports_of=[])
    return fold(merge(others, unread, key=lambda event: event.id), state)


def caught_up(connection: Connection, state: State) -> State:
    """`state`, which goes on in place, with what has come since it was read."""
    return fold(events_after(connection, after=state.last), state)


def under_way(connection: Connection) -> State:
    """Returns the state after the whole log, with the answers to the rollouts that are not over."""
    control = folded(connection, reports_of=[])
    live = [r.id for r in control.rollouts.values() if not r.over]
    return folded(connection, reports_of=live) if live else control
