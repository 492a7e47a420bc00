"""Tests two services of one database: one is killed or hangs at any point, the other takes over.

Release 1 goes to all devices; release 2 is bad and is reverted. The services are processes, with a
real broker and devices that answer at once. MODELWAVE_LONG=1 tests 20 points of each kind with the
lease as it is in production, and prints the seconds until the other service leads; an ordinary run
tests some with a short lease.
"""

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest
from simulated_fleet import any_broker, poll
from two_services import Listener, Play, Services, cases, database, in_trouble

from modelwave_controller.rollout.state import FINISHED, REVERTED
from modelwave_controller.service.connection import WINDOW

SOME = [
    ("sqlite", "publish after 5"),
    ("postgresql", "commit after 4"),
    ("sqlite", "commit before 6"),
]
ALL = [
    (kind, f"{what} {side} {number}")
    for kind in ("sqlite", "postgresql")
    for what, side, numbers in (
        ("commit", "before", (2, 4, 6, 8, 10)),
        ("commit", "after", (1, 3, 5, 7, 9)),
        ("publish", "before", (1, 3, 60, 150, 300)),
        ("publish", "after", (2, 7, 50, 100, 250)),
    )
    for number in numbers
]
SOME_STOPS = [("postgresql", "publish before 7")]
ALL_STOPS = [(kind, point) for kind, point in ALL if "before" not in point or "publish" in point]

pytestmark = pytest.mark.e2e


def run(
    folder: Path, url: str, services: Services, name: str, point: str, sure: float = 0.3
) -> tuple[float, int]:
    """Returns the seconds until the second service led, and how many messages were published more
    than once."""
    with (
        any_broker(folder) as port,
        closing(Play(folder, port, url, services)) as play,
        closing(Listener(port)) as listener,
    ):
        play.start(name, point, sure)
        with closing(play.fleet(port)):
            play.play(lambda: in_trouble(play.first))
            if name == "STOP":
                os.kill(play.first, signal.SIGCONT)
                poll(lambda: "publishes and stores nothing any more" in play.log("first"))
            assert play.statuses() == [FINISHED, REVERTED]
            held = {topic: payload for topic, payload in play.held().items() if payload}
            poll(lambda: listener.last == held)
            if name == "STOP":
                os.kill(play.second, signal.SIGTERM)
                poll(lambda: play.holder() == play.first)
            with closing(Listener(port)) as late:
                poll(lambda: late.last == held)
        assert "Traceback" not in play.log("first") + play.log("second")
        return play.took, listener.repeated


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "point"), cases(SOME, ALL))
def test_killed_there_another_takes_over_and_it_ends_as_if_nothing_had_been(
    tmp_path: Path, request: pytest.FixtureRequest, services: Services, kind: str, point: str
) -> None:
    url = database(kind, tmp_path, request)
    took, repeated = run(tmp_path, url, services, "KILL", point)
    print(f"{kind}, killed {point}: {took:.1f} s, {repeated} messages published again")
    assert repeated <= WINDOW


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sure", [0.3, 1000], ids=["looks first", "sends the rest"])
@pytest.mark.parametrize(("kind", "point"), cases(SOME_STOPS, ALL_STOPS))
def test_one_that_hung_there_and_goes_on_puts_nothing_older_back(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    services: Services,
    kind: str,
    point: str,
    sure: float,
) -> None:
    """One that looks at the lease first sends nothing more. If it did send the rest of its window,
    as far as it was handed to the connection, the other one publishes the right messages again."""
    url = database(kind, tmp_path, request)
    took, repeated = run(tmp_path, url, services, "STOP", point, sure)
    print(f"{kind}, hung {point}: {took:.1f} s, {repeated} messages published again")
    assert repeated <= (WINDOW if sure < 1 else 2 * WINDOW)
