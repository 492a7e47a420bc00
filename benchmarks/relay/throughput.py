"""What one board gets of a file of 100 KB a second, by the baud rate of its wire and the frames
that it takes at once: the table in docs/relay.md. "USB" is a wire without a limit: what is between
two processes of this machine. What a board's own processor and flash take is in none of them."""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.relay.wave import BITS, MODEL_BYTES, wave
from benchmarks.scale.row import Row


class Wire(NamedTuple):
    baud: int
    frames: int
    least: float  # of the bytes that it carries


WIRES = (
    Wire(9_600, 2, 0.9),
    Wire(115_200, 2, 0.9),
    Wire(921_600, 2, 0.4),
    Wire(921_600, 8, 0.7),
)
USB = 0
USB_FRAMES = 4
USB_BYTES = 50_000


def rows(long: bool) -> Iterator[Row]:
    for baud, frames, least in WIRES:
        seconds = wave(1, baud, frames).fetching
        found, most = MODEL_BYTES / seconds, baud / BITS
        detail = f"{found:,.0f} bytes/s of {most:,.0f}, {seconds:.1f} s"
        what = f"one board at {baud:,} baud, {frames} frames at once"
        yield Row(what, found / most, least, "of the wire", detail, more_is_better=True)
    seconds = wave(1, USB, USB_FRAMES).fetching
    what = f"one board by USB, {USB_FRAMES} frames at once"
    found = MODEL_BYTES / seconds
    yield Row(what, found, USB_BYTES, "bytes/s", f"{seconds:.2f} s", more_is_better=True)
