"""Many devices whose file server is down: the short form of `make outage`."""

import random

import pytest

from modelwave_agent import retries
from tests.agent.outage_world import simulate

DEVICES = 100
MINUTES = 10


@pytest.mark.parametrize("retry_after", [0, 60])
def test_devices_ask_a_server_that_is_down_apart_from_each_other(retry_after):
    """After the first minutes, in which the pauses are short yet, a second has few of them. When
    the server is back, all have the release within the longest pause."""
    outage = simulate(DEVICES, 60 * MINUTES, retry_after=retry_after)
    assert max(outage.by_second()[120:]) <= DEVICES / 10
    assert len(outage.installed) == DEVICES
    assert outage.recovery() <= retries.SHORT_PAUSE_SECONDS + retry_after


def test_the_measure_sees_devices_that_ask_in_lock_step(monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 0.5)
    outage = simulate(20, 300)
    assert max(outage.by_second()[120:]) == 20
