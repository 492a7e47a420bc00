"""What the heartbeat of an idle device, a report and its presence, writes to the disk.

Half an hour of a fleet, minute by minute: each minute a fifteenth of the devices, drawn at random,
report. They say what they said before, with other free bytes. The writer stores them as the service
does, by the minute, to SQLite; the clock alone is another. Counted is `write_bytes` of
/proc/self/io (`wchar` where a file system in memory writes none), which has the log and the
checkpoints."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.scale.ingest import remembering
from benchmarks.scale.row import Row
from rollout_world import FLEET, World

from modelwave_controller.service.repeats import FLUSH_SECONDS
from modelwave_shared import topics

MINUTES = 30
EACH_MINUTES = 15
GOAL_KB = 1
BATCHES = 20  # of a minute


def rows(long: bool) -> Iterator[Row]:
    for devices in (10_000, 100_000) if long else (10_000,):
        with (
            tempfile.TemporaryDirectory() as name,
            closing(World(Path(name), "", devices)) as world,
        ):
            written, beats = _minutes(world)
        detail = f"{written / 1e6:,.1f} MB for {beats:,} heartbeats of {devices:,} devices"
        what = f"disk written by an idle heartbeat, {devices:,} devices"
        yield Row(what, written / beats / 1000, GOAL_KB, "KB", detail)


def _minutes(world: World) -> tuple[int, int]:
    """Returns the bytes that were written, and the number of heartbeats."""
    writer = remembering(world)
    assert writer.repeats
    devices = list(world.devices.values())
    dice, beats, before = random.Random(1), 0, _written()
    for _ in range(MINUTES):
        reporting = dice.sample(devices, len(devices) // EACH_MINUTES)
        for device in reporting:
            free = {"flash": 10**9 - dice.randrange(10**6), "ram": 10**6 - dice.randrange(10**5)}
            writer.inbox.put(topics.reported(FLEET, device.name), device.report(free=free))
            writer.inbox.put(topics.presence(FLEET, device.name), b"online")
            if beats % (len(reporting) // BATCHES) == 0:
                writer.write_batch(0)
            beats += 1
        while writer.write_batch(0):
            pass
        world.now += FLUSH_SECONDS
        writer.repeats.flush()
    return _written() - before, beats


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    found = {name: int(number) for name, _, number in (line.partition(": ") for line in lines)}
    return found["write_bytes"] or found["wchar"]
