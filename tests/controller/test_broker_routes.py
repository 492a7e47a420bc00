"""Tests the embedded broker's pure parts: who hears a topic, what comes over the wire, and
what a session sends when."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwave_controller.broker import limits, packets
from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.broker.messages import Message, Retained
from modelwave_controller.broker.routes import Subscriptions, Topics, is_filter
from modelwave_controller.broker.session import Session

EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)
LEVELS = st.sampled_from(["a", "b", ""])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(st.one_of(LEVELS, st.just("+")), min_size=1, max_size=4))
    return "/".join(levels + ["#"] * draw(st.integers(0, 1)))


def matches(topic: list[str], topic_filter: list[str]) -> bool:
    """MQTT 3.1.1, section 4.7.1, by recursion; `#` also matches the level above it."""
    if topic_filter == ["#"]:
        return True
    if not topic or not topic_filter:
        return topic == topic_filter
    return topic_filter[0] in ("+", topic[0]) and matches(topic[1:], topic_filter[1:])


CHANGES = st.lists(
    st.tuples(st.booleans(), filters(), st.sampled_from("xyz"), st.integers(0, 1)), max_size=20
)


@EXAMPLES
@given(changes=CHANGES, topic=TOPICS)
def test_subscribers_are_those_of_the_filters_that_match(
    changes: list[tuple[bool, str, str, int]], topic: str
) -> None:
    subscriptions: Subscriptions[str] = Subscriptions()
    expected: dict[tuple[str, str], int] = {}
    for adds, topic_filter, who, qos in changes:
        if adds:
            subscriptions.add(topic_filter, who, qos)
            expected[topic_filter, who] = qos
        else:
            subscriptions.remove(topic_filter, who)
            expected.pop((topic_filter, who), None)
    found: dict[str, int] = {}
    for (topic_filter, who), qos in expected.items():
        if matches(topic.split("/"), topic_filter.split("/")):
            found[who] = max(qos, found.get(who, 0))
    assert subscriptions.of(topic) == found
    assert bool(subscriptions) == bool(expected)


@EXAMPLES
@given(st.lists(st.tuples(st.booleans(), TOPICS), max_size=20), filters())
def test_topics_are_those_that_the_filter_matches(
    changes: list[tuple[bool, str]], topic_filter: str
) -> None:
    topics: Topics[int] = Topics()
    expected = set()
    for adds, topic in changes:
        if adds:
            topics.set(topic, 1)
            expected.add(topic)
        else:
            topics.remove(topic)
            expected.discard(topic)
    found = list(topics.of(topic_filter))
    levels = topic_filter.split("/")
    assert sorted(found) == sorted(one for one in expected if matches(one.split("/"), levels))
    assert bool(topics._tree.below) == bool(expected)


@pytest.mark.parametrize("text", ["", "a/#/b", "a#", "+a", "#/", "a/b+", "/" * 16])
def test_what_is_no_filter_is_refused(text: str) -> None:
    assert not is_filter(text, 16)


@pytest.mark.parametrize("text", ["/", "#", "+", "+/+/#", "a//b", "/" * 15])
def test_what_is_a_filter_is_taken(text: str) -> None:
    assert is_filter(text, 16)


READERS: list[Callable[[bytes], Any]] = [
    packets.read_connect,
    lambda body: packets.read_publish(0, body),
    lambda body: packets.read_publish(2, body),
    lambda body: packets.read_subscribe(body, 10),
    lambda body: packets.read_unsubscribe(body, 10),
    lambda body: packets.read_packet_id(packets.PUBACK, body),
    lambda body: packets.next_head(body, 0, 1000),
]
BODIES = st.one_of(
    st.binary(max_size=40), st.binary(max_size=30).map(lambda rest: b"\0\4MQTT\4" + rest)
)


@EXAMPLES
@given(st.sampled_from(READERS), BODIES)
def test_bytes_of_strangers_are_read_or_refused(
    reader: Callable[[bytes], Any], body: bytes
) -> None:
    with suppress(ClientRefused):
        reader(body)


@pytest.mark.parametrize("size", [0, 100, 118, 119, 16_000, 20_000, 65_536])
def test_packet_is_as_long_as_its_head_says(size: int) -> None:
    made = packets.publish(b"topic", bytes(size), 7, retain=True)
    head = packets.next_head(made, 0, 100_000)
    assert head is not None
    assert head.end == len(made)
    found = packets.read_publish(head.flags, made[head.start : head.end])
    assert found == ("topic", bytes(size), 1, True, 7)


# Sessions.


def sent(session: Session, max_bytes: int = 10**6) -> list[tuple[int, packets.Publish]]:
    """The flags and the message of each packet that the session sends now."""
    found = []
    for data in session.packets(RETAINED, max_bytes):
        head = packets.next_head(data, 0, 10**6)
        assert head is not None
        found.append((head.flags, packets.read_publish(head.flags, data[head.start :])))
    return found


RETAINED = Retained()
RETAINED.keep(Message("kept", b"r", 1))


def test_window_holds_messages_back_until_one_is_acknowledged() -> None:
    session = Session("c", None)
    for number in range(limits.MAX_IN_FLIGHT + 1):
        session.add(Message("t", b"%d" % number, 1), 1)
    under_way = sent(session)
    assert len(under_way) == limits.MAX_IN_FLIGHT
    assert not session.has_more
    session.acknowledged(under_way[0][1].packet_id)
    assert session.has_more
    assert [message.payload for _, message in sent(session)] == [b"%d" % limits.MAX_IN_FLIGHT]
    for _, message in under_way:
        session.acknowledged(message.packet_id)
    session.acknowledged(9999)  # of nothing


def test_what_was_not_acknowledged_is_sent_again_under_the_same_id() -> None:
    session = Session("c", None, clean=False)
    session.add(Message("t", b"1", 1), 1)
    session.add(Message("t", b"0", 0), 1)
    first = sent(session)[0][1]
    session.add(Message("t", b"2", 1), 1)
    session.add(Message("t", b"lost", 0), 1)
    session.parted()
    session.connected_again()
    (flags, again), (_, second) = sent(session)
    assert (flags, again) == (8 | 2, first)  # the first bit says: again
    assert second.payload == b"2"
    for message in (again, second):
        session.acknowledged(message.packet_id)
    assert session.queued_bytes == 0
    assert not session.has_more


def test_retained_messages_come_first_with_the_lesser_qos_and_without_those_cleared() -> None:
    session = Session("c", None)
    session.add(Message("t", b"live", 0), 0)
    session.add_retained(["cleared", "kept"], 0)
    assert [(flags, message.topic) for flags, message in sent(session)] == [(1, "kept"), (0, "t")]
    assert session.queued_bytes == 0


def test_socket_that_is_full_gets_no_more_than_it_asks_for() -> None:
    session = Session("c", None)
    for _ in range(10):
        session.add(Message("t", bytes(1000), 0), 0)
    assert len(sent(session, 2500)) == 3
    assert session.has_more
