"""Runs the real service, kills it at a given point, and runs it again.

A line "FOLDER POINT" on stdin starts the service of the home in FOLDER, with POINT such as
"commit before 3", "publish after 1" or "never". It answers "running PID" for each start,
"killed" when it was killed there and is restarted, now without a kill, and "ended CODE"
when it has ended by itself; then it reads the next line. Each start is a fork, so that the
controller's modules are imported only once.

A commit counts if it changed the log or the outbox; a publish is one message to the broker.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from modelwave_controller.home import Home
from modelwave_controller.service.connection import Connection as LinkConnection
from modelwave_controller.service.serve import Service
from modelwave_controller.storage.outbox import Message
from modelwave_controller.storage.store import Store
from modelwave_controller.storage.tables import events, outbox

TICK_SECONDS = 0.05


class Trap:
    """Kills this process at the nth passing of the point that it is set for."""

    def __init__(self, point: str) -> None:
        self.kind, self.side, number = [*point.split(), "", "0"][:3]
        self.left = int(number)

    def passes(self, kind: str, side: str) -> None:
        if (kind, side) == (self.kind, self.side):
            self.left -= 1
            if self.left == 0:
                self.springs()

    def springs(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class TrappedStore(Store):
    def __init__(self, url: str, trap: Trap) -> None:
        super().__init__(url)
        self.trap = trap

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with super().write() as connection:
            before = _mark(connection)
            yield connection
            changed = _mark(connection) != before
            if changed:
                self.trap.passes("commit", "before")
        if changed:
            self.trap.passes("commit", "after")


def _mark(connection: Connection) -> Any:
    sums = select(func.sum(outbox.c.version), func.sum(outbox.c.acked))
    return connection.scalar(select(func.max(events.c.id))), connection.execute(sums).one()


def trap_publishing(trap: Trap) -> None:
    send: Callable[[LinkConnection, Message], None] = LinkConnection.send

    def trapped(self: LinkConnection, message: Message) -> None:
        trap.passes("publish", "before")
        send(self, message)
        trap.passes("publish", "after")

    LinkConnection.send = trapped  # type: ignore[method-assign]


def _run_service(folder: Path, point: str) -> None:
    home = Home(folder)
    trap = Trap(point)
    store = TrappedStore(home.database_url, trap)
    trap_publishing(trap)
    service = Service(home, store, TICK_SECONDS)
    signal.signal(signal.SIGTERM, lambda *_: service.stop())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    asyncio.run(service.run(lambda _: None))


def _forked(folder: Path, point: str) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _run_service(folder, point)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return pid


def main() -> None:
    # A SIGTERM that comes while a service starts waits until it can be minded.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    for line in sys.stdin:
        folder, _, point = line.strip().partition(" ")
        while True:
            pid = _forked(Path(folder), point)
            print(f"running {pid}", flush=True)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if code != -signal.SIGKILL:
                break
            print("killed", flush=True)
            point = "never"
        print(f"ended {code}", flush=True)


if __name__ == "__main__":
    main()
