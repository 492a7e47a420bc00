"""What a board prints gets into the gateway's log within bounds: board_log.py, allowance.py."""

import logging

import pytest

from modelwave_agent.host.clock import HostClock
from modelwave_agent.host.relay.board_log import BURST, MAX_CHARACTERS, BoardLog


class StandingClock(HostClock):
    seconds = 0.0

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def log(clock: StandingClock, caplog: pytest.LogCaptureFixture) -> BoardLog:
    caplog.set_level(logging.INFO)
    return BoardLog("pico-1", clock)


def test_lines_are_told_whole_with_the_boards_name(
    log: BoardLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.console(b"Traceback (most rec")
    log.console(b"ent call last):\r\n  File\r\n\r\nrest")
    assert caplog.messages == [
        "pico-1: prints: Traceback (most recent call last):",
        "pico-1: prints: File",
    ]


def test_what_cannot_be_printed_is_left_out(
    log: BoardLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.console(b"\x1b[2Jred \xe2\x80\xae alert\n\x01\xff\xfe\x80\x03ab\x99\x98\x97\n")
    assert caplog.messages == ["pico-1: prints: [2Jred  alert"]


def test_length_and_number_of_lines_are_bounded(
    log: BoardLog, clock: StandingClock, caplog: pytest.LogCaptureFixture
) -> None:
    log.console(b"x" * 100_000)
    assert caplog.messages == ["pico-1: prints: " + "x" * MAX_CHARACTERS]
    log.console(b"line\n" * 1000)
    assert len(caplog.messages) == BURST
    clock.seconds = 10
    log.console(b"later\n")
    assert caplog.messages[-2:] == [
        f"pico-1: {1002 - BURST - 1} lines were left out",
        "pico-1: prints: later",
    ]
