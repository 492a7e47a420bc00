"""Tests the embedded broker's pure parts: who hears a topic, and what comes over the wire."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwave_controller.broker import packets
from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.broker.routes import Subscriptions, Topics, is_filter

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
