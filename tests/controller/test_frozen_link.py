"""Tests a leader that has the database and not the broker: a service that reaches it takes over.

Its packets vanish, in both directions or in one, in the middle of a wave, or its connections are
refused. MODELWAVE_LONG=1 tests it with 600 devices and with the times as they are in production,
and prints the seconds until the other service leads.
"""

import os
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from frozen_network import network
from postgres_server import needs_postgres
from simulated_fleet import any_broker, poll
from two_services import LONG, Listener, Play, Services, database

from modelwave_controller.rollout.state import FINISHED, REVERTED
from modelwave_controller.service.connection import WINDOW

DEVICES = 600 if LONG else 60
BOTH, UP, DOWN = dict[str, bool](), {"down": False}, {"up": False}
AT = (5, 30, 70, 130) if not LONG else (30, 300, 700, 1000)
SOME = [
    ("sqlite", BOTH, AT[1], True),
    ("sqlite", UP, AT[2], False),
    ("postgresql", DOWN, AT[3], True),
]
ALL = [
    (kind, directions, at, keeps)
    for kind in ("sqlite", "postgresql")
    for directions in (BOTH, UP, DOWN)
    for at in AT
    for keeps in (False, True)
]

pytestmark = pytest.mark.e2e


def cases() -> list[Any]:
    marks = {"sqlite": (), "postgresql": needs_postgres}
    return [pytest.param(*case, marks=marks[case[0]]) for case in (ALL if LONG else SOME)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "directions", "at", "keeps"), cases())
def test_a_link_that_freezes_in_a_wave_and_heals_puts_nothing_older_back(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    services: Services,
    kind: str,
    directions: dict[str, bool],
    at: int,
    keeps: bool,
) -> None:
    """A network that loses what it had from a sender that is gone delivers at most one window of
    messages that come again; one that keeps it, one more, which the new leader puts right."""
    url = database(kind, tmp_path, request)
    with (
        any_broker(tmp_path) as port,
        network(port, keeps) as between,
        closing(Play(tmp_path, port, url, services, DEVICES, between.port)) as play,
        closing(Listener(port)) as listener,
    ):
        between.freezes |= directions
        play.start()
        between.freeze_at = at
        with closing(play.fleet(port)):
            play.play(lambda: between.frozen)
            assert play.statuses() == [FINISHED, REVERTED]
            held = {topic: payload for topic, payload in play.held().items() if payload}
            poll(lambda: listener.last == held)
            between.heal()
            poll(lambda: "publishes and stores nothing any more" in play.log("first"))
            poll(between.drained)
            poll(lambda: listener.last == held)
            os.kill(play.second, signal.SIGTERM)
            poll(lambda: play.holder() == play.first)
            with closing(Listener(port)) as late:
                poll(lambda: late.last == held)
        print(
            f"{kind}, {directions} frozen at {at}, keeps={keeps}: {play.took:.1f} s, "
            f"{between.late} came late, {listener.repeated} messages published again"
        )
        assert listener.repeated <= (2 * WINDOW if keeps else WINDOW)
        assert "Traceback" not in play.log("first") + play.log("second")


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def test_a_leader_whose_connections_are_refused_is_replaced_and_does_not_come_back(
    tmp_path: Path, request: pytest.FixtureRequest, services: Services, kind: str
) -> None:
    url = database(kind, tmp_path, request)
    with (
        any_broker(tmp_path) as port,
        network(port) as between,
        closing(Play(tmp_path, port, url, services, 3, between.port)) as play,
    ):
        play.start()
        poll(lambda: play.lease().connected)
        between.refuse()
        poll(lambda: play.holder() == play.second)
        poll(lambda: play.lease().connected)
        between.accept_again()
        poll(lambda: f"standing by: process {play.second}" in play.log("first"))
        assert play.holder() == play.second
        assert f"process {play.first} on" in play.log("second").split("does not reach")[0]


def test_while_nobody_reaches_the_broker_the_lease_stays_where_it_is(
    tmp_path: Path, services: Services
) -> None:
    with (
        any_broker(tmp_path) as port,
        network(port) as between,
        closing(Play(tmp_path, between.port, "", services, 3)) as play,
    ):
        play.start()
        poll(lambda: play.lease().connected)
        between.refuse()
        poll(lambda: not play.lease().connected)
        before = play.lease()
        poll(lambda: "standing by: cannot connect" in play.log("second"))
        poll(lambda: play.lease().beat >= before.beat + 10)  # far longer than a takeover takes
        assert play.lease().generation == before.generation
        for name in ("first", "second"):
            said = play.log(name).replace("file blocks: cannot", "")
            assert said.count("cannot connect to the broker") == 1
        between.accept_again()
        poll(lambda: play.lease().connected)
        assert play.lease().generation <= before.generation + 1
