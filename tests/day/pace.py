"""Sets the day's clock forward while time only passes.

    something works                                      a step
    ---------------------------------------------------  ----------------------------
    a real agent, or something starts or is on its way   WORK_SECONDS: time for processes
    a simulated device                                   WAIT_SECONDS: for its timers
    nothing: devices soak, windows fill, trials last     IDLE_SECONDS

After each step the simulated devices have done what was due, the broker has answered, and the
service has come round: it renews its lease. So nobody misses a deadline because the clock ran away.
The longest step is below what counts as a gap for the rollout clock (60 s), and below half of each
keep-alive (30 s and more)."""

import asyncio
import contextlib
import socket
import sqlite3
import threading

from modelwave_controller.load import packets
from tests.day import clock

WORK_SECONDS, WAIT_SECONDS, IDLE_SECONDS = 0.2, 2.0, 10.0
PAUSE_SECONDS = 0.03  # real ones, between two steps
ROUND_SECONDS = 2.0  # real ones that broker and service have to come round
CALM_LOOKS = 8  # without work, before a long step
BUSY = "state not in ('idle', 'trial')"


class Pace:
    """Runs in a thread of its own; the devices are in the event loop `loop`."""

    def __init__(self, day_clock, controller, loop, real):
        """`real`: the names of the real agents."""
        self.clock = day_clock
        self.controller = controller
        self.loop = loop
        self.real = sorted(real)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._calm = 0

    def start(self):
        self._thread.start()

    async def stop(self):
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self):
        connection = sqlite3.connect(f"file:{self.controller.database}?mode=ro", uri=True)
        broker = Answering(self.controller.port)
        while not self._stopping.is_set():
            step = self._step(connection)
            beat = self._beat(connection)
            self.clock.skip(step)
            clock.real_sleep(PAUSE_SECONDS)
            self._let_devices_work()
            broker.answer()
            if step > WORK_SECONDS and self.controller.leads:
                self._await_service(connection, beat)
        connection.close()
        broker.close()

    def _step(self, connection):
        if self._any(connection, "outbox", "acked < version"):
            self._calm = 0
        names = ",".join(f"'{name}'" for name in self.real)
        if self._any(connection, "device_models", f"{BUSY} and device in ({names})"):
            self._calm = 0
        self._calm += 1
        if self._calm < CALM_LOOKS:
            return WORK_SECONDS
        return WAIT_SECONDS if self._any(connection, "device_models", BUSY) else IDLE_SECONDS

    def _any(self, connection, table, where):
        query = f"select 1 from {table} where {where} limit 1"
        return connection.execute(query).fetchone() is not None

    def _beat(self, connection):
        return connection.execute("select beat from lease where id = 1").fetchone()

    def _let_devices_work(self):
        """Returns when the timers that were due have been called."""
        done = threading.Event()

        def twice():
            self.loop.call_soon(done.set)

        self.loop.call_soon_threadsafe(twice)
        while not done.is_set() and not self._stopping.is_set():
            clock.real_sleep(0.002)

    def _await_service(self, connection, beat):
        end = clock.real_monotonic() + ROUND_SECONDS
        while self._beat(connection) == beat and clock.real_monotonic() < end:
            clock.real_sleep(0.005)


class Answering:
    """A connection to the broker, over which it is asked whether it has come round."""

    def __init__(self, port):
        self.port = port
        self.socket = None

    def answer(self):
        """Returns when the broker has answered, at once if it is away."""
        with contextlib.suppress(OSError):
            if self.socket is None:
                self._connect()
            self.socket.sendall(packets.PING)
            if self.socket.recv(2):
                return
        self.close()

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def _connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), ROUND_SECONDS)
        self.socket.sendall(packets.connect("PACE", "", "", "pace", b"", 0))
        self.socket.recv(4)  # the CONNACK
