"""What a simulated device measures of the release that it runs, in windows as an agent sends them.
Pure: chance follows from a seed, so that the same device, release and window give the same figures.

Of the manifest it takes the share of right answers on held-out data and the size of the model's
file, which a larger model's latency follows. Devices differ in both.
"""

from collections.abc import Mapping
from math import exp, log, sqrt
from random import Random
from typing import Any, NamedTuple

from modelwave_shared.limits import MILLION
from modelwave_shared.window_format import BINS, latency_bin, packed

ACCURACY = 0.9  # of a release that says none
SKILLS_DIFFER = 0.3  # the standard deviation of devices, of the log of the odds to be right
SPEEDS_DIFFER = 0.03  # that of the log of their speed
INFERENCES_DIFFER = 0.2  # that of the log of one inference's latency
LEAST_MS, MS_OF_A_MEGABYTE = 3.0, 3.0
FAILED = 0.001  # of all inferences


class Observing(NamedTuple):
    """`seconds`: the length of a window, 0: none are sent. `inferences`: in each; all are
    labelled."""

    seconds: float = 0.0
    inferences: int = 0
    seed: int = 0


NOTHING = Observing()


class Expected(NamedTuple):
    """What is to be expected of a release, on a mean device."""

    release: int
    accuracy: float
    latency_ms: float


def expected(manifest: Mapping[str, Any]) -> Expected:
    ppm = manifest["lineage"]["metrics"].get("accuracy_ppm")
    accuracy = ACCURACY if ppm is None else min(max(ppm / MILLION, 0.0), 1.0)
    size = sum(file["size"] for file in manifest["files"] if file["role"] == "model")
    return Expected(
        manifest["release"], accuracy, LEAST_MS + MS_OF_A_MEGABYTE * sqrt(size / MILLION)
    )


def measured(device: str, window: int, of: Expected, by: Observing) -> dict[str, Any]:
    """Returns what a window's document says of the release."""
    its = Random(f"{by.seed} {device}")
    accuracy = _shifted(of.accuracy, its.gauss(0, SKILLS_DIFFER))
    speed = its.gauss(0, SPEEDS_DIFFER)
    chance = Random(f"{by.seed} {device} {of.release} {window}")
    failures = _times(chance, by.inferences, FAILED)
    labelled = by.inferences - failures
    bins, logs = [0] * BINS, 0.0
    for _ in range(by.inferences):
        ms = of.latency_ms * chance.lognormvariate(speed, INFERENCES_DIFFER)
        bins[latency_bin(ms)] += 1
        logs += log(ms)
    mean = round(MILLION * logs / by.inferences)
    return {
        "release": of.release,
        "window": window,
        "seconds": max(1, round(by.seconds)),
        "age_seconds": 0,
        "inferences": by.inferences,
        "failures": failures,
        "labelled": labelled,
        "correct": _times(chance, labelled, accuracy),
        "latency": {"bins": packed(bins), "log": mean},
    }


def _shifted(share: float, by: float) -> float:
    """Returns a share whose odds have a logarithm that is greater by so much."""
    right = share * exp(by)
    return right / (right + 1 - share)


def _times(chance: Random, number: int, share: float) -> int:
    """Returns how many of `number` draws hit."""
    return sum(chance.random() < share for _ in range(number))
