"""Tests that the topics are as in the design's table, and that those of another fleet are not
read."""

from modelwave_shared import topics


def test_topics_are_those_of_the_design():
    assert topics.desired_slot("demo", "rp2040", "digits", 7) == (
        "modelwave/1/demo/desired/rp2040/digits/7"
    )
    assert topics.desired_all("demo", "rp2040", "digits") == (
        "modelwave/1/demo/desired/rp2040/digits/all"
    )
    assert topics.desired_device("demo", "pump-1", "digits") == (
        "modelwave/1/demo/desired/device/pump-1/digits"
    )
    assert topics.reported("demo", "pump-1") == "modelwave/1/demo/reported/pump-1"
    assert topics.presence("demo", "pump-1") == "modelwave/1/demo/presence/pump-1"
    assert topics.heartbeat("demo", "pump-1") == "modelwave/1/demo/heartbeat/pump-1"
    assert topics.metrics("demo", "pump-1") == "modelwave/1/demo/metrics/pump-1"


def test_parts_are_what_stands_after_the_fleet():
    assert topics.parts("demo", topics.reported("demo", "pump-1")) == ["reported", "pump-1"]
    assert topics.parts("demo", topics.desired_slot("demo", "t", "m", 0)) == [
        "desired",
        "t",
        "m",
        "0",
    ]


def test_topics_of_another_fleet_have_no_parts():
    for topic in (
        topics.reported("demo2", "pump-1"),
        topics.reported("dem", "pump-1"),
        "modelwave/1/demo",
        "modelwave/2/demo/reported/pump-1",
        "/modelwave/1/demo/reported/pump-1",
        "",
    ):
        assert topics.parts("demo", topic) == []
