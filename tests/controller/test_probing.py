"""How an ingest process notices that its connection brings nothing any more."""

from typing import Any

import pytest
from tests.controller.test_vitals import Steady

from modelwave_controller.service.probing import PROBE_SECONDS, Probing
from modelwave_controller.service.readback import QUIET_SECONDS

TOPIC = "modelwave/1/meadow/controller/share"


class Wire:
    """A connection that notes what is sent over it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.filters: list[str] = []
        self.left = False
        self.kept = 0  # acknowledgements that nobody has taken

    def subscribe(self, filters: list[str], _then: object) -> None:
        self.filters += filters

    def probe(self, topic: str, payload: bytes) -> None:
        assert topic == TOPIC
        self.sent.append(payload)
        self.kept += 1

    def acknowledged(self) -> list[Any]:
        self.kept = 0
        return []

    def leave(self) -> None:
        self.left = True


@pytest.fixture
def clock() -> Steady:
    return Steady()


def begun(clock: Steady, answered: bool = True) -> tuple[Probing, Any]:
    probing, wire = Probing(TOPIC, clock), Wire()
    probing.step(wire)  # type: ignore[arg-type]
    assert wire.filters == [TOPIC]
    if answered:
        assert probing.came(TOPIC, wire.sent[0])
    return probing, wire


def test_what_was_due_has_come_when_the_first_probe_is_back(clock: Steady) -> None:
    probing, wire = begun(clock, answered=False)
    assert not probing.has_looked
    for payload in (b"0", b"x", str(int(wire.sent[0]) - 1).encode(), b"9" * 11):
        assert probing.came(TOPIC, payload)  # of an earlier process, or nonsense
        assert not probing.has_looked
    assert not probing.came("another", wire.sent[0])
    probing.came(TOPIC, wire.sent[0])
    assert probing.has_looked
    probing.step(Wire())  # type: ignore[arg-type]  # a new connection
    assert not probing.has_looked


def test_probes_go_on_and_a_connection_that_brings_them_stays(clock: Steady) -> None:
    probing, wire = begun(clock)
    for number in range(2, 9):
        clock.seconds += PROBE_SECONDS
        probing.step(wire)
        assert len(wire.sent) == number
        probing.step(wire)
        probing.came(TOPIC, wire.sent[-1])
    assert not wire.left


def test_a_connection_that_stands_for_weeks_keeps_no_packet_id_of_a_probe(clock: Steady) -> None:
    probing, wire = begun(clock)
    for _ in range(3):
        clock.seconds += PROBE_SECONDS
        probing.step(wire)
        assert probing.came(TOPIC, wire.sent[-1])
    assert len(wire.sent) == 4
    assert wire.kept == 1


def test_deaf_connection_is_left(clock: Steady) -> None:
    probing, wire = begun(clock)
    clock.seconds += PROBE_SECONDS
    for _ in range(2):
        assert not wire.left
        probing.step(wire)
        clock.seconds += QUIET_SECONDS + 1
    probing.step(wire)
    assert wire.left


def test_connection_that_brings_messages_of_devices_is_not_left(clock: Steady) -> None:
    probing, wire = begun(clock)
    clock.seconds += PROBE_SECONDS
    for _ in range(9):
        probing.step(wire)
        clock.seconds += QUIET_SECONDS + 1
        probing.came("another", b"a report")
    assert not wire.left


def test_broker_that_allows_no_probe_is_never_left(clock: Steady) -> None:
    probing, wire = begun(clock, answered=False)
    for _ in range(9):
        clock.seconds += PROBE_SECONDS + QUIET_SECONDS
        probing.step(wire)
    assert (len(wire.sent), wire.left) == (1, False)
