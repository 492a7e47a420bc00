"""Tests what is decided about a retained message at the broker that differs from the outbox, where
it is an order that this fleet's key has signed and that the database does not know."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests import signing

from modelwave_controller.service import differences
from modelwave_controller.service.differences import Verdict
from modelwave_controller.storage.store import Store
from modelwave_shared import topics

RELEASE = signing.Release(2, b"a model " * 100)
NEXT = signing.root_envelope(signing.root(version=2, epoch=1))


def slot(number: int, target: str = "linux-cpu", model: str = "digits") -> str:
    return str(topics.desired_slot("demo", target, model, number))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as made:
        yield made


def judged(store: Store, held: dict[str, bytes], epoch: int = 0) -> Verdict:
    """The verdict where the broker holds these and the database nothing."""
    found = {
        topic: differences.seen(payload, hashlib.sha256(payload).hexdigest())
        for topic, payload in held.items()
    }
    with store.read() as connection:
        return differences.judge(connection, signing.root(epoch=epoch), found)


def order(seq: int, **changes: object) -> bytes:
    changes.setdefault("slots", [[7, 7]])
    return bytes(signing.order(RELEASE, seq, **changes))


def test_an_order_of_ours_that_the_database_does_not_know_is_newer_and_stays(store: Store) -> None:
    assert judged(store, {slot(7): order(9)}) == Verdict([], [], {"digits": 9}, {})


@pytest.mark.parametrize(
    "topic",
    [
        slot(8),
        slot(7, target="esp32"),
        slot(7, model="faces"),
        topics.desired_all("demo", "linux-cpu", "digits"),
        topics.desired_device("demo", "pi-1", "digits"),
    ],
)
def test_on_a_topic_that_it_is_not_for_it_says_nothing_of_our_numbers(
    store: Store, topic: str
) -> None:
    """Who has the broker alone could keep all rollouts from starting with it."""
    assert judged(store, {topic: order(9)}) == Verdict([], [topic], {}, {})


def test_an_order_of_an_earlier_epoch_says_nothing_of_our_numbers(store: Store) -> None:
    assert judged(store, {slot(7): order(9)}, epoch=1) == Verdict([], [slot(7)], {}, {})


def test_a_home_that_is_behind_the_broker_s_roots_clears_no_order(store: Store) -> None:
    """Those of the next root's keys are no orders to it."""
    newer = order(9, key=signing.STRANGER, epoch=1)
    held = {topics.root("demo", 2): NEXT, slot(7): newer}
    assert judged(store, held) == Verdict([], [], {}, {2: NEXT})
    forged = {topics.root("demo", 2): NEXT[:-9] + b"A" + NEXT[-8:], slot(7): newer}
    assert judged(store, forged).clear == [slot(7)]
