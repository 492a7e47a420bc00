"""What a board may say through a gateway: topics_of.py."""

import pytest

from modelwave_agent.host.relay.topics_of import MAX_SUBSCRIPTIONS, Voice
from modelwave_shared import topics
from modelwave_shared.limits import MAX_REPORT_BYTES
from tests.agent import fakes

OWN = Voice("demo", "pico-1")


def under(*parts: str) -> str:
    return topics.under("demo", *parts)


@pytest.mark.parametrize(
    ("topic", "retain"),
    [
        (under("reported", "pico-1"), True),
        (under("presence", "pico-1"), True),
        (under("metrics", "pico-1"), False),
        (under("file", "pico-1", "get"), False),
    ],
)
def test_board_publishes_its_own_topics_as_they_are_meant(topic: str, retain: bool) -> None:
    assert OWN.refused(topic, b"online", retain) == ""
    assert "the other way round" in OWN.refused(topic, b"online", not retain)


@pytest.mark.parametrize(
    "topic",
    [
        under("reported", "pico-2"),
        under("presence", "pico-2"),
        under("metrics", "pico-2"),
        under("file", "pico-2", "get"),
        under("file", "pico-1", "block"),
        under("heartbeat", "pico-1"),
        under("root", "2"),
        under("desired", "device", "pico-1", "digits"),
        under("reported", "pico-1", "x"),
        "modelwave/1/other/reported/pico-1",
        "$SYS/broker",
        "",
        "#",
    ],
)
def test_board_publishes_nowhere_else(topic: str) -> None:
    assert OWN.refused(topic, b"online", True) == "this board may not publish there"
    assert OWN.refused_will(topic, b"offline")


def test_presence_and_lengths_are_bounded() -> None:
    assert OWN.refused(under("presence", "pico-1"), b"perhaps", True)
    assert OWN.refused(under("presence", "pico-1"), b"", True)  # which would clear it
    long = b"x" * (MAX_REPORT_BYTES + 1)
    assert OWN.refused(under("metrics", "pico-1"), long, False)
    assert OWN.refused(under("metrics", "pico-1"), long[1:], False) == ""


def test_last_will_is_the_own_presence_and_nothing_else() -> None:
    assert OWN.refused_will(under("presence", "pico-1"), b"offline") == ""
    assert OWN.refused_will(under("presence", "pico-1"), b"online")
    assert OWN.refused_will(under("reported", "pico-1"), b"offline")


@pytest.mark.parametrize(
    "topic",
    [
        "#",
        under("#"),
        under("desired", "+", "digits", "all"),
        under("desired", "device", "pico-2", "digits"),
        under("desired", "device", "pico-1", ""),
        under("desired", "device", "+", "digits"),
        under("desired", "rp2040", "digits"),
        under("desired", "rp2040", "digits", "7", "8"),
        under("heartbeat", "pico-2"),
        under("reported", "pico-2"),
        under("metrics", "pico-1"),
        under("file", "pico-2", "block"),
        under("root", ""),
        under("root", "x"),
        under("root", "\u0661"),
        "modelwave/1/other/root/2",
        under("desired", "x" * 400, "digits", "7"),
    ],
)
def test_board_hears_nothing_of_others(topic: str) -> None:
    assert not OWN.may_hear(topic)


def test_board_hears_all_that_an_agent_asks_for() -> None:
    device = fakes.DEVICE
    voice = Voice(device.fleet, device.name)
    asked = [topics.root(device.fleet, 2), topics.heartbeat(device.fleet, device.name)]
    asked += [topics.reported(device.fleet, device.name)]
    asked += [topics.file_block(device.fleet, device.name)]
    asked += [topics.desired_slot(device.fleet, device.target, "digits", device.slot)]
    asked += [topics.desired_all(device.fleet, device.target, "digits")]
    asked += [topics.desired_device(device.fleet, device.name, "digits")]
    assert all(voice.may_hear(topic) for topic in asked)
    assert len(asked) < MAX_SUBSCRIPTIONS
