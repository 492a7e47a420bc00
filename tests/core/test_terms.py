"""Tests how far one order may move a device's sequence and time; runs on both Pythons."""

from modelwave_agent import terms
from modelwave_agent.record import new_record
from modelwave_shared.limits import (
    EARLIEST_TIME,
    MAX_AHEAD_SECONDS,
    MAX_SEQ,
    MAX_SEQ_STEP,
    MAX_TIME,
    MAX_TIME_STEP_SECONDS,
)
from tests.core.helpers import refused

NOW = 1_800_000_000
DAY = 86_400


class Device:
    def __init__(self, **root):
        self.root = {"epoch": 0, "minimum": {}}
        self.root.update(root)


class OrderCase:
    """As case.Case, once the order is parsed."""

    def __init__(self, device, record, wall, is_synchronised, order):
        self.device = device
        self.record = record
        self.wall = wall
        self.is_synchronised = is_synchronised
        self.order = order
        self.digest = "this"
        self.model = "digits"
        self.floor = 0


def record(seq=7, time=NOW, epoch=0):
    made = new_record()
    made["order"] = {"epoch": epoch, "seq": seq, "sha256": "taken"}
    made["time"] = time
    return made


def judged(
    taken, wall=None, is_synchronised=False, device=None, seq=8, issued=NOW, expires=None, epoch=0
):
    """Returns the time floor that an order would give, after the checks of its terms."""
    order = {"epoch": epoch, "seq": seq, "issued": issued}
    order["expires"] = issued + 30 * DAY if expires is None else expires
    order["manifest"] = "m1"
    case = OrderCase(device or Device(epoch=epoch), taken, wall, is_synchronised, order)
    for check in (terms.sequence, terms.root, terms.time, terms.blacklist):
        check(case)
    return case.floor


def told(*arguments, **named):
    return refused(ValueError, lambda: judged(*arguments, **named))


def test_one_order_moves_the_sequence_by_a_step_at_most():
    judged(record(7), seq=7 + MAX_SEQ_STEP)
    assert "more than 4294967296 above order 7" in told(record(7), seq=8 + MAX_SEQ_STEP)
    assert "more than" in told(record(7), seq=MAX_SEQ)
    assert "more than" in told(new_record(), seq=MAX_SEQ)


def test_an_epoch_starts_the_sequence_anew():
    assert "older" in told(record(MAX_SEQ), seq=1)
    judged(record(MAX_SEQ), seq=1, epoch=1)
    assert "older" in told(record(9, epoch=1), seq=8, epoch=1)
    assert "epoch" in told(record(9, epoch=1), seq=10, epoch=0, device=Device(epoch=1))
    assert "older" in told(record(9, epoch=1), seq=10, epoch=0)


def test_one_order_moves_the_time_by_a_step_at_most():
    assert judged(record(), issued=NOW + DAY) == NOW + DAY
    assert judged(record(), issued=NOW - DAY) == NOW
    far = NOW + MAX_TIME_STEP_SECONDS + 1
    assert judged(record(), issued=far) == NOW + MAX_TIME_STEP_SECONDS
    assert judged(record(), wall=NOW, issued=far) == NOW + MAX_TIME_STEP_SECONDS


def test_order_of_the_far_future_is_refused_whatever_the_clock_says():
    """Also by a clock that is behind what was signed."""
    for wall in (None, NOW, NOW - DAY, EARLIEST_TIME):
        judged(record(), wall=wall, issued=NOW + MAX_AHEAD_SECONDS)
        assert "becomes valid" in told(record(), wall=wall, issued=NOW + MAX_AHEAD_SECONDS + 1)
        assert "becomes valid" in told(record(), wall=wall, issued=MAX_TIME, expires=MAX_TIME + 1)
    assert "becomes valid" in told(record(), wall=NOW, is_synchronised=True, issued=NOW + 301)
    judged(record(), wall=NOW, is_synchronised=True, issued=NOW + 300)


def test_synchronised_clock_is_believed_over_what_was_signed_and_heals_it():
    poisoned = record(time=NOW + MAX_TIME_STEP_SECONDS)
    assert "expired" in told(poisoned, wall=NOW)
    assert judged(poisoned, wall=NOW, is_synchronised=True) == NOW
    assert judged(record(time=NOW - DAY), wall=NOW + 9, is_synchronised=True) == NOW


def test_clock_that_is_not_synchronised_only_counts_where_it_is_ahead_of_what_was_signed():
    order = {"issued": NOW, "expires": NOW + DAY}
    judged(record(), wall=NOW - 999 * DAY, **order)
    assert "by this device's clock" in told(record(), wall=NOW + DAY, **order)
    assert "by the latest signed time" in told(record(time=NOW + DAY), wall=NOW, **order)


def test_an_epoch_starts_the_time_anew_at_the_root():
    poisoned = record(time=MAX_TIME)
    assert "expired" in told(poisoned)
    assert judged(poisoned, epoch=1, device=Device(epoch=1)) == NOW
    root = Device(epoch=1, extra={"issued": NOW + 40 * DAY})
    assert "expired" in told(poisoned, epoch=1, device=root)
    assert judged(poisoned, epoch=1, device=root, issued=NOW + 41 * DAY) == NOW + 41 * DAY


def test_device_without_a_signed_time_counts_from_the_root_on():
    far = EARLIEST_TIME + MAX_AHEAD_SECONDS + 1
    assert "becomes valid" in told(new_record(), issued=far)
    judged(new_record(), issued=far, device=Device(extra={"issued": NOW}))


def test_no_order_is_taken_under_an_expired_root():
    root = Device(expires=NOW)
    assert "expired 0 seconds ago; publish the next" in told(record(), device=root)
    assert "expired" in told(record(time=0), device=root, wall=NOW + 5)
    judged(record(time=NOW - 1), device=root)
    judged(record(), device=Device(expires=NOW + 1))
    judged(record(), device=root, wall=NOW - 1, is_synchronised=True)


def test_an_epoch_ends_the_bans():
    banned = record()
    banned["blacklist"] = ["m1"]
    assert "failed a health check" in told(banned)
    judged(banned, epoch=1)
