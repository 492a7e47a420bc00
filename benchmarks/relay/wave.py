"""One wave of a model of 100 KB to 32 boards behind one gateway, at 115,200 baud.

    python -m benchmarks.relay.wave [BOARDS [BAUD]]

The time is that from the first order at the gateway until the last board has the whole file,
beside what the wire takes for the bytes of the model alone: framing, order, manifest and golden set
are what it is longer. All boards run in one process here, and so does what is on their wires."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.relay.scene import scene
from benchmarks.relay.wires import BITS
from benchmarks.scale.row import Row

from modelwave_shared.words import SUCCEEDED

BOARDS = 32
FRAMES = 2  # that a board takes at once, if it does not say otherwise
BAUD = 115_200
MODEL_BYTES = 100_000
GOAL = 1.15
CORE = 0.5  # of a core that the gateway may take meanwhile


class Wave(NamedTuple):
    """`seconds`: from the first order on; `fetching`: from the last board's request for the model
    on; `processor`: seconds of relay, boards and wires; `requests`: for the model, at the file
    server."""

    seconds: float
    fetching: float
    processor: dict[str, float]
    requests: int


def wave(boards: int, baud: int, frames: int = FRAMES) -> Wave:
    model = os.urandom(MODEL_BYTES)
    with (
        tempfile.TemporaryDirectory(prefix="modelwave-relay-") as folder,
        scene(Path(folder), boards, baud, frames) as made,
    ):
        said = made.release(model)
        name = said["files"][0]["sha256"]
        before = made.cpu_seconds()
        made.roll_out(said)
        whole = made.wait(name)
        processor = {name: all - before[name] for name, all in made.cpu_seconds().items()}
        made.wait(SUCCEEDED)
        fetching = whole - made.wait(f"asks {name}")
        return Wave(whole - made.ordered_at, fetching, processor, made.door.asked[name])


def limit_seconds(baud: int) -> float:
    """What the wire takes for the bytes of the model alone."""
    return MODEL_BYTES * BITS / baud


def rows(long: bool, boards: int = BOARDS, baud: int = BAUD) -> Iterator[Row]:
    found, limit = wave(boards, baud), limit_seconds(baud)
    detail = (
        f"{boards} boards have {MODEL_BYTES:,} bytes {found.seconds:.2f} s after the first order; "
        f"the wire takes {limit:.2f} s"
    )
    yield Row(
        f"a wave of {boards} boards, beside the wire", found.seconds / limit, GOAL, "×", detail
    )
    took = found.processor["relay"]
    detail = (
        f"{took:.2f} s of the processor, {1000 * took / boards:.0f} ms for each board; what stands "
        f"in for the boards {found.processor['boards']:.2f} s, for the wires "
        f"{found.processor['wires']:.2f} s"
    )
    yield Row("the gateway's share of a core", took / limit, CORE, "", detail)
    yield Row("requests for the model, at the file server", found.requests, 1, "")


if __name__ == "__main__":
    for row in rows(True, *map(int, sys.argv[1:])):
        print(f"{row.text} {row.detail}", flush=True)
