"""Tests that a device with a report key proves all that it reports, and that it notices a broker
that drops its reports."""

import asyncio
import contextlib
import json

import pytest

from modelwave_agent import echo, runner
from modelwave_agent.echo import DENIED, ECHO_SECONDS, LOST, MAX_ECHO_BYTES, Echo
from modelwave_agent.ports import LinkLost
from modelwave_shared import proofs, topics
from tests.agent.fakes import FakeClock, FakeLink, World, lived

KEY = bytes(range(32))
REPORTED, METRICS = topics.reported("demo", "pi-1"), topics.metrics("demo", "pi-1")


class Kept(FakeLink):
    """Keeps what is published; `denies`: the subscription to the own report."""

    denies = False

    def __init__(self, world):
        super().__init__(world)
        self.published = []

    async def subscribe_if_allowed(self, wanted):
        self.asked = wanted
        return wanted != [REPORTED] or not self.denies

    async def publish(self, topic, payload, retain):
        self.published.append((topic, payload))
        await asyncio.sleep(0)

    def of(self, topic):
        return [payload for its, payload in self.published if its == topic]


class Ending(Kept):
    """Ends the connection for the subscription to the own report."""

    def __init__(self, world):
        super().__init__(world)
        self.times = 0

    async def subscribe_if_allowed(self, wanted):
        if wanted != [REPORTED]:
            return True
        self.times += 1
        raise LinkLost("not authorised")


def booted(folder, key=KEY, link=Kept):
    world = World(folder)
    world.echoes = True
    agent, _ = world.boot()
    agent.link = link(world)
    agent._report_key = key
    return agent


def test_report_and_window_prove_the_device(tmp_path, monkeypatch):
    monkeypatch.setattr(FakeClock, "METRICS_SECONDS", 1000)  # so that windows are sent at once
    agent = booted(tmp_path)
    agent.observe("digits", inferences=3)
    assert asyncio.run(lived(agent, lambda: agent.link.of(METRICS) and agent.link.of(REPORTED)))
    for topic in (REPORTED, METRICS):
        for payload in agent.link.of(topic):
            document, proof = proofs.split(payload)
            assert proof == proofs.proof(KEY, topic, document)
            assert json.loads(document)["n"] > 0


def test_device_without_a_key_reports_as_before(tmp_path):
    agent = booted(tmp_path, key=b"")
    assert asyncio.run(lived(agent, lambda: agent.link.of(REPORTED)))
    assert json.loads(agent.link.of(REPORTED)[0])["n"] == 1


def test_device_listens_to_its_own_report(tmp_path):
    agent = booted(tmp_path)
    assert asyncio.run(lived(agent, lambda: agent.link.of(REPORTED)))
    assert agent.link.asked == [REPORTED]
    assert agent.echo.listens


def test_broker_that_denies_the_own_report_is_noted_and_used(tmp_path):
    class Denying(Kept):
        denies = True

    agent = booted(tmp_path, link=Denying)
    noted = []
    agent.note = noted.append
    assert asyncio.run(lived(agent, lambda: agent.link.of(REPORTED)))
    assert noted == [DENIED]
    assert agent.state()["refused"] == ""


def test_broker_that_ends_the_connection_for_the_own_report_is_asked_twice_a_day(
    tmp_path,
):
    agent = booted(tmp_path, link=Ending)
    assert asyncio.run(lived(agent, lambda: agent.link.of(REPORTED)))
    assert agent.link.times == 2


def test_connection_without_the_own_report_is_not_taken_for_deaf(tmp_path):
    """Its subscription once ended a connection, so the agent does without it."""
    agent = booted(tmp_path, link=Ending)

    async def life():
        silent_since(agent.echo, 0)
        agent.echo.came(b"report 0")
        with contextlib.suppress(LinkLost):
            await agent._connect()
        await agent._connect()
        agent.echo.sends(b"next")
        agent.echo.acknowledged(1)
        return agent.echo.is_deaf(10**6)

    assert not asyncio.run(life())


def test_reports_that_do_not_come_back_are_told_until_one_does(tmp_path):
    agent = booted(tmp_path)
    noted = []
    agent.note = noted.append

    async def life():
        agent.echo.connected(True)
        agent.echo.sends(b"first")
        agent.echo.acknowledged(100)
        assert not agent.echo.look(100 + ECHO_SECONDS - 1)
        assert agent.echo.look(100 + ECHO_SECONDS)
        agent._note_echo()
        assert agent.state()["refused"] == LOST
        assert agent.changed.is_set()
        agent.echo.sends(b"second")
        await agent._dispatch(REPORTED, b"first")
        assert agent.echo.trouble == LOST
        await agent._dispatch(REPORTED, b"second")
        assert agent.state()["refused"] == ""

    asyncio.run(life())
    assert noted == [LOST, ""]


def test_silent_broker_is_told_by_the_running_agent(tmp_path, monkeypatch):
    monkeypatch.setattr(echo, "ECHO_SECONDS", 0)
    agent = booted(tmp_path)

    def told():
        return [
            p for p in agent.link.of(REPORTED) if LOST in json.loads(proofs.split(p)[0])["refused"]
        ]

    async def again():
        while True:
            if agent.echo.look(agent.clock.now()):
                agent._note_echo()
            await asyncio.sleep(0)

    agent._ask_again = again
    assert asyncio.run(lived(agent, told))


def silent_since(heard, now):
    """A new connection, whose report does not come back."""
    heard.connected(True)
    heard.sends(b"report %d" % now)
    heard.acknowledged(now)


def test_connection_that_brings_nothing_any_more_is_left_and_the_next_is_given_longer():
    heard = Echo()
    heard.sends(b"first")
    heard.came(b"first")
    for patience in (1, 2, 4, 8):
        silent_since(heard, 0)
        assert not heard.is_deaf(patience * ECHO_SECONDS - 1)
        assert heard.is_deaf(patience * ECHO_SECONDS)
        assert not heard.is_deaf(patience * ECHO_SECONDS)  # once a connection
    heard.came(b"report 0")
    silent_since(heard, 1000)
    assert heard.is_deaf(1000 + ECHO_SECONDS)


def test_device_that_may_not_read_its_report_keeps_its_connection():
    heard = Echo()
    silent_since(heard, 0)
    assert not heard.is_deaf(10**6)


def test_agent_leaves_a_deaf_connection_for_the_next_address(tmp_path, monkeypatch):
    agent = booted(tmp_path)
    done, closed = [], asyncio.Event()
    agent.link.turn = lambda: done.append("turn")

    async def close():
        done.append("close")
        closed.set()

    agent.link.close = close
    monkeypatch.setattr(runner, "AGAIN_SECONDS", 0)

    async def life():
        agent.echo.sends(b"first")
        agent.echo.came(b"first")
        silent_since(agent.echo, agent.clock.now() - ECHO_SECONDS)
        task = asyncio.create_task(agent._ask_again())
        await closed.wait()
        task.cancel()

    asyncio.run(asyncio.wait_for(life(), 10))
    assert done == ["turn", "close"]


def test_report_that_comes_back_before_its_acknowledgement_has_come_back():
    heard = Echo()
    heard.connected(True)
    heard.sends(b"report")
    heard.came(b"report")
    heard.acknowledged(0)
    assert not heard.look(ECHO_SECONDS)


def test_nothing_is_awaited_where_nothing_is_listened_to():
    heard = Echo()
    heard.connected(False)
    heard.sends(b"report")
    heard.acknowledged(0)
    assert not heard.look(ECHO_SECONDS)


@pytest.mark.parametrize(
    ("size", "is_awaited"), [(MAX_ECHO_BYTES, True), (MAX_ECHO_BYTES + 1, False)]
)
def test_report_that_no_link_would_pass_on_is_not_awaited(size, is_awaited):
    heard = Echo()
    heard.connected(True)
    heard.sends(bytes(size))
    heard.acknowledged(0)
    assert heard.look(ECHO_SECONDS) == is_awaited


def test_new_connection_waits_anew():
    heard = Echo()
    heard.connected(True)
    heard.sends(b"report")
    heard.acknowledged(0)
    heard.connected(True)
    assert not heard.look(ECHO_SECONDS)
