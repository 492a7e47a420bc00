"""Tests whether a service that stands by knows that it reaches the broker."""

import threading

import pytest
from broker_hosts import embedded
from simulated_fleet import DEADLINE_SECONDS, free_port, poll

from modelwave_controller.service import connection as connections
from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.reach import Reach


def reach(port: int) -> Reach:
    return Reach(ServiceBroker("127.0.0.1", port), "demo")


def test_it_connects_only_while_that_matters() -> None:
    with embedded() as host:
        tried = reach(host.port)
        assert not tried.look(False)
        poll(lambda: tried.look(True))
        assert not tried.look(False)
        poll(lambda: tried.look(True))
        tried.stop()


def test_it_does_not_reach_a_broker_that_is_not_there() -> None:
    tried = reach(free_port())
    assert not tried.look(True)
    assert tried._link is not None
    link = tried._link
    poll(lambda: link._failures >= 1)
    assert not tried.look(True)
    tried.stop()


def test_a_connect_that_hangs_does_not_keep_the_service_from_taking_the_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, answered = threading.Event(), threading.Event()

    def hang(_connection: connections.Connection) -> None:
        begun.set()
        answered.wait(DEADLINE_SECONDS)
        raise TimeoutError

    monkeypatch.setattr(connections.Connection, "open", hang)
    tried = reach(free_port())
    tried.look(True)
    assert begun.wait(DEADLINE_SECONDS)
    link = tried._link
    assert not tried.look(False)
    assert link is not None
    assert link.alive
    answered.set()
    poll(lambda: not link.alive)
