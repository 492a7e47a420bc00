"""Tests that the hash chain over the log shows each change of it afterwards, on both databases, and
that pruning does not break it."""

import hashlib
import struct
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import log_verifying
from modelwave_controller.operations.log_verifying import head_of, verify
from modelwave_controller.operations.log_walk import Head, WrongLog
from modelwave_controller.rollout.events import Condensed, Paused, Reported
from modelwave_controller.storage import deleted_answers, log, tables
from modelwave_controller.storage.store import Store

EVENTS, RANGES, HEADS = tables.events, tables.deleted_answers, tables.heads
ANSWERS = (2, 3, 5, 6, 8)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Its log: four acts (1, 4, 7, 9), and between them answers to the rollouts 1 and 2 in turn."""
    with closing(Store(url)) as made:
        with made.write() as connection:
            for table in (EVENTS, RANGES, tables.answered, tables.answer_counts):
                connection.execute(delete(table))
            names = ("event", "counted", "unnoted")
            row = {"value": 0, "chain": None, "chain_but_answers": None}
            connection.execute(update(HEADS).where(HEADS.c.name.in_(names)).values(row))
            connection.execute(update(HEADS).where(HEADS.c.name == "event").values(beginning()))
            for number in range(1, 10):
                append(connection, number)
        yield made


def beginning() -> dict[str, bytes]:
    first = hashlib.sha256(b"modelwave log 0").digest()
    return {"chain": first, "chain_but_answers": first}


def append(connection: Connection, number: int) -> None:
    answer = Reported(device=f"d{number}", seq=1, outcome="SUCCEEDED", reason="")
    body = answer if number in ANSWERS else Paused(reason=f"reason {number}", actor="eve@desk")
    log.append(connection, 1 + number % 2, 100.25 + number, [body])


def prune(store: Store, *rollouts: int) -> None:
    with store.write() as connection:
        for rollout in rollouts:
            number = log.answers_of(connection, rollout)
            log.append(connection, rollout, 200.0, [Condensed(waves=[], answers=number)])
            assert log.delete_answers(connection, rollout, 1000) == number


def ranges(store: Store) -> list[tuple[int, int]]:
    with store.read() as connection:
        return [one[:2] for one in deleted_answers.between(connection, 0, 1000, 1000)]


def wrong(store: Store, kept: Head | None = None) -> tuple[int, str]:
    with pytest.raises(WrongLog) as caught:
        verify(store, kept)
    return caught.value.event, caught.value.problem


def do(store: Store, *statements: Any) -> None:
    with store.write() as connection:
        for statement in statements:
            connection.execute(statement)


def set_event(number: int, **values: object) -> Any:
    return update(EVENTS).where(EVENTS.c.id == number).values(**values)


def test_a_hash_is_over_the_event_and_both_hashes_before_it(store: Store) -> None:
    """Computed here anew, as the description says it: somebody can verify a log without us."""
    query = select(EVENTS.c.id, EVENTS.c.rollout, EVENTS.c.at, EVENTS.c.kind, EVENTS.c.body)
    before = of_acts = hashlib.sha256(b"modelwave log 0").digest()
    with store.read() as connection:
        hashes = dict(connection.execute(select(EVENTS.c.id, EVENTS.c.chain)).all())
        rows = connection.execute(query.order_by(EVENTS.c.id)).all()
    for number, rollout, at, kind, body in rows:
        numbers = struct.pack(">qqdI", number, rollout, at, len(kind))
        whole = before + of_acts + numbers + kind.encode() + body.encode()
        before = hashlib.sha256(whole).digest()
        of_acts = of_acts if kind == "reported" else before
        assert hashes[number] == before
    found = verify(store)
    assert (found.events, found.deleted, found.head) == (9, 0, Head(9, before))


ALTERED = {
    "id": (set_event(9, id=10), 9),
    "rollout": (set_event(4, rollout=2), 4),
    "at": (set_event(4, at=104.26), 4),
    "kind": (set_event(4, kind="reported"), 4),
    "body": (set_event(4, body='{"kind":"paused","actor":"bob@desk","reason":"reason 4"}'), 4),
    "chain": (set_event(4, chain=b"x" * 32), 4),
    "no hash": (set_event(4, chain=None), 4),
    "an answer": (set_event(5, body='{"kind":"reported"}'), 5),
    "the newest hash": (update(HEADS).where(HEADS.c.name == "event").values(chain=b"x"), 9),
    "what is before the first": (update(HEADS).where(HEADS.c.name == "unnoted").values(value=5), 1),
}


@pytest.mark.parametrize("column", ALTERED)
def test_a_column_that_was_altered_is_found(store: Store, column: str) -> None:
    change, first = ALTERED[column]
    do(store, change)
    assert wrong(store)[0] == first


@pytest.mark.parametrize("number", [1, 4, 5, 9])
def test_a_deleted_event_is_missed(store: Store, number: int) -> None:
    do(store, delete(EVENTS).where(EVENTS.c.id == number))
    assert wrong(store) == (
        number,
        f"event {number} is missing, and not as answers that pruning has deleted",
    )


def test_two_events_that_changed_places_are_found(store: Store) -> None:
    do(store, set_event(4, id=99), set_event(7, id=4), set_event(99, id=7))
    assert wrong(store)[0] == 4


@pytest.mark.parametrize("number", [5, 10])
def test_an_inserted_event_is_found(store: Store, number: int) -> None:
    row = {"id": number, "rollout": 1, "at": 1.0, "kind": "held", "body": "{}", "chain": b""}
    do(store, delete(EVENTS).where(EVENTS.c.id == number), insert(EVENTS).values(row))
    assert wrong(store)[0] == number


def test_an_event_that_is_no_answer_cannot_pass_for_one_that_pruning_deleted(store: Store) -> None:
    with store.read() as connection:
        chain = connection.scalar(select(EVENTS.c.chain).where(EVENTS.c.id == 4))
    row = {"first": 4, "last": 4, "chain": chain}
    do(store, delete(EVENTS).where(EVENTS.c.id == 4), insert(RANGES).values(row))
    number, problem = wrong(store)
    assert number == 5
    assert "deleted answers before it, event 4, was more than that" in problem


def test_answers_that_no_pruning_deleted_are_counted(store: Store) -> None:
    prune(store, 1)
    with store.write() as connection:
        row = connection.execute(select(EVENTS).where(EVENTS.c.id == 3)).one()
        deleted_answers.note(connection, [(3, row.chain)])
        connection.execute(delete(EVENTS).where(EVENTS.c.id == 3))
    assert wrong(store)[1].startswith("1 answer of 4 that are deleted were deleted by no pruning")


FORGED = {
    "over what is there": ({"first": 3, "last": 3}, 3),
    "over what follows": ({"first": 2, "last": 4}, 4),
    "backwards": ({"first": 5, "last": 1}, 5),
    "beyond the end": ({"first": 12, "last": 90}, 0),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_range_that_was_forged_is_found(store: Store, forged: str) -> None:
    values, number = FORGED[forged]
    prune(store, 1)
    do(store, delete(RANGES).where(RANGES.c.first == values["first"]))
    do(store, insert(RANGES).values(**values, chain=b"x" * 32))
    if number:
        assert wrong(store)[0] in range(number - 1, number + 2)
    else:
        assert verify(store).deleted == 3, "it is over nothing that was ever there"


def test_pruning_leaves_a_whole_log_and_a_range_between_two_other_events(store: Store) -> None:
    before = verify(store).head
    prune(store, 1)
    assert ranges(store) == [(2, 2), (6, 6), (8, 8)]
    assert verify(store, before).deleted == 3
    prune(store, 2)
    assert ranges(store) == [(2, 3), (5, 6), (8, 8)]
    found = verify(store, before)
    assert (found.events, found.deleted) == (6, 5)
    with store.write() as connection:
        for number in (8, 8, 9, 8):  # late answers
            append(connection, number)
    verify(store, before)


def test_a_log_is_verified_page_by_page_while_answers_are_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_verifying, "PAGE", 1)
    prune(store, 1)
    told: list[int] = []

    def tell(at: int, _of: int) -> None:
        told.append(at)
        if at == 5:
            prune(store, 2)
            assert (5, 6) in ranges(store)

    found = verify(store, None, tell)
    assert (found.events, found.deleted) == (7, 3)
    assert told == [0, 1, 3, 4, 5, 7, 9, 10]


def test_a_kept_head_shows_a_chain_that_was_made_anew(store: Store) -> None:
    kept = verify(store).head
    assert kept
    assert head_of(str(kept)) == kept
    verify(store, kept)
    with store.write() as connection:
        connection.execute(delete(EVENTS))
        connection.execute(
            update(HEADS).where(HEADS.c.name == "event").values(value=0, **beginning())
        )
        for number in (1, 2, 3, 8, 5, 6, 7):
            append(connection, number)
    assert verify(store).events == 7, "by itself it looks whole"
    assert wrong(store, kept)[1].startswith("the log ends with event 7, and the head is of event 9")
    with store.write() as connection:
        for number in (8, 9, 1):
            append(connection, number)
    assert wrong(store, kept)[1].startswith("event 9 has another hash than the head")


@pytest.mark.parametrize(
    "text", ["", "7", "0:" + "a" * 64, "7:" + "a" * 63, "-7:" + "a" * 64, "7:" + "g" * 64]
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="--head: not ID:HASH"):
        head_of(text)
