"""A small fleet for tests of the host's agent: a real broker, a file server, the example models as
signed releases, and a controller's part that publishes orders."""

import asyncio
import contextlib
import json
import time
from pathlib import Path

from modelwave_agent.host.link import BrokerAddress, PahoLink
from modelwave_shared import slots, topics
from tests import signing
from tests.agent.host_server import answering, serving

MODELS = Path(__file__).parents[2] / "examples" / "digits" / "models"
CATALOGUE = json.loads((MODELS / "models.json").read_text())
SECONDS = 30  # for what takes a second or two


class Digits(signing.Release):
    """One version of the example model as release `number`."""

    def __init__(self, number, version, **changes):
        entry = next(one for one in CATALOGUE["versions"] if one["version"] == version)
        roles = {"model": entry["file"], "golden": entry["golden"]["file"]}
        data = {role: (MODELS / name).read_bytes() for role, name in roles.items()}
        files = [
            {"role": role, "sha256": signing.sha(held), "size": len(held)}
            for role, held in data.items()
        ]
        needs = {
            "flash": sum(len(held) for held in data.values()),
            "ram": entry["ram_bytes"],
            "kernels": entry["kernels"],
            "runtime": "tflite",
            "accelerator": "",
        }
        described = {"files": files, "needs": needs, "tolerance": entry["tolerance"]}
        super().__init__(number, b"", version=version, **{**described, **changes})
        self.files = {signing.sha(held): held for held in data.values()}


class World:
    """Device pi-1 and its surroundings. `orders` begin at 1."""

    def __init__(self, folder, port, files_port, operator, files):
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{files_port}"
        self.operator = operator
        self.files = files
        self.seq = 0
        self.kept = []  # messages that a test has not asked for yet

    def toml(self, *lines, device="pi-1"):
        """Writes an agent's configuration and returns its path; `lines` are put before its
        tables."""
        (self.folder / "root.json").write_bytes(signing.root_envelope())
        path = self.folder / f"{device}.toml"
        settings = [
            f'device = "{device}"',
            'target = "linux-cpu"',
            'models = ["digits"]',
            f'state = "state-{device}"',
            'root = "root.json"',
            *lines,
            "[broker]",
            f'url = "mqtt://127.0.0.1:{self.port}"',
            "[download]",
            f'hosts = ["{self.url[len("http://") :]}"]',
        ]
        path.write_text("\n".join(settings))
        return path

    async def order(self, release, device="pi-1", shadow=None, extra=None, model="digits", **trial):
        """Publishes an order for `release` to the device's slot. `shadow`: the budget, if it is to
        run beside the live one."""
        self.seq += 1
        self.files.update(release.files)
        now = int(time.time())
        message = signing.order(
            release,
            self.seq,
            model=model,
            urls=[self.url],
            issued=now,
            expires=now + 3600,
            trial={"seconds": 0, "inferences": 0, **trial},
            **({"shadow": True, "extra": {"shadow": shadow}} if shadow else {"extra": extra or {}}),
        )
        slot = slots.slot("demo", device)
        topic = topics.desired_slot("demo", "linux-cpu", model, slot)
        await self.operator.publish(topic, message, True)

    async def told(self, kind, until, device="pi-1", seconds=SECONDS):
        """Waits for the next document under `kind` (reported, metrics, presence) that `until`
        accepts, and drops the documents before it."""
        wanted = getattr(topics, kind)("demo", device)
        seen = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    seen.append(_read(await self._next(wanted)))
                    if until(seen[-1]):
                        return seen[-1]
        except TimeoutError:
            raise AssertionError(f"{kind} never came; the last was {seen[-1:]}") from None

    async def _next(self, wanted):
        for at, (topic, payload) in enumerate(self.kept):
            if topic == wanted:
                del self.kept[at]
                return payload
        while True:
            topic, payload = await self.operator.receive()
            if topic == wanted:
                return payload
            self.kept.append((topic, payload))

    async def state(self, until, device="pi-1"):
        """Returns the digits model's part of the first report that `until` accepts."""
        report = await self.told("reported", lambda r: until(r["models"]["digits"]), device)
        return report["models"]["digits"]

    async def outcome(self, seq=None, device="pi-1"):
        """Waits until the last order is over; returns what the device reports of it."""
        wanted = seq or self.seq
        return await self.state(lambda s: s["seq"] == wanted and s["outcome"], device)


def _read(payload):
    return json.loads(payload) if payload[:1] == b"{" else payload.decode()


@contextlib.asynccontextmanager
async def world(folder, broker):
    """`broker`: a running Mosquitto; what it retained before is cleared."""
    files = {}

    async def answer(request):
        name = request.head.split(" ")[1].rsplit("/", 1)[-1]
        await answering(files[name])(request)

    operator = PahoLink(BrokerAddress("127.0.0.1", broker.port), "operator")
    await operator.connect("modelwave/1/demo/presence/operator", b"offline")
    try:
        await operator.subscribe(["modelwave/1/demo/#"])
        async with serving(answer) as files_port:
            yield World(folder, broker.port, files_port, operator, files)
    finally:
        await operator.close()
