"""Tests transactions on both databases, and that the outbox loses no message."""

import threading
from collections.abc import Iterator
from pathlib import Path

import counted_twice
import pytest
from chance_rollout import ChanceRollout
from sqlalchemy import delete, func, insert, select, update

from modelwave_controller.errors import OperatorError, StorageError
from modelwave_controller.rollout.events import Held
from modelwave_controller.storage import log, outbox, tables
from modelwave_controller.storage.outbox import Message
from modelwave_controller.storage.store import Store


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    made = Store(url)
    with made.write() as connection:
        for table in reversed(tables.metadata.sorted_tables):
            if table not in (tables.heads, tables.clock, tables.lease):
                connection.execute(delete(table))
        events = tables.heads.c.name.in_(("event", "counted"))
        connection.execute(update(tables.heads).where(events).values(value=0))
    yield made
    made.close()


def count(store: Store) -> int:
    with store.read() as connection:
        return connection.scalar(select(func.count()).select_from(tables.events)) or 0


def test_a_write_that_fails_leaves_nothing(store: Store) -> None:
    def write() -> None:
        with store.write() as connection:
            log.append(connection, 1, 0.0, [Held(reason="")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert count(store) == 0


def test_counters_are_those_of_the_log(store: Store) -> None:
    with store.write() as connection:
        rollout = ChanceRollout(connection, 1)
        for _ in range(60):
            rollout.step()
        counted_twice.require_the_same(connection)
        kept = counted_twice.rows(connection)
        assert kept == counted_twice.recounted(connection)
        assert all(kept.values())


def test_ids_grow_without_gaps_in_the_order_of_commits(store: Store, url: str) -> None:
    stores = [Store(url) for _ in range(3)]

    def append(mine: Store) -> None:
        for number in range(20):
            with mine.write() as connection:
                log.append(connection, 1, float(number), [Held(reason=""), Held(reason="")])

    threads = [threading.Thread(target=append, args=(mine,)) for mine in stores]
    seen: list[int] = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with store.read() as connection:
            newest = seen[-1] if seen else 0
            seen += [event.id for event in log.events_after(connection, after=newest)]
    with store.read() as connection:
        seen += [event.id for event in log.events_after(connection, after=seen[-1] if seen else 0)]
    assert seen == list(range(1, 121))
    for mine in stores:
        mine.close()


def test_in_a_hurry_a_write_does_not_wait_for_another_process(store: Store, url: str) -> None:
    other = Store(url)
    with other.write():
        store.hurry(0)
        with pytest.raises(StorageError, match=r"locked|lock timeout"), store.write():
            pass
    with store.write() as connection:  # and one that need not wait is made all the same
        log.append(connection, 1, 0.0, [Held(reason="")])
    assert count(store) == 1
    other.close()


def test_sqlite_is_durable_at_each_commit(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    with store.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    store.close()


@pytest.mark.slow
def test_a_new_database_can_be_opened_by_two_at_the_same_moment(tmp_path: Path) -> None:
    """SQLite refuses one of two that set its journal mode together, and does not wait."""
    failures: list[BaseException] = []

    def open_it(url: str, together: threading.Barrier) -> None:
        together.wait(60)
        try:
            Store(url).close()
        except BaseException as error:
            failures.append(error)

    for number in range(20):
        shared = (f"sqlite:///{tmp_path / f'{number}.db'}", threading.Barrier(2))
        threads = [threading.Thread(target=open_it, args=shared) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("", OperatorError),
        ("nonsense", OperatorError),
        ("mysql://host/db", OperatorError),
        ("http://host/", OperatorError),
        ("sqlite:////nowhere/at/all.db", StorageError),
        ("postgresql://user:secret@127.0.0.1:1/db", StorageError),
    ],
)
def test_a_database_that_cannot_be_had_is_one_clear_error(url: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        Store(url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match="not an SQLite database"):
        Store(f"sqlite:///{tmp_path / 'store.db'}")


# The outbox.


def put(store: Store, payload: bytes, *topics: str) -> None:
    with store.write() as connection:
        outbox.put(connection, topics, payload)


def unsent(store: Store, limit: int = 100, busy: tuple[str, ...] = ()) -> list[Message]:
    with store.read() as connection:
        return outbox.unsent(connection, limit, busy)


def mark(store: Store, *sent: tuple[str, int]) -> None:
    with store.write() as connection:
        outbox.mark(connection, sent)


def test_a_message_is_due_until_the_broker_has_acknowledged_it(store: Store) -> None:
    put(store, b"order", "a", "b")
    assert unsent(store) == [Message("a", 1, b"order"), Message("b", 1, b"order")]
    mark(store, ("a", 1))
    assert [message.topic for message in unsent(store)] == ["b"]


def test_a_topic_that_changes_before_it_is_sent_is_sent_once(store: Store) -> None:
    put(store, b"first", "a")
    put(store, b"second", "a")
    assert unsent(store) == [Message("a", 2, b"second")]


def test_an_acknowledgement_of_an_older_version_does_not_hide_the_newer(store: Store) -> None:
    put(store, b"first", "a")
    put(store, b"second", "a")
    mark(store, ("a", 1))
    assert unsent(store) == [Message("a", 2, b"second")]


def test_what_is_on_its_way_is_left_out_and_the_rest_comes(store: Store) -> None:
    put(store, b"x", "a", "b", "c", "d")
    assert [m.topic for m in unsent(store, limit=2, busy=("a", "b"))] == ["c", "d"]


def test_a_cleared_topic_is_sent_empty_until_acknowledged(store: Store) -> None:
    put(store, b"x", "a", "b")
    put(store, b"", "a")
    mark(store, ("b", 1))
    assert unsent(store) == [Message("a", 2, b"")]
    mark(store, ("a", 2))
    assert unsent(store) == []


def test_a_new_connection_asserts_orders_and_withdrawn_orders_but_no_forgotten_device(
    store: Store,
) -> None:
    """A broker restored from a snapshot has the withdrawn order again; a device that was
    forgotten may have reported again since."""
    start = "modelwave/1/meadow"
    order, withdrawn = f"{start}/desired/rp2040/digits/1", f"{start}/desired/rp2040/digits/2"
    forgotten = f"{start}/reported/d1"
    put(store, b"x", order, withdrawn)
    put(store, b"", withdrawn, forgotten)
    mark(store, (order, 1), (withdrawn, 2), (forgotten, 1))
    assert unsent(store) == []
    with store.write() as connection:
        outbox.unsend_all(connection, "meadow")
    assert unsent(store) == [Message(order, 1, b"x"), Message(withdrawn, 2, b"")]


def test_the_same_bytes_are_stored_once_however_many_topics_hold_them(store: Store) -> None:
    put(store, b"x" * 3000, *(f"t/{number}" for number in range(1200)))
    put(store, b"x" * 3000, "other")
    with store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.blobs)) == 1
        assert outbox.left(connection) == 1201
        assert outbox.holds(connection, "t/1199") == b"x" * 3000
        assert outbox.holds(connection, "none") is None


def test_large_counters_and_long_texts_fit_both_databases(store: Store) -> None:
    row = {"device": "d", "count": 2**53, "reason": "x" * 200, "at": 1.8e9 + 0.25}
    with store.write() as connection:
        connection.execute(insert(tables.bad_messages), [row])
    with store.read() as connection:
        assert connection.execute(select(tables.bad_messages)).one()._asdict() == row


def test_a_device_s_own_order_is_waited_for_as_that_of_a_slot(store: Store) -> None:
    """The soak and the deadline of a stage of named devices begin when the broker has it."""
    start = "modelwave/1/meadow/desired"
    others = (f"{start}/device/d1/faces", f"{start}/rp2040/faces/1", f"{start}/esp32/digits/1")
    put(store, b"x", *others)
    with store.read() as connection:
        assert not outbox.any_left(connection, "meadow", "rp2040", "digits")
    for topic in (f"{start}/device/d1/digits", f"{start}/rp2040/digits/1"):
        put(store, b"x", topic)
        with store.read() as connection:
            assert outbox.any_left(connection, "meadow", "rp2040", "digits")
        mark(store, (topic, 1))
        with store.read() as connection:
            assert not outbox.any_left(connection, "meadow", "rp2040", "digits")
