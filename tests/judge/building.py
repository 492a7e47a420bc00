"""What the tests of the judge build: devices out of arrays of means, and looks."""

from modelwave_controller.judge.compare import Occasion, Pair
from modelwave_controller.judge.devices import (
    SHARE,
    Observed,
    Quantity,
    Sums,
    Window,
    arm,
    fold,
    fold_before,
    freeze,
)
from modelwave_controller.judge.looks import Budget

LABELS = 100.0
ACCURACY = Quantity("accuracy", SHARE, higher_is_better=True, margin=0.02)


def windows(means, first=0, labels=LABELS):
    return [Window(first + i, labels, labels * mean) for i, mean in enumerate(means)]


def observed(before, now, labels=LABELS):
    """Devices out of their means by window. before, now: a row a device."""
    return [
        Observed(*fold_before(windows(old, -len(old), labels)), fold(windows(new, 0, labels)))
        for old, new in zip(before, now, strict=True)
    ]


def pair(devices, opened, quantity):
    """The arms of devices; opened: a truth value a device."""
    frozen = freeze(devices)
    canaries = [device for device, is_open in zip(devices, opened, strict=True) if is_open]
    controls = [device for device, is_open in zip(devices, opened, strict=True) if not is_open]
    return Pair(arm(canaries, quantity, frozen), arm(controls, quantity, frozen))


def occasion(quantities=1, stages=3, looks=4, number=0, windows=1, allowance=1, seed=1):
    return Occasion(Budget(quantities, stages, looks, False), number, windows, allowance, seed)


def sums(*values):
    """A device without windows before: (weight, total) of this stage."""
    return Observed(Sums(0, 0), Sums(0, 0), Sums(*values))
