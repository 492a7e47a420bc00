"""How many reports a second two ingest processes store on one PostgreSQL, against one: figures
without a goal.

Each process is that of `modelwave ingest`, without its lease: link, inbox and writer, with a broker
of its own that sends it the reports of all devices as fast as they are read (flood.py). One process
stores all of them; of two each stores those of its share and drops the others. It has heard each
device's last report before. The time runs from the connects until all is stored. The kinds of
reports are those of ingest.py. The best run of each counts.

Two processes need two cores, their brokers and PostgreSQL three more: on a machine with less the
figure is too low. The rows say beside it for how long the busiest process needs a core, which shows
what is to be had. The other figure is that time of a message that is dropped against one that is
stored.
"""

import contextlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from string import ascii_letters
from typing import NamedTuple

from benchmarks.scale.flood import flooding, packets
from benchmarks.scale.row import Row

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from postgres_server import INITDB, postgres
from rollout_world import FLEET, Device, World, quick

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.link import ServiceLink
from modelwave_controller.service.repeats import Repeats
from modelwave_controller.service.share import Share
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage.store import Store
from modelwave_shared import topics

RUNS = 2
LIMIT_SECONDS = 300
KINDS = ("idle", "answers")

Messages = Sequence[tuple[str, bytes]]


class Took(NamedTuple):
    """Seconds until all was stored, and those that the busiest process had of a processor."""

    seconds: float
    processor: float


def rows(long: bool) -> Iterator[Row]:
    if not INITDB:
        return
    devices = 10_000 if long else 1_000
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as name, postgres() as url:
            yield from _rows(kind, Path(name), url, devices)


def _rows(kind: str, folder: Path, url: str, devices: int) -> Iterator[Row]:
    with contextlib.closing(World(folder, url, devices)) as world:
        messages = Reports(world, kind)
        one, two, dropped = [], [], []
        for _ in range(RUNS):
            one.append(_store(url, folder, messages, 1))
            two.append(_store(url, folder, messages, 2))
            dropped.append(_drop(folder, messages))
    number = messages.number
    best = [number / min(took.seconds for took in runs) for runs in (one, two)]
    cores = [1e6 * min(took.processor for took in runs) / number for runs in (one, two, dropped)]
    detail = (
        f"{best[1]:,.0f} a second, one process {best[0]:,.0f}; of a core, a report needs "
        f"{cores[1]:.0f} µs in the busier of the two, {cores[0]:.0f} in the one"
    )
    what = f"durable reports a second of two ingest processes against one, {kind}"
    yield Row(what, best[1] / best[0], 0, "×", detail, more_is_better=True)
    detail = f"{cores[2]:.0f} µs of a core, one that is stored {cores[0]:.0f}"
    what = f"a report that an ingest process drops against one that it stores, {kind}"
    yield Row(what, cores[2] / cores[0], 1, "×", detail)


class Reports:
    """The next reports of all devices."""

    def __init__(self, world: World, kind: str) -> None:
        self.devices = list(world.devices.values())
        self.kind = kind
        self.number = (5 if kind == "answers" else 10) * len(self.devices)
        self._round = 0
        if kind == "answers":
            world.start(1, quick(100))
            world.tick()
            self.orders = {device.name: world.ordered(device) for device in self.devices}

    def last(self) -> Messages:
        """Returns what each device has said last, again."""
        for device in self.devices:
            device.n -= 1
        return [_said(device, device.report()) for device in self.devices]

    def next(self) -> Messages:
        self._round += 1
        found = []
        for number in range(self.number // len(self.devices)):
            for device in self.devices:
                if self.kind == "answers":
                    word = f"step {self._round}{ascii_letters[number]}"
                    device.take(self.orders[device.name] or {}, "", word)
                    found.append(_said(device, device.report()))
                else:
                    free = {"flash": 10**6 - number, "ram": 10**6 - self._round}
                    found.append(_said(device, device.report(free=free)))
        return found


def _said(device: Device, report: bytes) -> tuple[str, bytes]:
    return topics.reported(FLEET, device.name), report


def _store(url: str, folder: Path, reports: Reports, processes: int) -> Took:
    """Lets so many processes store the next reports."""
    last, given = reports.last(), reports.next()
    file = folder / "packets"
    file.write_bytes(packets(given))
    shares = [Share(number, processes) for number in range(1, processes + 1)]
    with contextlib.ExitStack() as stack:
        running = []
        for share in shares:
            port = stack.enter_context(flooding(file))
            number = sum(share.wants(topic) for topic, _ in given)
            running.append(_start(_process, url, port, share, last, number))
        return _measured(running)


def _drop(folder: Path, reports: Reports) -> Took:
    file = folder / "packets"
    file.write_bytes(packets(reports.next()))
    with flooding(file) as port:
        return _measured([_start(_dropping, port, reports.number)])


def _start(run: Callable[..., None], *arguments: object) -> Connection:
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")
    context.Process(target=run, args=(there, *arguments), daemon=True).start()
    there.close()
    return here


def _measured(running: Sequence[Connection]) -> Took:
    for one in running:
        one.recv()  # it is ready
    begun = time.monotonic()
    for one in running:
        one.send(None)
    processor = max(one.recv() for one in running)
    return Took(time.monotonic() - begun, processor)


# In the processes.


def _process(
    pipe: Connection, url: str, port: int, share: Share, last: Messages, number: int
) -> None:
    with contextlib.closing(Store(url)) as store:
        inbox = Inbox()
        writer = Writer(store, FLEET, inbox, repeats=Repeats(store, time.monotonic), keep_days=None)
        for topic, report in last:
            if share.wants(topic):
                inbox.put(topic, report)
        while writer.write_batch(0):
            pass
        writer.counts.clear()
        link = _link(port, inbox.put, share.wants)
        begun = _begin(pipe)
        writer.start()
        link.start()
        _wait(lambda: writer.counts["stored"] >= number)
        writer.stop()
        pipe.send(time.process_time() - begun)
        assert not inbox.counts["dropped"] + writer.counts["bad"] + writer.counts["lost"]
        link.stop()


def _dropping(pipe: Connection, port: int, number: int) -> None:
    seen = 0

    def wants(_topic: str) -> bool:
        nonlocal seen
        seen += 1
        return False

    link = _link(port, lambda *_: None, wants)
    begun = _begin(pipe)
    link.start()
    _wait(lambda: seen >= number)
    pipe.send(time.process_time() - begun)
    link.stop()


def _begin(pipe: Connection) -> float:
    pipe.send(None)
    pipe.recv()
    return time.process_time()


def _link(
    port: int, receive: Callable[[str, bytes], None], wants: Callable[[str], bool]
) -> ServiceLink:
    broker = ServiceBroker("127.0.0.1", port)
    return ServiceLink(broker, FLEET, receive, lambda: None, wants=wants)


def _wait(done: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_SECONDS
    while not done():
        assert time.monotonic() < limit, "not all messages were stored"
        time.sleep(0.005)
