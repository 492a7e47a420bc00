"""Sets the day's clock forward, and skips the time that only passes.

    something works                                      a step
    ---------------------------------------------------  --------------------------------
    a real agent, or something is on its way to one      WORK_SECONDS: about as time passes
    a simulated device                                   WAIT_SECONDS: for its timers
    nothing: devices soak, windows fill, trials last     IDLE_SECONDS

After each step the event loops of all agents have seen the time, the broker has answered, and the
service has come round: it renews its lease. So nobody misses a deadline because the clock ran away,
however busy the machine is. The longest step is below what counts as a gap for the rollout clock
(60 s), and below half of each keep-alive (30 s and more)."""

import contextlib
import socket
import sqlite3
import threading

from modelwave_controller.load import packets
from tests.day import clock

WORK_SECONDS, WAIT_SECONDS, IDLE_SECONDS = 0.05, 2.0, 10.0
PAUSE_SECONDS = 0.02  # real ones, after each step
ROUND_SECONDS = 5.0  # real ones that each of them has; who is away, hangs or starts does not answer
LOOK_SECONDS = 0.002
CALM_LOOKS = 8  # without work, before a long step
BUSY = "state not in ('idle', 'trial')"


class Pace:
    """Runs in a thread of its own; the simulated devices are in the event loop `loop`. Without a
    `day` to follow, time passes in steps of WORK_SECONDS."""

    def __init__(self, day_clock, loop):
        self.clock = day_clock
        self.loop = loop
        self.day = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._calm = 0
        self._broker = Answering()

    def start(self):
        self._thread.start()

    def _run(self):
        """It ends with the process: whoever ends later still waits by this clock."""
        while True:
            day = self.day
            step = self._step(day) if day else WORK_SECONDS
            beat = _asked(day, "select beat from lease where id = 1") if day else None
            self.clock.skip(step)
            clock.real_sleep(PAUSE_SECONDS)
            if day:
                self._let_all_work(day, step, beat)

    def _step(self, day):
        names = ",".join(f"'{agent.name}'" for agent in day.real)
        works = f"select 1 from device_models where {BUSY}"
        if _asked(day, f"{works} and device in ({names}) limit 1"):
            self._calm = 0
        if _asked(day, "select 1 from outbox where acked < version limit 1"):
            self._calm = 0
        self._calm += 1
        if self._calm < CALM_LOOKS:
            return WORK_SECONDS
        return WAIT_SECONDS if _asked(day, f"{works} limit 1") else IDLE_SECONDS

    def _let_all_work(self, day, step, beat):
        if not self._devices_have_worked():
            self._calm = 0
        self._broker.answer(day.port)
        if step > WORK_SECONDS:
            if day.controller.leads:
                _wait(lambda: _asked(day, "select beat from lease where id = 1") != beat)
            _wait(lambda: all(self.clock.has_seen(a.place) for a in day.real if a.lives))

    def _devices_have_worked(self):
        """Returns whether the timers that were due have been called."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(self.loop.call_soon, done.set)
        return _wait(done.is_set)


def _wait(done):
    end = clock.real_monotonic() + ROUND_SECONDS
    while not done() and clock.real_monotonic() < end:
        clock.real_sleep(LOOK_SECONDS)
    return done()


def _asked(day, query):
    """Returns the first row, or None."""
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(
            sqlite3.connect(f"file:{day.controller.database}?mode=ro", uri=True)
        ) as it,
    ):
        return it.execute(query).fetchone()


class Answering:
    """A connection to the broker, over which it is asked whether it has come round."""

    def __init__(self):
        self.socket = None

    def answer(self, port):
        """Returns when the broker has answered, at once if it is away."""
        with contextlib.suppress(OSError):
            if self.socket is None:
                self._connect(port)
            self.socket.sendall(packets.PING)
            if self.socket.recv(2):
                return
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def _connect(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), ROUND_SECONDS)
        self.socket.sendall(packets.connect("PACE", "", "", "pace", b"", 0))
        self.socket.recv(4)  # the CONNACK
