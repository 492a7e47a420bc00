"""A whole update of a board on a line, with faults at each write of it. An ordinary run does a part
of the cases, MODELWAVE_LONG=1 all. `pytest -s` prints how many."""

import os

from tests.agent import line_sweep

LONG = os.environ.get("MODELWAVE_LONG") == "1"
STEP = 1 if LONG else 29  # a prime, so that all faults have their turn
# Most flipped bits change nothing that can be seen even without a CRC, so more of these are tried.
FLIPPED_STEP = 6


def test_board_always_ends_whole_and_true():
    count, bad = line_sweep.sweep(STEP)
    if not LONG:
        more, worse = line_sweep.sweep(FLIPPED_STEP, ("flipped",))
        count, bad = count + more, bad | worse
    print(f"\nline: {count} cases, {len(bad)} bad")
    assert not bad
    assert count > (2_000 if LONG else 80)


def test_two_gateways_from_the_start_settle_on_one(tmp_path):
    world = line_sweep.LineWorld(tmp_path, gateways=2)
    assert world.run() == []
    assert world.time.seconds < 200
