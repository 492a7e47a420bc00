"""Simulates a fleet whose file server is down for an hour, and counts its requests by second.

    python -m benchmarks.outage [--devices 1000] [--seconds 3600] [--plot docs/outage.svg]

All devices get an order at one moment, at which the server goes down. They are the real agents
with their retries; time, broker, flash and server are simulated (tests/agent/outage_world.py). One
server answers 503, one refuses connections, one answers 503 with a Retry-After. The last run is an
agent without jitter, for comparison: all its devices ask in the same seconds.

The first requests come as the broker delivers the order, and the first pauses are short, so that
short faults pass soon: the first minutes have most requests. From FROM_SECOND on the load is
steady; the table compares its busiest second with its average one. It prints the table of
docs/files.md, and draws the plot there. The exit code is 1 if that second has more than LIMIT times
the average."""

import argparse
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from tests.agent.outage_world import simulate

from modelwave_controller.models.svg import Svg

FROM_SECOND = 300
LIMIT = 3
AFTER_SECONDS = 600  # of the plot, after the server is back
WIDTH, HEIGHT, LEFT, TOP, GAP = 840, 110, 70, 70, 62  # pixels of a panel, and around it
TOP_COUNT = 2000  # the top of the axis, which is logarithmic
INK, GREY, DOWN, BACK, MEAN = "#202124", "#5f6368", "#5b87b5", "#4c9f70", "#b3261e"


@dataclass(frozen=True)
class Run:
    """A server, and what was seen: `counts` has the requests of each second, with those after its
    return; `recovery`: seconds from its return until all devices had the release."""

    name: str
    seconds: int
    counts: Sequence[int]
    recovery: float

    @property
    def first(self) -> int:
        """The requests of the busiest second of all."""
        return max(self.counts[: self.seconds])

    @property
    def busiest(self) -> int:
        return max(self.counts[FROM_SECOND : self.seconds])

    @property
    def mean(self) -> float:
        return sum(self.counts[FROM_SECOND : self.seconds]) / (self.seconds - FROM_SECOND)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=3600, help="how long the server is down")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw an SVG")
    options = parser.parse_args()
    runs = measure(options.devices, options.seconds)
    print("\n".join(table(runs)))
    if options.plot:
        options.plot.write_text(plot(runs, options.devices), encoding="utf-8")
    *with_jitter, _ = runs
    return int(any(run.busiest > LIMIT * run.mean for run in with_jitter))


def measure(devices: int, seconds: int) -> list[Run]:
    def run(name: str, problem: str, retry_after: int, seed: int) -> Run:
        found = simulate(devices, seconds, problem, retry_after, seed)
        return Run(name, seconds, found.by_second(seconds + AFTER_SECONDS), found.recovery())

    runs = [
        run("503", "503 Service Unavailable", 0, 1),
        run("connection refused", "[Errno 111] Connection refused", 0, 2),
        run("503, Retry-After: 60", "503 Service Unavailable", 60, 3),
    ]
    with mock.patch.object(random, "random", return_value=0.5):
        runs.append(run("503, without jitter", "503 Service Unavailable", 0, 4))
    return runs


def table(runs: Sequence[Run]) -> list[str]:
    rows = [
        "| the server | requests | busiest second of all | from the sixth minute on: average second"
        " | busiest second | all devices have the release after |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in runs:
        share = f"{run.busiest:,} ({run.busiest / run.mean:.1f} ×)"
        rows.append(
            f"| {run.name} | {sum(run.counts[: run.seconds]):,} | {run.first:,} | {run.mean:.1f}"
            f" | {share} | {run.recovery:.0f} s |"
        )
    return rows


def plot(runs: Sequence[Run], devices: int) -> str:
    """Returns an SVG document with a panel for each run."""
    title = (
        f"{devices:,} devices, and a file server that is down for {runs[0].seconds // 60} minutes"
    )
    svg = Svg(LEFT + WIDTH + 30, TOP + len(runs) * (HEIGHT + GAP), title)
    svg.write(LEFT, 26, title, font_size="17", fill=INK)
    words = "requests by second: each bar is the busiest second of its five"
    svg.write(LEFT, 46, words, font_size="12", fill=GREY)
    for number, run in enumerate(runs):
        _panel(svg, run, TOP + number * (HEIGHT + GAP))
    return svg.text


def _panel(svg: Svg, run: Run, top: float) -> None:
    bottom = top + HEIGHT
    seconds = len(run.counts)

    def x(second: float) -> float:
        return LEFT + WIDTH * second / seconds

    svg.write(LEFT, top - 6, run.name, font_size="13", fill=INK)
    for count in (1, 10, 100, 1000):
        y = _y(bottom, count)
        svg.line(LEFT, y, LEFT + WIDTH, y, stroke="#e3e5e8")
        svg.write(LEFT - 8, y + 4, f"{count:,}", text_anchor="end", font_size="11", fill=GREY)
    for colour, first, last in ((DOWN, 0, run.seconds), (BACK, run.seconds, seconds)):
        bars = (
            f"M{x(at):.1f} {bottom:.0f}V{_y(bottom, most):.1f}"
            for at in range(first, last, 5)
            if (most := max(run.counts[at : at + 5]))
        )
        # Svg has no paths. One path is a tenth of the bytes of as many lines.
        svg.parts.append(f'<path d="{"".join(bars)}" stroke="{colour}" stroke-width="1"/>')
    svg.line(LEFT, bottom, LEFT + WIDTH, bottom, stroke=INK)
    for minute in range(0, seconds // 60 + 1, 10):
        svg.write(
            x(60 * minute), bottom + 15, f"{minute} min", text_anchor="middle", font_size="11"
        )
    _limit(svg, run, bottom, x(FROM_SECOND), x(run.seconds))


def _limit(svg: Svg, run: Run, bottom: float, left: float, right: float) -> None:
    y = _y(bottom, LIMIT * run.mean)
    style: dict[str, Any] = {"stroke": MEAN, "stroke_dasharray": "5 4"}
    svg.line(left, y, right, y, **style)
    svg.line(right, bottom - HEIGHT, right, bottom, stroke=BACK)
    words = f"{LIMIT} × the average second of {run.mean:.1f}"
    svg.write(right - 4, y - 5, words, text_anchor="end", font_size="11", fill=MEAN)
    svg.write(right + 4, bottom - HEIGHT + 10, "it is back", font_size="11", fill=BACK)


def _y(bottom: float, count: float) -> float:
    """Returns the height of `count` on an axis that begins at half a request."""
    return bottom - HEIGHT * math.log(max(count, 0.5) / 0.5) / math.log(TOP_COUNT / 0.5)


if __name__ == "__main__":
    sys.exit(main())
