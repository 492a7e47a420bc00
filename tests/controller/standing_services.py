"""Runs several services of one home, each a fork of this process, and kills or stops one at a
given point.

A line "HOME LOG SIGNAL SURE POINT" on stdin starts a service of the home, and is answered with its
process id. It logs to the file LOG. POINT is as in killing_controller.py; there the service sends
itself the SIGNAL, "KILL" or "STOP". It relies on its last look at the lease for SURE seconds. A
service does not see whether another one's process has ended, as if it ran on another machine. With
an argument, the lease expires after so many seconds, and a silent link is noticed in a fifth of
the usual time. With the POINT "ingest N" it is no service but the ingest process of share N.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import killing_controller
from killing_controller import TICK_SECONDS, TrappedStore, trap_publishing

from modelwave_controller.home import Home
from modelwave_controller.service import leader
from modelwave_controller.service import link as links
from modelwave_controller.service.ingest import Ingest
from modelwave_controller.service.serve import Service
from modelwave_controller.storage import holder, shares
from modelwave_controller.storage.store import Store


class Trap(killing_controller.Trap):
    def __init__(self, point: str, number: int) -> None:
        super().__init__(point)
        self.number = number
        self.store: TrappedStore | None = None

    def springs(self) -> None:
        # On SQLite a process that is stopped in a write keeps the other from writing.
        stops = self.number == signal.SIGSTOP and self.store is not None
        with self.store._one_writer if stops and self.store else nullcontext():
            # This thread stops first: it still has the lock when the others stop.
            signal.pthread_kill(threading.get_ident(), self.number)


def _run(folder: Path, log: Path, name: str, point: str) -> None:
    handler = logging.FileHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    holder.place = lambda: log.name
    if len(sys.argv) > 1:
        leader.EXPIRED_SECONDS = float(sys.argv[1])
        leader.LOOK_SECONDS, leader.RENEW_SECONDS = 0.1, 0.3
        leader.UNREACHED_SECONDS, leader.FIRST_SECONDS, leader.RETURN_SECONDS = 0.2, 3, 3
        links.ASK_SECONDS = 0.1
        shares.PATIENCE_SECONDS = 1
    home = Home(folder)
    if point.startswith("ingest"):
        process = Ingest(home, Store(home.database_url), int(point.split()[1]))
        signal.signal(signal.SIGTERM, lambda *_: process.stop())
        asyncio.run(process.run(lambda _: None))
        return
    trap = Trap(point, signal.Signals[f"SIG{name}"])
    trap.store = TrappedStore(home.database_url, trap)
    trap_publishing(trap)
    service = Service(home, trap.store, TICK_SECONDS)
    signal.signal(signal.SIGTERM, lambda *_: service.stop())
    asyncio.run(service.run(lambda _: None))


def main() -> None:
    for line in sys.stdin:
        folder, log, name, sure, point = line.strip().split(" ", 4)
        pid = os.fork()
        if pid == 0:
            leader.SURE_SECONDS = float(sure)
            try:
                _run(Path(folder), Path(log), name, point)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
