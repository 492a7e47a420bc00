"""Tests that readers understand the agent: `reports.read` accepts all its reports and metrics."""

import asyncio
import json

import pytest

from modelwave_shared import reports, topics
from modelwave_shared.words import METRICS, REPORT
from tests import signing
from tests.agent.fakes import TOPIC, FakeClock, FakeHooks, FakeLink, World, lived

RELEASE = signing.Release(1, b"model one " * 300)
KINDS = {topics.reported("demo", "pi-1"): REPORT, topics.metrics("demo", "pi-1"): METRICS}


@pytest.fixture
def published(monkeypatch):
    """{kind: documents}, read as their readers do when they are published."""
    found = {REPORT: [], METRICS: []}
    publish = FakeLink.publish

    async def read(link, topic, payload, retain):
        if topic in KINDS:
            found[KINDS[topic]].append(reports.read(KINDS[topic], payload))
        await publish(link, topic, payload, retain)

    monkeypatch.setattr(FakeLink, "publish", read)
    return found


async def too_hot(hooks, live):
    return "too hot"


@pytest.mark.parametrize("outcome", ["SUCCEEDED", "ROLLED_BACK", "REJECTED"])
def test_all_that_an_update_makes_the_agent_say_can_be_read(
    tmp_path, monkeypatch, published, outcome
):
    world = World(tmp_path)
    world.files.update(RELEASE.files)
    world.retained[TOPIC] = signing.order(RELEASE, 1)
    if outcome == "ROLLED_BACK":
        monkeypatch.setattr(FakeHooks, "healthy", too_hot)
    if outcome == "REJECTED":
        world.ram = 0
    agent, _ = world.boot()

    def done():
        said = published[REPORT]
        return bool(said) and said[-1]["models"]["digits"]["outcome"] == outcome

    assert asyncio.run(lived(agent, done))


def test_observations_that_the_agent_sends_can_be_read(tmp_path, monkeypatch, published):
    monkeypatch.setattr(FakeClock, "METRICS_SECONDS", 1000)  # so that they are sent at once
    agent, _ = World(tmp_path).boot()
    agent.observe("digits", inferences=3, failures=1, labelled=2, correct=1)
    assert asyncio.run(lived(agent, lambda: published[METRICS]))
    (found,) = published[METRICS]
    counts = [found[name] for name in ("inferences", "failures", "labelled", "correct")]
    assert counts == [3, 1, 2, 1]


def test_limit_of_a_release_is_durable_and_its_slow_inferences_are_counted(
    tmp_path, monkeypatch, published
):
    """As is that of a release with another limit, or none."""
    limited = signing.Release(1, b"model one " * 300, extra={"latency_limit_us": 20_500})
    world = World(tmp_path)
    world.files.update(limited.files)
    world.retained[TOPIC] = signing.order(limited, 1)
    agent, update = world.boot()
    assert asyncio.run(lived(agent, lambda: update.record["outcome"] == "SUCCEEDED"))
    monkeypatch.setattr(FakeClock, "METRICS_SECONDS", 1000)
    agent, _ = world.boot()
    for latency_ms in (20, 20.5, 21):
        agent.observe("digits", release=1, latency_ms=latency_ms)
        agent.observe("digits", release=7, latency_ms=latency_ms)
    assert asyncio.run(lived(agent, lambda: len(published[METRICS]) == 2))
    over = {found["release"]: found["latency"].get("over") for found in published[METRICS]}
    assert over == {1: [1, 3], 7: None}


def test_report_names_the_gateway_that_speaks_for_the_device(tmp_path, monkeypatch):
    agent, _ = World(tmp_path).boot()
    assert "via" not in agent.state()["extra"]
    monkeypatch.setattr(FakeLink, "via", "gw-1")
    document = agent.state()
    assert document["extra"]["via"] == "gw-1"
    reports.read(REPORT, json.dumps(document).encode())
