"""Tests that many rows are written, and asked for, on both databases."""

from sqlalchemy import select

from modelwave_controller.storage import many
from modelwave_controller.storage.changes import update_changed
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.store import Store
from modelwave_controller.storage.tables import bad_messages, device_models, presence

ODD = "100% 'of' \"it\" ? %s :name {a}"
NUMBER = 40_000  # more than either database takes values in a statement


def test_values_are_stored_as_they_are(url: str) -> None:
    store = Store(url)
    with store.write() as connection:
        rows = [(f"d{n}", n, ODD, at) for n, at in enumerate((1.5, 1.5, 2))]
        many.insert(connection, "bad_messages", ("device", "count", "reason", "at"), rows)
        changed = [(ODD * 2, 2**53 - 1, "d1"), ("", 0, "d2")]
        many.update(connection, "bad_messages", ("reason", "count"), ("device",), changed)
        many.insert(connection, "bad_messages", ("device",), [])
        query = select(bad_messages).where(bad_messages.c.device.in_(["d0", "d1", "d2"]))
        found = [tuple(row) for row in connection.execute(query.order_by("device"))]
        assert found == [
            ("d0", 0, ODD, 1.5),
            ("d1", 2**53 - 1, ODD * 2, 1.5),
            ("d2", 0, "", 2.0),
        ]
    store.close()


def test_rows_that_are_there_are_changed_in_place_of_added(url: str) -> None:
    store = Store(url)
    with store.write() as connection:
        columns, change = ("device", "count", "reason", "at"), "count = bad_messages.count + 10"
        many.insert_or(connection, "bad_messages", columns, [("p0", 1, ODD, 1)], change)
        many.insert_or(
            connection, "bad_messages", columns, [("p1", 2, "", 2), ("p0", 3, "", 3)], change
        )
        many.insert_or(connection, "bad_messages", columns, [], change)
        query = select(bad_messages.c.device, bad_messages.c.count, bad_messages.c.reason)
        query = query.where(bad_messages.c.device.in_(["p0", "p1"])).order_by("device")
        found = [tuple(row) for row in connection.execute(query)]
        assert found == [("p0", 11, ODD), ("p1", 2, "")]
    store.close()


def test_columns_whose_names_are_words_of_sql(url: str) -> None:
    store = Store(url)
    model = {"device": "d0", "model": "digits", "release": 1, "sha256": "", "state": "idle"}
    model |= {"epoch": 0, "seq": 0, "outcome": "", "reason": ""}
    with store.write() as connection:
        many.insert(connection, "device_models", model, [tuple(model.values())])
        many.insert(connection, "presence", ("device", "online", "at"), [("d0", True, 0.0)])
        columns, row = tuple(model), tuple(model.values())
        others = tuple({**model, "release": 2}.values())
        key = ("device", "model")
        update_changed(connection, "device_models", columns, [(row, others), (row, row)], *key)
        columns = ("device", "online")
        both = [(("d0", True), ("d0", False))]
        update_changed(connection, "presence", columns, both, "device")
        assert connection.scalar(select(device_models.c.release)) == 2
        assert connection.scalar(select(presence.c.online)) is False
    store.close()


def test_rows_are_found_by_more_names_than_a_statement_takes_values(url: str) -> None:
    store = Store(url)
    with store.write() as connection:
        rows = [(f"e{n}", 0, "", 0.0) for n in (0, 1, NUMBER - 1)]
        many.insert(connection, "bad_messages", ("device", "count", "reason", "at"), rows)
        names = [f"e{n}" for n in range(1, NUMBER)]
        query = select(bad_messages.c.device)
        found = sorted(
            row.device for row in rows_with(connection, query, bad_messages.c.device, names)
        )
        assert found == ["e1", f"e{NUMBER - 1}"]
        assert not list(rows_with(connection, query, bad_messages.c.device, []))
    store.close()
