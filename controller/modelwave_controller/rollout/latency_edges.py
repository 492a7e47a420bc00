"""Chooses the edge of the latency histogram that stands for a quantile. Pure.

Devices count latencies in bins that double, so that the share of inferences above an edge is known
exactly, and a quantile is not. A gate such as `p95(latency_ms) <= 1.2 * baseline` becomes: the
share above an edge is at most what it would be if each latency were 1.2 times as long. The edge is
the one whose share above is nearest to the quantile's, within MIN_SHARE and MAX_SHARE: with rarer
inferences harm is seen late, with more it says little about the slow ones.
"""

from collections.abc import Sequence
from math import fsum, log, log2
from typing import NamedTuple

from modelwave_shared.window_format import FIRST_EDGE_MS

MIN_SHARE, MAX_SHARE = 0.02, 0.6


class Edge(NamedTuple):
    """`bin` is the first bin above the edge; 0: there is none, as nearly all latencies are in one
    bin. `margin` is by how much the share above may grow."""

    bin: int
    margin: float


NO_EDGE = Edge(0, 0.0)


def find_edge(devices: Sequence[Sequence[int]], wanted: float, factor: float) -> Edge:
    """Returns the edge whose share above is nearest to `wanted` on a scale of ratios. `devices` has
    the inferences of each by bin, `factor` is how much slower they may be.

    Each device counts with its shares, also one with very many inferences. Those that are furthest
    out do not count for the choice, so that none of them alone chooses an edge at which nothing can
    be seen of the others."""
    shares = [[count / sum(bins) for count in bins] for bins in devices if any(bins)]
    found = []
    for first in range(1, len(shares[0]) if shares else 0):
        above = _trimmed_mean([sum(bins[first:]) for bins in shares])
        margin = fsum(_moved(bins, first, log2(factor)) for bins in shares) / len(shares)
        if MIN_SHARE <= above <= MAX_SHARE and margin > 0:
            found.append((abs(log(above / wanted)), Edge(first, margin)))
    return min(found)[1] if found else NO_EDGE


def _trimmed_mean(values: Sequence[float]) -> float:
    """Returns the mean without the highest and the lowest tenth, at least one of each if any are
    left."""
    out = max(1, len(values) // 10) if len(values) > 2 else 0
    kept = sorted(values)[out : len(values) - out]
    return fsum(kept) / len(kept)


def share_above(bins: Sequence[int], limit_ms: float) -> float:
    """Returns how many inferences took longer than a limit above 0; within a bin they are taken to
    be spread evenly on a scale of ratios; all in the last one, which has no end, took longer."""
    edge, last = FIRST_EDGE_MS, len(bins) - 1
    above = float(bins[last]) if bins else 0.0
    for place in range(last):
        octaves = log2(limit_ms / edge) if place else limit_ms / edge - 1.0
        above += bins[place] * min(max(-octaves, 0.0), 1.0)
        edge *= 2
    return above


def _moved(bins: Sequence[float], first: int, octaves: float) -> float:
    """Returns how many inferences come above the edge if each takes so many octaves longer; within
    a bin they are taken to be spread evenly on a scale of ratios."""
    moved = 0.0
    for place in range(first - 1, -1, -1):
        part = min(max(octaves - (first - 1 - place), 0.0), 1.0)
        moved += part * bins[place]
    return moved
