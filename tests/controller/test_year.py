"""Tests that the database of a fleet that goes on and on does not grow, in a small form of
fleet_year.py; `python -m benchmarks.scale year --long` has 10,000 devices and a year."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fleet_year import FleetYear, Measured, Plan

LONG = os.environ.get("MODELWAVE_LONG") == "1"
SMALL = Plan(
    devices=20,
    reporting=20,
    days=12,
    rollouts=6,
    keep_days=3,
    observing=2,
    beats_each=6,
    measured_each=2,
)
LONGER = SMALL._replace(devices=200, reporting=100, days=120, rollouts=30, keep_days=31)
# What a rollout leaves for ever: who did what, its orders' slots and numbers, its manifest.
BYTES_A_ROLLOUT = 48_000
ANSWERS = 2.5  # of a device to a rollout, at most on average
STEADY = 0.5  # of the days, from when on it may not grow


@pytest.fixture
def year(tmp_path: Path, url: str) -> Iterator[FleetYear]:
    plan = LONGER if LONG else SMALL
    with closing(FleetYear(tmp_path, url, plan)) as made:
        yield made


def test_a_fleet_that_goes_on_has_a_database_of_the_same_size(year: FleetYear) -> None:
    found = year.run()
    steady = [one for one in found if one.day > STEADY * year.plan.days]
    require_flat(year.plan, steady)
    year.require_the_rest()


def require_flat(plan: Plan, found: list[Measured]) -> None:
    kept = plan.keep_days * plan.rollouts / plan.days + 2  # rollouts, with two that stand
    assert max(one.answers for one in found) <= ANSWERS * plan.devices * kept
    first, *others = found
    for one in others:
        grown = one.bytes - first.bytes
        assert grown <= 0.1 * first.bytes + BYTES_A_ROLLOUT * (one.rollouts - first.rollouts)
