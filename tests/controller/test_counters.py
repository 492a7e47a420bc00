"""The counters say what the whole log and all devices say, whatever happens in which order."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import counted_twice
import pytest
from chance_rollout import ChanceRollout
from sqlalchemy import text, update

from modelwave_controller.storage import recounting, tables
from modelwave_controller.storage.store import Store

LONG = os.environ.get("MODELWAVE_LONG") == "1"
SEEDS = range(100) if LONG else (1, 4, 10)  # each found another rule that was left out


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as made:
        yield made


@pytest.mark.parametrize("seed", SEEDS)
def test_counters_are_those_of_the_log_and_of_a_recount(store: Store, seed: int) -> None:
    with store.write() as connection:
        one = ChanceRollout(connection, seed)
        for _ in range(6):
            for _ in range(15):
                one.step()
            counted_twice.require_the_same(connection)
        kept = counted_twice.rows(connection)
        assert kept == counted_twice.recounted(connection)
        assert kept["answer_counts"]


def test_counters_that_miss_an_event_are_counted_anew_when_it_is_opened(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with closing(Store(url)) as first, first.write() as connection:
        one = ChanceRollout(connection, 1)
        for _ in range(40):
            one.step()
        kept = counted_twice.rows(connection)
        connection.execute(text("DELETE FROM answer_counts"))
        counted = tables.heads.c.name == "counted"
        connection.execute(update(tables.heads).where(counted).values(value=1))
    with closing(Store(url)) as second, second.read() as connection:
        assert counted_twice.rows(connection) == kept
        assert not recounting.is_due(connection)


def test_a_program_with_other_rules_counts_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.read() as connection:
        assert not recounting.is_due(connection)
        monkeypatch.setattr("modelwave_controller.storage.counting.VERSION", 1_000)
        assert recounting.is_due(connection)
