"""Tests that a device takes new roots of trust one by one, and judges all orders under each."""

import asyncio
import os

import pytest

from modelwave_agent import root_store
from modelwave_agent.inbox import OrderInbox
from modelwave_agent.journal import Journal
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.types import Enrolment
from modelwave_shared import dsse
from modelwave_shared.errors import EnvelopeError
from modelwave_shared.limits import MAX_ENVELOPE_BYTES, MAX_ROOT_JOURNAL_BYTES, MAX_SIGNATURES
from tests import signing
from tests.agent.fakes import ROOT, TOPIC, live, settled, world_with_live
from tests.agent.root_chain import NEW_KEY, NEW_ROOT_KEYS, document, publish, topic
from tests.signing import ROOT_KEYS, STRANGER

ONE = signing.Release(1, b"first model " * 200)
TWO = signing.Release(2, b"second model " * 200)
WAITS = {"trial": {"seconds": 0, "inferences": 10}}


@pytest.fixture
def world(tmp_path):
    """A device that runs ONE, by order 1."""
    made = world_with_live(tmp_path, ONE, TWO)
    yield made
    assert made.faults == []


def version(world):
    """Of the root that the last report tells."""
    return world.reports[-1]["extra"]["root"] if world.reports else 0


def comes_to(world, wanted, refused=""):
    """One life, until the report tells this version and nothing but `refused`."""
    world.reports.clear()

    def done(_):
        return version(world) == wanted and world.reports[-1]["refused"] == refused

    assert asyncio.run(live(world, done)), world.reports[-1:]


def files(world):
    """{name: bytes} of what is stored of roots."""
    found = sorted(name for name in os.listdir(world.folder) if name.startswith("root."))
    return {name: open(f"{world.folder}/{name}", "rb").read() for name in found}


def told(world, *again):
    """One life, until the report refuses something; returns what it said. Then these messages come
    to the root's topic, twice, and must trigger no report."""
    world.reports.clear()
    turns, reports = [], []

    def done(_):
        turns.extend([1] if world.reports and world.reports[-1]["refused"] else [])
        if len(turns) in (50, 100):
            reports.append(len(world.reports))
            for message in again:
                world.deliver(topic(2), message)
        return len(turns) > 150

    assert asyncio.run(live(world, done)), "the report never told anything"
    assert len(world.reports) == reports[0]
    return world.reports[-1]["refused"]


# The walk.


def test_chain_is_walked_one_by_one_and_is_durable(world):
    publish(world, document(2))
    publish(world, document(3, root_keys=NEW_ROOT_KEYS), *ROOT_KEYS[:2], *NEW_ROOT_KEYS[:2])
    publish(world, document(4, root_keys=NEW_ROOT_KEYS, epoch=2), *NEW_ROOT_KEYS[1:])
    comes_to(world, 4)
    world.retained.clear()
    comes_to(world, 4)


def test_root_that_comes_while_the_device_is_connected_is_taken(world):
    def done(_):
        if world.reports and version(world) == 1:
            world.deliver(topic(2), signing.root_envelope(document(2)))
        return version(world) == 2

    assert asyncio.run(live(world, done))


def test_no_version_is_left_out(world):
    publish(world, document(3))
    comes_to(world, 1)
    world.retained[topic(2)] = world.retained.pop(topic(3))
    assert told(world) == "root 2: root.version: 3, the next one is 2"


BAD = {
    "by the new keys only": (
        document(2, root_keys=NEW_ROOT_KEYS),
        NEW_ROOT_KEYS,
        "signatures: 0 of the 2 needed root keys have signed",
    ),
    "by the old keys only": (
        document(2, root_keys=NEW_ROOT_KEYS),
        ROOT_KEYS,
        "signatures: 0 of the 2 needed root keys have signed",
    ),
    "by one of the old keys": (
        document(2, root_keys=[*ROOT_KEYS[:1], *NEW_ROOT_KEYS]),
        [ROOT_KEYS[0], *NEW_ROOT_KEYS],
        "signatures: 1 of the 2 needed root keys have signed",
    ),
    "by the order key": (
        document(2),
        [signing.ORDER_KEY, STRANGER],
        "signatures: 0 of the 2 needed root keys have signed",
    ),
    "of another fleet": (document(2, fleet="other"), ROOT_KEYS, "root.fleet: other, not demo"),
    "of a newer format": (
        document(2, v=3),
        ROOT_KEYS,
        "root.v: 3 is a newer format; root v 2 is read here; update the agent",
    ),
    "the first one": (ROOT, ROOT_KEYS, "root.version: 1, the next one is 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_root_is_told_once_and_changes_nothing(world, name):
    root, keys, reason = BAD[name]
    world.retained[topic(2)] = bad = signing.envelope("root", root, *keys)
    assert told(world, bad) == "root 2: " + reason
    assert files(world) == {}
    assert version(world) == 1
    publish(world, document(2))
    comes_to(world, 2)


def test_bad_root_is_told_no_longer_when_its_topic_is_cleared(world):
    world.retained[topic(2)] = b"{}"

    def done(_):
        if not told_it and world.reports and world.reports[-1]["refused"]:
            told_it.append(world.reports[-1]["refused"])
            world.deliver(topic(2), b"")
        return told_it and not world.reports[-1]["refused"]

    told_it = []
    world.reports.clear()
    assert asyncio.run(live(world, done))
    assert told_it[0].startswith("root 2: not the DSSE template")


def test_bad_root_that_is_repeated_is_not_verified_again(world, monkeypatch):
    judged = []
    next_root = root_store.documents.next_root
    monkeypatch.setattr(
        root_store.documents,
        "next_root",
        lambda *arguments: judged.append(1) or next_root(*arguments),
    )
    world.retained[topic(2)] = bad = signing.envelope("root", document(2), STRANGER)
    told(world, bad, bad)
    assert len(judged) == 1


class SetClock:
    seconds = 0

    def now(self):
        return self.seconds

    async def breathe(self):
        pass


def test_flood_of_bad_roots_costs_one_judgement_a_minute_and_the_good_one_is_asked_for(
    tmp_path, monkeypatch
):
    judged = []
    next_root = root_store.documents.next_root
    monkeypatch.setattr(
        root_store.documents,
        "next_root",
        lambda *arguments: judged.append(1) or next_root(*arguments),
    )
    clock = SetClock()
    walk = RootWalk(Enrolment("pi-1", "linux-cpu", ROOT), str(tmp_path), clock)
    good = signing.root_envelope(document(2))
    for number in range(50):
        bad = signing.envelope("root", document(2, epoch=number), STRANGER)
        assert not asyncio.run(walk.take(bad))
        assert not asyncio.run(walk.take(b""))  # the topic is cleared
    assert not asyncio.run(walk.take(good))
    assert len(judged) == 1
    assert walk.missed  # so the agent subscribes anew, and gets what is retained
    assert os.listdir(tmp_path) == []
    clock.seconds += 59.9
    assert not asyncio.run(walk.take(good))
    clock.seconds += 0.1
    assert asyncio.run(walk.take(good))


def test_longest_root_fits_the_journal(tmp_path):
    signatures = [(key.id, bytes(64)) for key in map(signing.Key, range(MAX_SIGNATURES))]
    longest = b""
    for size in range(MAX_ENVELOPE_BYTES):
        try:
            longest = dsse.write("root", bytes(size), signatures)
        except EnvelopeError:
            break
    assert MAX_ENVELOPE_BYTES - 4 < len(longest) <= MAX_ENVELOPE_BYTES
    root_store.write(str(tmp_path), longest)
    journal = Journal(str(tmp_path), root_store.NAME, MAX_ROOT_JOURNAL_BYTES)
    assert journal.read() == {"envelope": longest.decode()}


# What is stored.


def test_stored_root_is_used_where_it_is_newer_than_the_enrolled_one_of_the_same_fleet(tmp_path):
    folder = str(tmp_path)
    assert root_store.newest(folder, ROOT) == (ROOT, "")
    second = document(2)
    root_store.write(folder, signing.root_envelope(second))
    assert root_store.newest(folder, ROOT) == (second, "")
    for enrolled in (document(2, epoch=7), document(3), signing.root(fleet="other")):
        assert root_store.newest(folder, enrolled) == (enrolled, "")


@pytest.mark.parametrize("left", [0, 1])
def test_root_is_known_by_either_file_of_its_journal(tmp_path, left):
    folder, second = str(tmp_path), document(2)
    for _ in range(2):
        root_store.write(folder, signing.root_envelope(second))
    os.remove(f"{folder}/root.{1 - left}")
    assert root_store.newest(folder, ROOT) == (second, "")


def test_stored_root_that_is_damaged_is_told_and_walked_to_again(world):
    publish(world, document(2))
    comes_to(world, 2)
    assert len(files(world)) == 2
    for name in files(world):
        with open(f"{world.folder}/{name}", "r+b") as file:
            file.write(b"rot")
    del world.retained[topic(2)]
    comes_to(world, 1, "the stored root cannot be used: no whole record was found")
    publish(world, document(2))
    comes_to(world, 2)
    del world.retained[topic(2)]
    comes_to(world, 2)


def test_stored_root_without_the_signatures_is_not_used(tmp_path):
    folder = str(tmp_path)
    root_store.write(folder, signing.envelope("root", document(2), ROOT_KEYS[0]))
    root, problem = root_store.newest(folder, ROOT)
    assert root == ROOT
    assert problem.startswith("the stored root cannot be used: signatures: 1 of the 2")


def test_root_that_cannot_be_stored_is_asked_for_again(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(root_store, "write", full)
    device = Enrolment("pi-1", "linux-cpu", ROOT)
    walk = RootWalk(device, str(tmp_path), SetClock())
    assert not walk.missed
    assert not asyncio.run(walk.take(signing.root_envelope(document(2))))
    assert (walk.missed, device.root) == (True, ROOT)
    assert walk.problem.startswith("root 2: OSError: ")


def test_root_that_cannot_be_stored_is_not_trusted_before_it_can(world, monkeypatch):
    write, failures = Journal.write, [OSError(28, "No space left on device")] * 2

    def full_for_a_while(journal, record):
        if "envelope" in record and failures:
            raise failures.pop()
        write(journal, record)

    monkeypatch.setattr(root_store.Journal, "write", full_for_a_while)
    publish(world, document(2, NEW_KEY))
    world.retained[TOPIC] = signing.order(TWO, 2, NEW_KEY)
    world.reports.clear()
    assert asyncio.run(live(world, settled(world, 2)))
    said = [report["refused"] for report in world.reports]
    assert any("root 2: OSError: [Errno 28]" in one for one in said), said
    assert failures == []
    assert version(world) == 2


# The orders under it.


def test_order_that_the_new_key_has_signed_is_taken_with_the_new_root(world):
    publish(world, document(2, NEW_KEY))
    world.retained[TOPIC] = signing.order(TWO, 2, NEW_KEY)
    world.reports.clear()
    assert asyncio.run(live(world, settled(world, 2)))
    assert (world.last_report()["release"], version(world)) == (2, 2)
    assert all(report["refused"] == "" for report in world.reports)


def test_order_that_was_refused_under_the_old_root_is_judged_again_under_the_new_one(world):
    world.retained[TOPIC] = signing.order(TWO, 2, NEW_KEY)
    root = signing.root_envelope(document(2, NEW_KEY))
    world.reports.clear()

    def done(update):
        if world.reports and world.reports[-1]["refused"].startswith("signed"):
            world.deliver(topic(2), root)
        return settled(world, 2)(update)

    assert asyncio.run(live(world, done))
    assert world.reports[-1]["refused"] == ""


def test_memory_that_runs_out_with_a_new_root_leaves_no_order_judged_by_the_old_one(
    world, monkeypatch
):
    world.retained[TOPIC] = signing.order(TWO, 2, NEW_KEY)
    root = signing.root_envelope(document(2, NEW_KEY))
    forget = OrderInbox.forget
    failed = []

    def short(inbox):
        if not failed:
            failed.append(1)
            raise MemoryError
        forget(inbox)

    monkeypatch.setattr(OrderInbox, "forget", short)
    world.reports.clear()

    def done(update):
        if world.reports and world.reports[-1]["refused"].startswith("signed") and not failed:
            world.deliver(topic(2), root)
        return settled(world, 2)(update)

    assert asyncio.run(live(world, done))


def test_order_of_a_revoked_key_is_refused_and_what_runs_goes_on(world):
    publish(world, document(2, NEW_KEY))
    world.retained[TOPIC] = signing.order(TWO, 2)
    assert "signed: signatures: 0 of the 1" in told(world)
    assert (world.last_report()["release"], world.served[-1]) == (1, 1)


def on_trial(world, message, root, *, until):
    """Delivers the order; when its release is on trial, the root comes. Returns the update once
    `until(update)`, after that."""
    world.retained[TOPIC] = message
    world.reports.clear()
    came, found = [], []

    def done(update):
        if update.record["state"] == "trial" and not came:
            came.append(1)
            world.retained[topic(2)] = root
            world.deliver(topic(2), root)
        found[:] = [update]
        return came and version(world) == 2 and until(update)

    assert asyncio.run(live(world, done))
    return found[0]


def test_trial_that_a_new_root_cuts_short_counts_nothing_and_begins_again(world):
    order = signing.order(TWO, 2, **WAITS)
    root = signing.root_envelope(document(2))

    def again(update):
        if update.record["state"] == "trial" and version(world) == 2:
            update.observe(2, 10, 0)
        return world.last_report()["outcome"] == "SUCCEEDED" and world.last_report()["seq"] == 2

    on_trial(world, order, root, until=again)
    assert world.durable()["tries"] == 1
    assert world.durable()["blacklist"] == []
    assert world.served[-4:] == [1, 2, 1, 2]  # the live one, on trial, the live one, on trial


def test_order_under_way_whose_key_was_revoked_ends_and_the_live_model_serves(world):
    order = signing.order(TWO, 2, **WAITS)
    root = signing.root_envelope(document(2, NEW_KEY))

    def refused(update):
        return "signed" in world.reports[-1]["refused"] and not update.work.busy()

    update = on_trial(world, order, root, until=refused)
    assert (update.record["state"], update.record["tries"]) == ("fetching", 0)
    assert world.served[-1] == 1
    world.retained[TOPIC] = signing.order(ONE, 3, NEW_KEY)
    assert asyncio.run(live(world, settled(world, 3)))


def test_order_under_way_below_the_new_minimum_goes_on_no_more(world):
    order = signing.order(TWO, 2, **WAITS)
    root = signing.root_envelope(document(2, minimum={"digits": 3}))

    def rejected(_):
        return world.last_report()["outcome"] == "REJECTED"

    on_trial(world, order, root, until=rejected)
    assert world.last_report()["reason"].startswith("minimum: release 2 is below 3")
    assert (world.last_report()["release"], world.served[-1]) == (1, 1)


def test_order_under_way_of_the_old_epoch_goes_on_no_more_and_the_next_one_is_taken(world):
    order = signing.order(TWO, 2, **WAITS)
    root = signing.root_envelope(document(2, epoch=1))

    def refused(_):
        return "sequence: the order is of epoch 0" in world.reports[-1]["refused"]

    on_trial(world, order, root, until=refused)
    world.retained[TOPIC] = signing.order(TWO, 1, epoch=1)

    def done(update):
        return settled(world, 1)(update) and world.last_report()["epoch"] == 1

    assert asyncio.run(live(world, done))
    assert (world.last_report()["release"], world.last_report()["outcome"]) == (2, "SUCCEEDED")


def test_release_below_the_new_minimum_goes_on_serving(world):
    publish(world, document(2, minimum={"digits": 5}))
    served = len(world.served)
    comes_to(world, 2)
    assert (world.last_report()["release"], world.served[served:]) == (1, [1])


def test_no_order_is_taken_under_an_expired_root_and_the_next_root_is(world):
    publish(world, document(2, v=2, expires=world.wall))
    world.retained[TOPIC] = signing.order(TWO, 2)
    world.reports.clear()

    def rejected(_):
        return world.reports and world.last_report()["outcome"] == "REJECTED"

    assert asyncio.run(live(world, rejected))
    reason = world.last_report()["reason"]
    assert reason == "root: the root of trust expired 0 seconds ago; publish the next one"
    assert world.last_report()["release"] == 1
    publish(world, document(3, v=2, expires=world.wall + 60))
    world.reports.clear()
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["release"] == 2


def test_root_that_comes_before_the_work_after_a_reset_is_done(world):
    """The broker may be faster than the flash."""
    world.serve_turns = 50
    publish(world, document(2, NEW_KEY))
    world.retained[TOPIC] = signing.order(TWO, 2, NEW_KEY)
    world.reports.clear()
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["release"] == 2
