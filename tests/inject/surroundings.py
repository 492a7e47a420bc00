"""What real agents have around them here: a broker that remembers what they report, a file server,
and a controller's part that signs orders."""

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from modelwave_agent.host.lock import CONNECTED, LOCK
from modelwave_agent.journal import Journal
from modelwave_controller.broker import EmbeddedBroker, EmbeddedBrokerSettings
from modelwave_controller.broker.connection import Connection
from modelwave_controller.broker.messages import Message
from modelwave_shared import topics
from tests import signing
from tests.agent.host_server import Request, answering, serving
from tests.inject.ear import Ear, Report

FLEET, TARGET, MODEL = "demo", "linux-cpu", "digits"
DAY = 86_400
LEAST_BYTES = 150_000  # of a model
GOOD, BAD = b"GOOD\n", b"BAD\n"  # what the proof of agent_lives.py reads


def release(number: int, word: bytes, rest: bytes) -> signing.Release:
    """A release whose model begins with `word`, and then repeats `rest`."""
    return signing.Release(number, word + rest * (LEAST_BYTES // len(rest) + 1))


class Witness(EmbeddedBroker):
    """A broker that calls `heard[device]` with each report of the device."""

    def __init__(self) -> None:
        super().__init__(EmbeddedBrokerSettings())
        self.heard: dict[str, Callable[[Report], None]] = defaultdict(lambda: lambda report: None)

    def take_in(self, message: Message, *, retain: bool) -> Connection | None:
        kind, device, *_ = topics.parts(FLEET, message.topic)
        if kind == "reported":
            self.heard[device](json.loads(message.payload))
        return super().take_in(message, retain=retain)

    def order(self, device: str, message: bytes) -> None:
        """Publishes an order for one device, retained."""
        self.take_in(Message(topics.desired_device(FLEET, device, MODEL), message, 1), retain=True)

    def forget(self, device: str) -> None:
        """Clears what is retained for the device and of it."""
        del self.heard[device]
        for topic in (
            topics.desired_device(FLEET, device, MODEL),
            topics.reported(FLEET, device),
            topics.presence(FLEET, device),
        ):
            super().take_in(Message(topic, b"", 0), retain=True)


class Surroundings:
    def __init__(
        self, folder: Path, broker: Witness, files: dict[str, bytes], files_port: int
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.files = files
        self.files_host = f"127.0.0.1:{files_port}"
        self._made = 0

    def listen(self, device: "Device") -> Ear:
        ear = Ear(device.false)
        self.broker.heard[device.name] = ear
        return ear

    def order(self, device: "Device", release: signing.Release, seq: int) -> None:
        """Orders the release for this device alone."""
        self.files.update(release.files)
        now = int(time.time())
        message = signing.order(
            release,
            seq,
            urls=[f"http://{self.files_host}"],
            issued=now,
            expires=now + DAY,
            trial={"seconds": 1, "inferences": 0},
        )
        self.broker.order(device.name, message)

    def forget(self, release: signing.Release) -> None:
        """Its model is no longer served."""
        self.files.pop(release.document["files"][0]["sha256"], None)

    def device(self, *settings: str) -> "Device":
        """A new device, with these further lines in its agent.toml."""
        self._made += 1
        name = f"pi-{self._made}"
        folder = self.folder / name
        folder.mkdir()
        (folder / "root.json").write_bytes(signing.root_envelope())
        lines = [
            f'device = "{name}"',
            f'target = "{TARGET}"',
            f'models = ["{MODEL}"]',
            'state = "state"',
            'root = "root.json"',
            "[broker]",
            f'url = "mqtt://127.0.0.1:{self.broker.port}"',
            "[download]",
            f'hosts = ["{self.files_host}"]',
            *settings,
        ]
        (folder / "agent.toml").write_text("\n".join(lines))
        return Device(name, folder)


class Device:
    """The folders of one device, read from outside."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "agent.toml"

    def record(self) -> Any:
        """What the journal says of the model; None if there is nothing."""
        folder = self.state / MODEL
        return Reader(str(folder), "journal").read() if folder.is_dir() else None

    def written_at(self) -> float:
        """When the journal of the model was written last, in Unix seconds."""
        return max(path.stat().st_mtime for path in (self.state / MODEL).glob("journal.?"))

    def names(self) -> set[str]:
        """The files of the state folder, but those that are there for their locks alone."""
        found = self.state.rglob("*")
        names = {str(path.relative_to(self.state)) for path in found if not path.is_dir()}
        return names - {LOCK, CONNECTED}

    def problem_of(self, record: Any) -> str:
        """What is wrong with the files of the model that was confirmed; "" for nothing."""
        entry = record and record["banks"][record["live"]]
        if not entry:
            return "no model is live"
        for file in entry["files"]:
            path = self.state / MODEL / f"{'ab'[record['live']]}.{file['role']}"
            if not path.exists() or signing.sha(path.read_bytes()) != file["sha256"]:
                return f"the {file['role']} of the live model is not what was signed"
        return "" if entry["confirmed"] else "the live model is not confirmed"

    def false(self, seq: int, sha256: str) -> str:
        """Why it would be false that the release with this manifest has SUCCEEDED by order `seq`;
        "" if it is true."""
        record = self.record()
        if problem := self.problem_of(record):
            return problem
        if record["order"]["seq"] > seq:
            return ""  # while the report was on its way, the next order was taken
        is_live = record["banks"][record["live"]]["manifest"] == sha256
        return "" if is_live and record["order"]["seq"] == seq else "that is not in the journal"


class Reader(Journal):
    """Reads a journal that belongs to another process, and makes nothing."""

    def _make(self) -> None:
        pass


@contextlib.asynccontextmanager
async def surroundings(folder: Path) -> AsyncIterator[Surroundings]:
    files: dict[str, bytes] = {}

    async def answer(request: Request) -> None:
        name = request.head.split(" ")[1].rsplit("/", 1)[-1]
        await answering(files[name])(request)

    broker = Witness()
    await broker.start()
    try:
        async with serving(answer) as files_port:
            yield Surroundings(folder, broker, files, files_port)
    finally:
        await broker.stop()
