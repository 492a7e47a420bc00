"""Files in blocks over MQTT, for boards that have no HTTP (shared/blocks.py has the format).

It has a connection of its own, so that no order waits behind a block. A device has one
request at most: a newer one takes its place, unless it goes on where that one ends. Requests
are served in the order of their coming, MAX_BLOCKS blocks at most, then it is the next
device's turn. What is lost is asked for again, so nothing is kept here.

A broker keeps what a client does not read. So a device that asks and asks gets RATE_BYTES a
second, once BURST_BYTES are spent; its request waits for that, and others are served before
it. How much is kept in the end is the broker's to limit (docs/threats.md).

Blocks go out at QoS 0: the device asks again for what did not come, so acknowledging each
block would only cost a packet for every packet. And a Mosquitto that saves its state with
each change, as retained orders need it to (docker/mosquitto.conf), would save it for each
block: a file took three to five times as long.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelwave_controller.service.link import Connection, ServiceBroker, ServiceLink
from modelwave_controller.storage.outbox import Message
from modelwave_shared import blocks, fields, topics
from modelwave_shared.blocks import BLOCK_BYTES, MAX_BLOCKS
from modelwave_shared.errors import DocumentError

MAX_DEVICES = 1000  # that wait; whoever comes then asks again
BURST_BYTES = 256 * 1024  # a device gets without a pause
RATE_BYTES = 64 * 1024  # a device gets per second in the long run
ON_THEIR_WAY = 32  # blocks that paho holds: what a slow broker costs in memory
PURPOSE = "file blocks: "  # stands before what is logged

logger = logging.getLogger(__name__)


@dataclass
class Job:
    sha256: bytes
    offset: int
    count: int

    @property
    def end(self) -> int:
        return self.offset + self.bytes

    @property
    def bytes(self) -> int:
        return self.count * BLOCK_BYTES


class Allowance:
    """What each device may be sent. Of one that has been quiet for long enough nothing is kept."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._even: dict[str, float] = {}  # device: when RATE_BYTES have made up for all it got

    def wait(self, device: str) -> float:
        """Seconds until the device may be sent something."""
        if device not in self._even and len(self._even) >= MAX_DEVICES:
            return BLOCK_BYTES / RATE_BYTES  # then one of the others may be forgotten
        ahead = self._even.get(device, 0) - self._clock()
        return max(ahead - BURST_BYTES / RATE_BYTES, 0)

    def spend(self, device: str, count: int) -> None:
        now = self._clock()
        self._even[device] = max(self._even.get(device, now), now) + count / RATE_BYTES

    def forget(self) -> None:
        """Makes room, where there is none left."""
        if len(self._even) >= MAX_DEVICES:
            now = self._clock()
            self._even = {device: at for device, at in self._even.items() if at > now}

    def __len__(self) -> int:
        return len(self._even)


class Requests:
    """What devices have asked for and not been sent yet. Any thread may put and take."""

    def __init__(self, fleet: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.fleet = fleet
        self.allowance = Allowance(clock)
        self.counts: Counter[str] = Counter()  # bad, dropped, missing, failed
        self._jobs: OrderedDict[str, Job] = OrderedDict()  # by device, longest waiting first
        self._lock = threading.Lock()

    def put(self, topic: str, payload: bytes) -> None:
        try:
            device = self._device(topic)
            job = Job(*blocks.read_request(payload))
        except (ValueError, DocumentError) as error:
            self.count("bad", f"a request that cannot be read on {topic!r}: {error}")
            return
        with self._lock:
            before = self._jobs.get(device)
            if before is None and len(self._jobs) >= MAX_DEVICES:
                self.count("dropped", f"{MAX_DEVICES} devices wait, and more ask")
            elif before and (before.sha256, before.end) == (job.sha256, job.offset):
                before.count = min(before.count + job.count, MAX_BLOCKS)
            else:
                self._jobs[device] = job  # in the place of an older one

    def take(self) -> tuple[str, Job] | None:
        """The one that has waited longest, of those whose devices may be sent something."""
        with self._lock:
            self.allowance.forget()
            for device, job in self._jobs.items():
                if not self.allowance.wait(device):
                    self.allowance.spend(device, job.bytes)
                    del self._jobs[device]
                    return device, job
            return None

    def wait(self) -> float | None:
        """Seconds until there is something to take, by the clock alone; None: nobody waits."""
        with self._lock:
            return min(map(self.allowance.wait, self._jobs), default=None)

    def __len__(self) -> int:
        with self._lock:
            return len(self._jobs)

    def _device(self, topic: str) -> str:
        device = topics.parts(self.fleet, topic)[1]
        fields.name(device, "device")
        return device

    def count(self, what: str, problem: str) -> None:
        """Says the first of a kind; a device that does it again says nothing new."""
        self.counts[what] += 1
        if self.counts[what] == 1:
            logger.warning("%s%s", PURPOSE, problem)


class Blocks:
    """Sends what is asked for, in a thread of its own."""

    def __init__(self, broker: ServiceBroker, fleet: str, folder: Path) -> None:
        """`folder` holds the files, each under its sha256."""
        self.folder = folder
        self.requests = Requests(fleet)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._ready: deque[Message] = deque()
        self.link = ServiceLink(
            broker,
            fleet,
            self._receive,
            self._wake.set,
            heard=(topics.file_get,),
            purpose=PURPOSE,
        )
        self._thread = threading.Thread(target=self._run, name="blocks", daemon=True)

    def start(self) -> None:
        self.link.start()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        self.link.stop()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and self.link.alive

    def _receive(self, topic: str, payload: bytes) -> None:
        self.requests.put(topic, payload)
        self._wake.set()

    def _run(self) -> None:
        pause: float | None = None
        while not self._stopping.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            connection = self.link.current
            pause = self._send(connection) if connection else None

    def _send(self, connection: Connection) -> float | None:
        """As far as the connection takes it and devices may be sent more; called again when
        that has gone out, or after the seconds that it returns."""
        connection.acknowledged()
        while connection.unacknowledged < ON_THEIR_WAY:
            if self._ready:
                connection.send_once(self._ready.popleft())
            elif found := self.requests.take():
                self._ready.extend(self._answer(*found))
            else:
                return self.requests.wait()
        return None

    def _answer(self, device: str, job: Job) -> list[Message]:
        """The blocks asked for, as far as the file goes; an empty one where it has nothing."""
        topic = topics.file_block(self.requests.fleet, device)
        try:
            with (self.folder / job.sha256.hex()).open("rb") as file:
                file.seek(job.offset)
                data = file.read(job.count * BLOCK_BYTES)
        except FileNotFoundError as error:
            self.requests.count("missing", f"asked for by {device}: {error}")
            data = b""
        except OSError as error:
            self.requests.count("failed", f"asked for by {device}: {error}")
            return []
        pieces = [data[at : at + BLOCK_BYTES] for at in range(0, max(len(data), 1), BLOCK_BYTES)]
        return [
            Message(topic, 0, blocks.head(job.sha256, job.offset + at * BLOCK_BYTES) + piece)
            for at, piece in enumerate(pieces)
        ]
