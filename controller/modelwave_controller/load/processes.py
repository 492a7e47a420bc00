"""Starts the processes of a simulated fleet, adds up what they tell, and ends them."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from modelwave_controller.errors import OperatorError
from modelwave_controller.interruption import held_back
from modelwave_controller.load import tally
from modelwave_controller.load.tally import Tally
from modelwave_controller.load.worker import Work

COMMAND = (sys.executable, "-m", "modelwave_controller.load.worker")
MAX_DEVICES_OF_A_PROCESS = 10_000
END_SECONDS = 90  # in which a process clears its devices at the broker
LOOPBACK = ("127.0.0.1", "localhost")


def shares(work: Work, processes: int) -> list[Work]:
    """Divides the work of all devices among processes, of which each has its own gateways; there
    are as many at least, if there are any. On this machine each connects from an
    address of its own, as one address has too few ports for a large fleet."""
    found, first, first_gateway = [], work.first, work.first_gateway
    for index in range(processes):
        devices = work.devices // processes + (index < work.devices % processes)
        gateways = work.gateways // processes + (index < work.gateways % processes)
        source = f"127.0.0.{index + 2}" if work.host in LOOPBACK and processes > 1 else work.source
        its = replace(work, first=first, devices=devices, source=source)
        found.append(replace(its, gateways=gateways, first_gateway=first_gateway))
        first, first_gateway = first + devices, first_gateway + gateways
    return found


class Processes:
    """Use it in a `with` block; at the end of the block the processes have ended."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._works = works
        self._processes: list[subprocess.Popen[bytes]] = []
        self._tallies: list[Tally] = [Tally() for _ in works]
        self._selector = selectors.DefaultSelector()
        self._rest = [b"" for _ in works]

    def __enter__(self) -> "Processes":
        for index, work in enumerate(self._works):
            with held_back():
                process = subprocess.Popen(
                    COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
                )
                self._processes.append(process)
            assert process.stdin
            assert process.stdout
            process.stdin.write(work.line())
            process.stdin.flush()
            os.set_blocking(process.stdout.fileno(), False)
            self._selector.register(process.stdout, selectors.EVENT_READ, index)
        return self

    def __exit__(self, *_: object) -> None:
        with held_back():
            self._end()

    def tallies(self, seconds: float) -> Iterator[Tally]:
        """Yields what all processes together have seen, every `seconds`. Raises OperatorError if
        one of them ends."""
        due = time.monotonic() + seconds
        while True:
            self._read(max(0.0, due - time.monotonic()))
            for process in self._processes:
                if process.poll() is not None:
                    raise OperatorError(
                        f"a process of simulated devices ended with code {process.returncode}; "
                        "what it said is above"
                    )
            if time.monotonic() >= due:
                due += seconds
                yield self.total()

    def total(self) -> Tally:
        found = Tally()
        for one in self._tallies:
            found.add(one)
        return found

    def _read(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            index = key.data
            data = os.read(key.fd, 2**20)
            if not data:
                self._selector.unregister(key.fileobj)
                continue
            *lines, self._rest[index] = (self._rest[index] + data).split(b"\n")
            if lines:
                self._tallies[index] = tally.read(json.loads(lines[-1]))

    def _end(self) -> None:
        """Closes their stdin, and waits until they have cleared their devices and told the last."""
        for process in self._processes:
            assert process.stdin
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        end = time.monotonic() + END_SECONDS
        while self._selector.get_map() and time.monotonic() < end:
            self._read(max(0.0, end - time.monotonic()))
        for process in self._processes:
            if process.poll() is None and time.monotonic() >= end:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdout
            process.stdout.close()
        self._selector.close()
