"""What one board gets of a file of 100 KB, a second, by the baud rate of its wire: the rows of the
table in docs/relay.md. "USB" is a wire without a limit: two processes of this machine, and what a
board's own processor takes is not in it."""

from collections.abc import Iterator

from benchmarks.relay.wave import BITS, MODEL_BYTES, limit_seconds, wave
from benchmarks.scale.row import Row

BAUDS = (9_600, 115_200, 921_600)
SHARE = {9_600: 0.85, 115_200: 0.85, 921_600: 0.5}  # of the bytes that the wire carries
USB_BYTES = 50_000


def rows(long: bool) -> Iterator[Row]:
    for baud in BAUDS:
        seconds = wave(1, baud).seconds
        detail = f"{MODEL_BYTES / seconds:,.0f} bytes/s of {baud / BITS:,.0f}, {seconds:.1f} s"
        share = limit_seconds(baud) / seconds
        yield Row(f"one board at {baud:,} baud", share, SHARE[baud], "of the wire", detail, True)
    seconds = wave(1, 0).seconds
    found = MODEL_BYTES / seconds
    yield Row("one board by USB", found, USB_BYTES, "bytes/s", f"{seconds:.2f} s", True)
