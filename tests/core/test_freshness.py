"""Tests the device's view of its orders: which heartbeats are taken, and what is said of it."""

import asyncio

from modelwave_agent.freshness import (
    ASK_SECONDS,
    DOUBT_SECONDS,
    FROZEN_SECONDS,
    JUDGE_SECONDS,
    WITHHELD_SECONDS,
    View,
)
from modelwave_agent.heartbeat import judge
from modelwave_agent.record import new_record
from modelwave_agent.types import Enrolment
from modelwave_shared import documents
from modelwave_shared.words import ASKED, FRESH, UNANSWERED, WITHHELD
from tests.core import signed
from tests.core.helpers import refused

ROOT = documents.open_first_root(signed.ROOT)
DEVICE = Enrolment("pi-1", "linux-cpu", ROOT)
NONCE = "0123456789abcdef"  # of the signed heartbeats
ISSUED = 1_800_000_000  # they were signed 60 seconds later
MINUTE = 60


class Clock:
    def __init__(self):
        self.seconds = 1000.0
        self.time = ISSUED + 70

    def now(self):
        return self.seconds

    def wall(self):
        return self.time

    def is_synchronised(self):
        return True

    async def breathe(self):
        pass


class Model:
    """Stands for Update and its ledger."""

    def __init__(self):
        self.record = new_record()
        self.ledger = self
        self.seen = 7
        self.learnt = []

    def has_seen(self, epoch, seq):
        return self.seen >= seq

    def learn_time(self, time):
        self.learnt.append(time)


class Device:
    def __init__(self, seen=7):
        self.enrolment = Enrolment("pi-1", "linux-cpu", ROOT)
        self.clock = Clock()
        self.model = Model()
        self.model.seen = seen
        self.view = View(self.enrolment, {"digits": self.model}, self.clock)
        self.view.nonce = NONCE

    def hears(self, data):
        """Returns whether the device has something to report then."""
        return asyncio.run(self.view.take(data))

    def waits(self, seconds, connected=True):
        """Returns how often it had something to report."""
        reports = 0
        for _ in range(seconds // MINUTE):
            self.clock.seconds += MINUTE
            reports += self.view.look(connected)
        return reports


def judged(data, device=DEVICE, nonce=NONCE, time=0, wall=ISSUED + 70, synchronised=True):
    record = new_record()
    record["time"] = time
    return judge(data, device, nonce, [record], wall, synchronised)


# Which heartbeats are taken.


def test_the_answer_to_the_nonce_is_taken_and_moves_the_time():
    found, times = judged(signed.HEARTBEAT)
    assert (found["models"], times) == ({"digits": 7}, [ISSUED + 60])
    _, times = judged(signed.HEARTBEAT, wall=None, synchronised=False)
    assert times == [ISSUED + 60]


def test_a_synchronised_clock_brings_a_poisoned_time_back():
    _, times = judged(signed.HEARTBEAT, time=ISSUED + 10**9)
    assert times[0] <= ISSUED + 70


def test_a_replayed_heartbeat_is_refused_before_its_signature_is_verified():
    told = refused(ValueError, judged, signed.HEARTBEAT_BY_STRANGER, DEVICE, "f" * 16)
    assert "another nonce" in told


def test_a_heartbeat_by_a_thief_or_of_another_device_is_refused():
    assert "signatures: 0 of" in refused(ValueError, judged, signed.HEARTBEAT_BY_STRANGER)
    told = refused(ValueError, judged, signed.HEARTBEAT_OF_ANOTHER)
    assert told == "the heartbeat is for device pi-2, not pi-1"


def test_the_nonce_must_be_in_its_field():
    """And not anywhere in the payload."""
    told = refused(ValueError, judged, signed.HEARTBEAT, DEVICE, "digits")
    assert "heartbeat is for nonce 0123456789abcdef" in told


def test_another_document_is_no_heartbeat():
    for data in (signed.ORDER, signed.MANIFEST, signed.ROOT, b"", b"\0" * 5000):
        refused(ValueError, judged, data)


def test_a_heartbeat_from_the_future_is_refused():
    assert "seconds ahead" in refused(ValueError, judged, signed.HEARTBEAT_AHEAD)
    told = refused(ValueError, judged, signed.HEARTBEAT_AHEAD, DEVICE, NONCE, ISSUED, None, False)
    assert "seconds ahead" in told


def test_a_heartbeat_of_an_old_epoch_is_refused():
    """With an order key that was not revoked, a thief could sign such a one."""
    root = dict(ROOT)
    root["epoch"] = 1
    told = refused(ValueError, judged, signed.HEARTBEAT, Enrolment("pi-1", "linux-cpu", root))
    assert told == "the heartbeat is of epoch 0, this device's root is of epoch 1"


def test_a_higher_epoch_needs_a_newer_root():
    told = refused(ValueError, judged, signed.HEARTBEAT_NEXT_EPOCH)
    assert told == "the heartbeat is of epoch 1, no root says so"
    found, times = judged(signed.HEARTBEAT_NEXT_ROOT)
    assert (found["root"], times) == (2, [None])


# What is said of the view.


def test_a_device_asks_until_it_is_answered():
    device = Device()
    assert device.view.extra() == {"view": ASKED, "nonce": NONCE}
    assert device.waits(3600) == 0
    assert device.hears(signed.HEARTBEAT)
    assert device.view.extra() == {"view": FRESH}
    assert device.model.learnt == [ISSUED + 60]
    assert not device.view.seeks


def test_each_life_asks_with_a_nonce_of_its_own():
    nonces = set()
    for _ in range(20):
        nonces.add(View(DEVICE, {}, Clock()).nonce)
    assert len(nonces) == 20
    for nonce in nonces:
        assert len(nonce) == 16
        assert not nonce.strip("0123456789abcdef")


def test_a_day_after_the_answer_it_asks_again():
    device = Device()
    device.hears(signed.HEARTBEAT)
    assert device.waits(int(0.79 * ASK_SECONDS)) == 0
    assert device.waits(int(0.45 * ASK_SECONDS)) == 1
    assert device.view.nonce not in ("", NONCE)
    assert device.view.word == FRESH


def test_a_withheld_order_is_seen_after_a_set_time():
    device = Device(seen=6)
    device.hears(signed.HEARTBEAT)
    assert (device.view.word, device.view.seeks) == (FRESH, True)
    assert device.waits(WITHHELD_SECONDS - MINUTE) == 0
    assert device.waits(MINUTE) == 1
    assert device.view.word == WITHHELD
    assert device.view.notes() == ["withheld: order 7 of digits has not come"]
    device.model.seen = 7
    assert device.waits(MINUTE) == 1
    assert (device.view.word, device.view.notes()) == (FRESH, [])


def test_in_doubt_it_asks_again_after_an_hour_and_says_withheld_all_the_time():
    device = Device(seen=6)
    device.hears(signed.HEARTBEAT)
    device.waits(DOUBT_SECONDS)
    assert device.view.nonce not in ("", NONCE)
    device.view.nonce, device.view.seeks = NONCE, False
    assert device.hears(signed.HEARTBEAT)
    assert (device.view.word, device.view.seeks) == (WITHHELD, True)


def test_a_withheld_root_is_seen_and_the_orders_of_its_epoch_are_not_missed():
    device = Device(seen=0)
    device.hears(signed.HEARTBEAT_NEXT_ROOT)
    assert device.view.seeks
    device.waits(WITHHELD_SECONDS)
    assert device.view.notes() == ["withheld: root 2 has not come"]
    device.enrolment.root = dict(ROOT)
    device.enrolment.root["version"] = 2
    device.enrolment.root["epoch"] = 2  # the one after it came at once
    device.waits(MINUTE)
    assert device.view.word == FRESH


def test_a_frozen_view_is_seen_after_a_set_time_with_a_connection():
    device = Device()
    assert device.waits(2 * FROZEN_SECONDS, connected=False) == 0
    assert device.waits(FROZEN_SECONDS - MINUTE) == 0
    assert device.waits(MINUTE) == 1
    assert device.view.word == UNANSWERED
    assert device.view.notes() == ["the view may be frozen: no heartbeat came for 48 h"]
    assert device.view.nonce == NONCE
    device.hears(signed.HEARTBEAT)
    assert (device.view.word, device.view.notes()) == (FRESH, [])


def test_a_view_that_freezes_later_is_seen_too():
    device = Device()
    device.hears(signed.HEARTBEAT)
    device.waits(int(1.2 * ASK_SECONDS) + FROZEN_SECONDS + MINUTE)
    assert device.view.word == UNANSWERED


def test_a_wrong_heartbeat_changes_nothing_and_is_told_once():
    device = Device()
    for number, wrong in enumerate((signed.HEARTBEAT_BY_STRANGER, signed.HEARTBEAT_BY_STRANGER)):
        assert device.hears(wrong) == (number == 0)
        device.waits(MINUTE)
    assert device.view.extra() == {"view": ASKED, "nonce": NONCE}
    assert device.model.learnt == []
    (note,) = device.view.notes()
    assert note.startswith("heartbeat: signatures: 0 of the 1 needed")
    device.hears(signed.HEARTBEAT)
    assert device.view.notes() == []


def test_a_flood_of_wrong_heartbeats_costs_one_verification_a_minute():
    device = Device()
    device.hears(signed.HEARTBEAT_BY_STRANGER)
    assert not device.hears(signed.HEARTBEAT)  # not judged
    device.clock.seconds += JUDGE_SECONDS
    assert device.hears(signed.HEARTBEAT)


def test_a_heartbeat_that_nobody_asked_for_is_ignored():
    device = Device()
    device.hears(signed.HEARTBEAT)
    for data in (signed.HEARTBEAT, signed.HEARTBEAT_BY_STRANGER, b"\0" * 9000):
        assert not device.hears(data)
    assert device.view.notes() == []


def test_a_broker_that_denies_heartbeats_is_told():
    device = Device()
    device.view.heard(False)
    assert device.view.word == UNANSWERED
    assert device.view.notes() == ["the broker denies heartbeat/pi-1: allow it to read"]
    device.view.heard(True)
    assert (device.view.word, device.view.notes()) == (ASKED, [])
