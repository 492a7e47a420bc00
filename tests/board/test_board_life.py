"""Tests long operation of a board: dead connections, killed brokers, many updates and reconnects.
The agent is the package that boards install, on MicroPython.

MODELWAVE_LONG=1 does 2,000 reconnects and 50 updates, an ordinary run a few of each.
"""

import contextlib
import json
import os

import pytest

from tests.board.updating import ROM, FromRom, Ground, Line, broker, running_broker

pytestmark = pytest.mark.slow

LONG = os.environ.get("MODELWAVE_LONG") == "1"
RECONNECTS, UPDATES = (40, 50) if LONG else (10, 6)  # before each update, updates
HASTY = {"last": UPDATES, "reconnects": RECONNECTS, "hasty": True, "keepalive": 3600}
SECONDS = 600 if LONG else 60
HEAPS = {"files": "160k", "ROMFS": "100k"}  # by where the code is
HEAP_MAY_DIFFER_BYTES = 512
# Updates after which nothing is new to the board: both banks hold a release, one was emptied,
# and all names are in the interpreter's table, which keeps each for ever.
SETTLED = 2
KEEPALIVE_SECONDS = 5
SOME_BYTES = 30_000  # of a download of 100,000


class Watched:
    """A running board, observed by its output."""

    def __init__(self, board):
        self.board = board
        self.lines = []

    def wait_for(self, what):
        """Waits for the next output line of this name, and returns its value."""
        for line in self.board.stdout:
            self.lines.append(line)
            found = json.loads(line)
            if what in found:
                return found[what]
        raise AssertionError(f"ended before {what}: {self.lines[-5:]} {self.board.stderr.read()}")


def life(ground, modules, port, **more):
    heap = HEAPS["ROMFS" if modules == ROM else "files"]
    settings = {"reconnects": 0, "hasty": False, "keepalive": KEEPALIVE_SECONDS}
    config = ground.configure([modules], **{**settings, "port": port, **more})
    return ground.board("update_life.py", config, heap, SECONDS)


@pytest.mark.parametrize("code", ["files", "ROMFS"])
def test_heap_is_what_it_was_after_many_reconnects_and_updates(tmp_path, compiled, code):
    heaps = []
    with broker(tmp_path, "mosquitto") as port, contextlib.ExitStack() as stack:
        if code == "files":
            ground = stack.enter_context(Ground(tmp_path, port))
            board = stack.enter_context(life(ground, compiled, port, **HASTY))
        else:
            ground = stack.enter_context(FromRom(tmp_path, port, compiled))
            board = stack.enter_context(life(ground, ROM, port, **HASTY))
        watched = Watched(board)
        for number in range(1, UPDATES + 1):
            assert watched.wait_for("ready")["number"] == ground.order()
            told = watched.wait_for("outcome")
            assert (told["number"], told["outcome"]) == (number, "SUCCEEDED")
            heaps.append(told["heap"])
    print(f"code in {code}, {UPDATES * RECONNECTS} reconnects, heap after each update: {heaps}")
    settled = heaps[SETTLED:]
    assert max(settled) - min(settled) <= HEAP_MAY_DIFFER_BYTES, heaps


@contextlib.contextmanager
def behind_a_line(tmp_path, compiled):
    """(ground, line, watched) of a board that is ready, with a line that may die between it and
    the broker."""
    with (
        broker(tmp_path, "mosquitto") as port,
        Ground(tmp_path, port) as ground,
        Line(port) as line,
        life(ground, compiled, line.port, last=1) as board,
    ):
        watched = Watched(board)
        watched.wait_for("ready")
        yield ground, line, watched


def test_line_that_dies_while_the_board_is_idle_is_noticed_and_replaced(tmp_path, compiled):
    with behind_a_line(tmp_path, compiled) as (ground, line, watched):
        line.after(0, line.hole)
        assert "does not answer" in watched.wait_for("lost")["why"]
        watched.wait_for("connected")
        ground.order()
        assert watched.wait_for("outcome")["outcome"] == "SUCCEEDED"


def test_line_that_dies_during_a_download_is_noticed_and_the_rest_comes_over_another(
    tmp_path, compiled
):
    with behind_a_line(tmp_path, compiled) as (ground, line, watched):
        line.after(SOME_BYTES, line.hole)
        ground.order()
        watched.wait_for("lost")
        before = line.taken
        assert watched.wait_for("outcome")["outcome"] == "SUCCEEDED"
        rest = line.taken - before
        assert rest < 100_000 - SOME_BYTES // 2, "it began anew"


@pytest.mark.parametrize("kind", ["mosquitto", "embedded"])
def test_broker_that_is_killed_during_a_download_and_starts_again(tmp_path, compiled, kind):
    with (
        running_broker(tmp_path, kind) as running,
        Ground(tmp_path, running.port) as ground,
        Line(running.port) as line,
        life(ground, compiled, line.port, last=1) as board,
    ):
        watched = Watched(board)
        watched.wait_for("ready")
        line.after(SOME_BYTES, running.kill)
        ground.order()
        watched.wait_for("lost")
        running.start_again()
        watched.wait_for("connected")
        assert watched.wait_for("outcome")["outcome"] == "SUCCEEDED"
