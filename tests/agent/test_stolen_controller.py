"""Tests an attacker who has the controller: its order key, its releases, the broker and the file
server.

He can delay, or choose among the releases that were made for a target. He cannot make a device run
anything else. Each test is one attack.
"""

import asyncio
import copy

import pytest

from modelwave_shared import dsse, words
from tests import signing
from tests.agent.fakes import TOPIC, World, live
from tests.signing import ORDER_KEY, RELEASE_KEY, ROOT_KEYS, STRANGER

RUNNING = signing.Release(2, b"new model " * 300)
OLDER = signing.Release(1, b"old model " * 250)
EVIL = b"BAD model of an attacker" * 100


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    for release in (RUNNING, OLDER):
        made.files.update(release.files)
    made.retained[TOPIC] = signing.order(RUNNING, 1)
    assert asyncio.run(live(made, lambda _: made.reports and made.last_report()["outcome"]))
    return made


def after(world, message):
    """Returns the device's state after it has judged `message` and is idle."""
    world.retained[TOPIC] = message
    world.reports.clear()
    turns = []

    def done(update):
        tries = "tries" in update.state()  # of what may pass, which has no end
        turns.append((update.record["state"] == "idle" or tries) and bool(world.reports))
        return sum(turns[-100:]) == 100

    assert asyncio.run(live(world, done))
    return world.last_report()


def forged(document, *keys):
    """An order, properly signed, for a manifest that `keys` have signed."""
    manifest = signing.envelope(words.MANIFEST, document, *keys)
    order = signing.order_document(RUNNING, 9)
    order["manifest"] = dsse.read(manifest).digest()
    return signing.envelope(words.ORDER, order, ORDER_KEY) + b"\n" + manifest


def evil_manifest(world):
    world.files[signing.sha(EVIL)] = EVIL
    document = copy.deepcopy(RUNNING.document)
    document["release"] = 9
    document["files"][0].update(sha256=signing.sha(EVIL), size=len(EVIL))
    return document


@pytest.mark.parametrize(
    "keys",
    [(ORDER_KEY,), (STRANGER,), (ORDER_KEY, STRANGER), tuple(ROOT_KEYS)],
    ids=["order key", "a key of their own", "both", "even the root keys"],
)
def test_manifest_without_the_release_key_s_signature_is_refused(world, keys):
    state = after(world, forged(evil_manifest(world), *keys))
    assert (state["seq"], state["release"]) == (1, 2)
    assert world.reports[-1]["refused"].startswith("paired: signatures: 0 of the 1")


def test_signature_of_another_manifest_does_not_fit(world):
    good = dsse.read(RUNNING.envelope).signatures
    payload = signing.envelope(words.MANIFEST, evil_manifest(world), STRANGER)
    manifest = dsse.write(words.MANIFEST, dsse.read(payload).payload, good)
    order = signing.order_document(RUNNING, 9)
    order["manifest"] = dsse.read(manifest).digest()
    message = signing.envelope(words.ORDER, order, ORDER_KEY) + b"\n" + manifest
    assert after(world, message)["release"] == 2
    assert world.reports[-1]["refused"].startswith("paired: signatures: 0 of the 1")


def test_files_exchanged_on_the_server_are_not_kept(world):
    third = signing.Release(3, b"approved " * 300)
    world.files.update(dict.fromkeys(third.files, EVIL))
    state = after(world, signing.order(third, 9))
    assert (state["outcome"], state["release"]) == ("FAILED", 2)


def test_release_made_for_another_target_is_refused(world):
    other = signing.Release(3, b"for a board", target="esp32")
    world.files.update(other.files)
    state = after(world, signing.order(other, 9, target="linux-cpu"))
    assert (state["outcome"], state["release"]) == ("REJECTED", 2)


def test_release_of_another_fleet_is_refused(world):
    other = signing.Release(3, b"for another fleet", fleet="other")
    state = after(world, signing.order(other, 9, fleet="demo"))
    assert (state["outcome"], state["release"]) == ("REJECTED", 2)


def test_the_release_key_alone_cannot_order_it(world):
    third = signing.Release(3, b"approved " * 300)
    world.files.update(third.files)
    state = after(world, signing.order(third, 9, key=RELEASE_KEY))
    assert (state["seq"], state["release"]) == (1, 2)


def test_lifting_a_ban_retries_no_more_than_a_release_that_was_signed(world):
    """The limit of another promise: what failed a health check here is tried again."""
    bad = signing.Release(3, b"BAD but signed " * 300)
    world.files.update(bad.files)
    lifts = {"lift_ban": True}
    assert after(world, signing.order(bad, 2))["outcome"] == "ROLLED_BACK"
    assert after(world, signing.order(bad, 3, extra=lifts))["outcome"] == "ROLLED_BACK"
    assert world.durable()["blacklist"] == [bad.digest]
    order = signing.order_document(RUNNING, 9, extra=lifts)
    order["manifest"] = signing.sha(b"unsigned")
    message = signing.envelope(words.ORDER, order, ORDER_KEY) + b"\n" + bad.envelope
    assert after(world, message)["seq"] == 3
    assert world.reports[-1]["refused"].startswith("paired: the second line is not the manifest")
    assert after(world, signing.order(RUNNING, 10))["release"] == 2


def test_choosing_among_approved_releases_is_what_they_can_do(world):
    """The limit of the promise: an older release of the same target, unless the root's
    minimum is above it (test_orders)."""
    state = after(world, signing.order(OLDER, 9))
    assert (state["outcome"], state["release"]) == ("SUCCEEDED", 1)
