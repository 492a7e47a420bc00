"""Sends files in blocks over MQTT to boards without HTTP (shared/blocks.py has the format).

The blocks have a connection of their own, so that orders do not wait behind them. A device has
at most one pending request: a newer one replaces it, or extends it if it continues where that
one ends. Requests are served in their order of arrival, at most MAX_BLOCKS blocks each, then it
is the next device's turn. The device requests lost blocks again, so the service stores nothing.

A broker buffers what a client does not read. Therefore a device gets BURST_BYTES at once and
then RATE_BYTES per second; until then its request waits, and those of other devices are served.
The broker has to limit what it buffers in total (docs/threats.md).

Blocks are sent at QoS 0: the device requests missing blocks again, so acknowledgements would
only double the number of packets. Also, a Mosquitto that saves its state with each change, as
retained orders require (docker/mosquitto.conf), would save it for each block: a file took three
to five times as long.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.connection import Connection
from modelwave_controller.service.link import ServiceLink
from modelwave_controller.storage.outbox import Message
from modelwave_shared import blocks, fields, topics
from modelwave_shared.blocks import BLOCK_BYTES, MAX_BLOCKS
from modelwave_shared.errors import DocumentError

MAX_DEVICES = 1000  # with a pending request; requests of others are dropped, and repeated later
BURST_BYTES = 256 * 1024  # that a device gets without a pause
RATE_BYTES = 64 * 1024  # that a device gets per second on average
ON_THEIR_WAY = 32  # blocks that paho buffers, which limits the memory for a slow broker
PURPOSE = "file blocks: "  # prefix of log lines

logger = logging.getLogger(__name__)


@dataclass
class Job:
    """A request for `count` blocks of the file `sha256`, from byte `offset` on."""

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
    """Limits the bytes per second for each device. Devices that used no bytes recently take no
    memory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns seconds."""
        self._clock = clock
        self._even: dict[
            str, float
        ] = {}  # device: time at which its average rate is RATE_BYTES again

    def wait(self, device: str) -> float:
        """Returns the seconds until the device may be sent something; 0 for now."""
        if device not in self._even and len(self._even) >= MAX_DEVICES:
            return BLOCK_BYTES / RATE_BYTES  # by then another device may be forgotten
        ahead = self._even.get(device, 0) - self._clock()
        return max(ahead - BURST_BYTES / RATE_BYTES, 0)

    def spend(self, device: str, count: int) -> None:
        now = self._clock()
        self._even[device] = max(self._even.get(device, now), now) + count / RATE_BYTES

    def forget(self) -> None:
        """Forgets devices that may be sent a full burst again, if MAX_DEVICES is reached."""
        if len(self._even) >= MAX_DEVICES:
            now = self._clock()
            self._even = {device: at for device, at in self._even.items() if at > now}

    def __len__(self) -> int:
        return len(self._even)


class Requests:
    """The pending requests of devices. Any thread may put and take."""

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
            self.count("bad", f"cannot read a request on {topic!r}: {error}")
            return
        with self._lock:
            before = self._jobs.get(device)
            if before is None and len(self._jobs) >= MAX_DEVICES:
                self.count(
                    "dropped", f"dropped a request: {MAX_DEVICES} devices are waiting already"
                )
            elif before and (before.sha256, before.end) == (job.sha256, job.offset):
                before.count = min(before.count + job.count, MAX_BLOCKS)
            else:
                self._jobs[device] = job  # replaces an older one

    def take(self) -> tuple[str, Job] | None:
        """Removes and returns the oldest request of a device that may be sent something now; None
        if there is none."""
        with self._lock:
            self.allowance.forget()
            for device, job in self._jobs.items():
                if not self.allowance.wait(device):
                    self.allowance.spend(device, job.bytes)
                    del self._jobs[device]
                    return device, job
            return None

    def wait(self) -> float | None:
        """Returns the seconds until a pending request may be taken; None if there is none."""
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
        """Counts a problem, and logs only the first of its kind, so that devices cannot flood the
        log."""
        self.counts[what] += 1
        if self.counts[what] == 1:
            logger.warning("%s%s", PURPOSE, problem)


class Blocks:
    """Sends the requested blocks, in a thread of its own."""

    def __init__(self, broker: ServiceBroker, fleet: str, folder: Path) -> None:
        """`folder` holds the files, each named by its sha256."""
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
        """Sends blocks until ON_THEIR_WAY are unsent or no device may be sent more. It is called
        again when blocks were sent, or after the seconds that it returns."""
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
        """Returns the requested blocks up to the end of the file; an empty one beyond the end or
        if there is no such file."""
        topic = topics.file_block(self.requests.fleet, device)
        try:
            with (self.folder / job.sha256.hex()).open("rb") as file:
                file.seek(job.offset)
                data = file.read(job.count * BLOCK_BYTES)
        except FileNotFoundError as error:
            self.requests.count("missing", f"{device} requested a file that is not here: {error}")
            data = b""
        except OSError as error:
            self.requests.count("failed", f"cannot read a file that {device} requested: {error}")
            return []
        pieces = [data[at : at + BLOCK_BYTES] for at in range(0, max(len(data), 1), BLOCK_BYTES)]
        return [
            Message(topic, 0, blocks.head(job.sha256, job.offset + at * BLOCK_BYTES) + piece)
            for at, piece in enumerate(pieces)
        ]
