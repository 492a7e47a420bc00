"""Tests wrong messages from the broker: they change nothing, and the report gives the reason."""

import asyncio
import contextlib
import json

import pytest

from modelwave_agent import checks, machine
from modelwave_agent.case import Case
from modelwave_agent.inbox import MAX_JUDGED
from modelwave_agent.ports import Ports
from modelwave_agent.record import new_record
from modelwave_agent.types import Enrolment
from modelwave_shared import dsse, words
from modelwave_shared.limits import MAX_EPOCH, MAX_NAME, MAX_SEQ, MAX_TEXT, MAX_TIME
from tests import signing
from tests.agent.fakes import DEVICE, TOPIC, FakeClock, FakeJournal, World, live
from tests.signing import ORDER_KEY, RELEASE_KEY, STRANGER

OLD = signing.Release(1, b"old model " * 250)
NEW = signing.Release(2, b"new model " * 300)


@pytest.fixture
def world(tmp_path):
    """A device that runs OLD, by order 5."""
    made = World(tmp_path)
    for release in (OLD, NEW):
        made.files.update(release.files)
    made.retained[TOPIC] = signing.order(OLD, 5)
    assert asyncio.run(live(made, lambda _: made.reports and model(made)["outcome"]))
    made.reports.clear()
    return made


def model(world):
    return world.last_report()


def refusal(world, message, outcome=""):
    """Delivers `message` twice and returns the reason in the report. Checks that nothing else has
    changed, and that only one report was triggered."""
    before = journal_bytes(world)
    world.retained[TOPIC] = message
    world.reports.clear()
    turns, reports = [], []

    def done(_):
        said = world.reports and (
            model(world)["outcome"] == outcome if outcome else world.reports[-1]["refused"]
        )
        turns.extend([1] if said else [])
        if len(turns) == 50:
            reports.append(len(world.reports))
            world.deliver(TOPIC, message)
        return len(turns) > 100

    assert asyncio.run(live(world, done)), "the report never named a reason"
    assert len(world.reports) == reports[0]
    assert journal_bytes(world) == before
    state = model(world)
    assert (state["release"], state["state"]) == (1, "idle")
    if outcome:
        return state["reason"]
    assert (state["outcome"], state["seq"]) == ("SUCCEEDED", 5)
    return world.reports[-1]["refused"]


def journal_bytes(world):
    found = b""
    for number in (0, 1):
        with open(f"{world.folder}/digits.{number}", "rb") as file:
            found += file.read()
    return found


def resigned(release, seq, change, key=ORDER_KEY):
    """Returns an order whose payload was changed by `change` (bytes to bytes), with valid
    signatures."""
    document = signing.order_document(release, seq)
    payload = change(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    signature = key.sign(dsse.signed_bytes("order", payload))
    return dsse.write("order", payload, [(key.id, signature)]) + b"\n" + release.envelope


def judge(case):
    """Judges a message as the agent does, but without other tasks between the checks."""

    async def never_wait():
        pass

    with contextlib.suppress(StopIteration):
        checks.judge(case, never_wait).send(None)


def is_taken(message, wall=signing.ISSUED):
    """Whether a device without any earlier order would accept this one."""
    try:
        case = Case(message, "digits", DEVICE, new_record(), lambda: signing.ROOM, (), wall, True)
        judge(case)
    except checks.OrderRefused:
        return False
    return True


@pytest.mark.slow
def test_no_flip_of_any_byte_of_an_order_is_accepted():
    """Every byte position, of the order and of its manifest, three flips each."""
    message = signing.order(NEW, 6)
    assert is_taken(message)
    for position in range(len(message)):
        for mask in (0x01, 0x20, 0x80):
            flipped = bytearray(message)
            flipped[position] ^= mask
            assert not is_taken(bytes(flipped)), (position, mask)


UNPROVEN = {
    "empty line": (b"\n" + NEW.envelope, "envelope"),
    "one line": (signing.order(NEW, 6).split(b"\n")[0], "lines: the message has 1 lines"),
    "three lines": (signing.order(NEW, 6) + b"\n{}", "lines: the message has 3 lines"),
    "too long": (b"x" * 9000, "lines: the message has 9000 bytes, the limit is 8193"),
    "a line of 4,097 bytes": (b"x" * 4097 + b"\n" + NEW.envelope, "envelope: 4097 bytes"),
    "8,000 brackets": (b"[" * 4000 + b"\n" + b"[" * 4000, "envelope: not the DSSE template"),
    "root in place of the order": (
        signing.root_envelope() + b"\n" + NEW.envelope,
        "kind: a root instead of an order",
    ),
    "lines swapped": (
        b"\n".join(reversed(signing.order(NEW, 6).split(b"\n"))),
        "kind: a manifest instead of an order",
    ),
    "unknown key": (signing.order(NEW, 6, key=STRANGER), "signed: signatures: 0 of the 1"),
    "manifest of another release": (
        signing.order(NEW, 6).split(b"\n")[0] + b"\n" + OLD.envelope,
        "paired: the second line is not the manifest",
    ),
    "manifest signed by the controller": (
        signing.order(NEW, 6).split(b"\n")[0]
        + b"\n"
        + signing.envelope(words.MANIFEST, NEW.document, ORDER_KEY),
        "paired: signatures: 0 of the 1",
    ),
    "signed by the release key": (signing.order(NEW, 6, key=RELEASE_KEY), "signed:"),
    "lower sequence": (
        signing.order(NEW, 4),
        "sequence: order 4 of epoch 0 is older than order 5 ",
    ),
    "equal sequence, other bytes": (
        signing.order(NEW, 5),
        "sequence: another order 5 was taken already",
    ),
    "epoch above the root's": (
        signing.order(NEW, 6, epoch=1),
        "sequence: the order is of epoch 1, ",
    ),
    "another fleet": (
        signing.order(NEW, 6, fleet="other"),
        "addressed: the order is for fleet other, not demo",
    ),
    "another target": (
        signing.order(NEW, 6, target="esp32"),
        "addressed: the order is for target esp32, not linux-cpu",
    ),
    "another model": (
        signing.order(NEW, 6, model="faces"),
        "addressed: the order is for model faces, not digits",
    ),
    "another slot": (
        signing.order(NEW, 6, slots=[[(DEVICE.slot + 1) % 1000] * 2]),
        "addressed: the order is not for slot ",
    ),
    "all slots but its own": (
        signing.order(NEW, 6, **signing.bitmap(set(range(1000)) - {DEVICE.slot})),
        "addressed: the order is not for slot ",
    ),
    "bitmap in format 1": (
        signing.order(NEW, 6, **{**signing.bitmap(range(1000)), "v": 1}),
        "fields: order.slots: slot ranges are of format 1, a bitmap is of format 2",
    ),
    "ranges in format 2": (signing.order(NEW, 6, v=2), "fields: order.slots: "),
    "bitmap without a slot": (signing.order(NEW, 6, **signing.bitmap([])), "fields: order.slots: "),
    "size -1 in seq": (resigned(NEW, 6, lambda p: p.replace(b'"seq":6', b'"seq":-1')), "fields:"),
    "seq true": (resigned(NEW, 6, lambda p: p.replace(b'"seq":6', b'"seq":true')), "fields:"),
    "seq 007": (resigned(NEW, 6, lambda p: p.replace(b'"seq":6', b'"seq":007')), "fields:"),
    "seq 1e999": (resigned(NEW, 6, lambda p: p.replace(b'"seq":6', b'"seq":1e999')), "fields:"),
    "duplicate key": (
        resigned(NEW, 6, lambda p: p.replace(b'"seq":6', b'"seq":6,"seq":7')),
        "fields: the key at byte ",
    ),
    "unknown field": (
        resigned(NEW, 6, lambda p: p.replace(b'"seq":6', b'"seq":6,"x":1')),
        "fields: order.x: an unknown field; order v 2 is read here; update the agent",
    ),
    "format of next year": (
        signing.order(NEW, 6, v=3, condition="only at night"),
        "fields: order.v: 3 is a newer format; order v 2 is read here; update the agent",
    ),
    "file url": (signing.order(NEW, 6, urls=["file:///etc"]), "fields: order.urls[0]"),
    "user in url": (signing.order(NEW, 6, urls=["http://u:p@h/"]), "fields: order.urls[0]"),
}


@pytest.mark.parametrize("name", UNPROVEN)
def test_message_that_proves_nothing_is_noted_and_changes_nothing(world, name):
    message, reason = UNPROVEN[name]
    assert refusal(world, message).startswith(reason)


def rejected(name, message, reason, **setting):
    return pytest.param(message, reason, setting, id=name)


@pytest.mark.parametrize(
    ("message", "reason", "setting"),
    [
        rejected(
            "expired",
            signing.order(NEW, 6, issued=signing.ISSUED - 9, expires=signing.ISSUED + 1),
            "time: the order expired ",
        ),
        rejected(
            "not yet valid",
            signing.order(NEW, 6, issued=signing.ISSUED + 5000),
            "time: the order becomes valid in ",
        ),
        rejected(
            "manifest for another target",
            signing.order(other := signing.Release(7, b"m", target="esp32"), 6, target="linux-cpu"),
            "manifest: it is for target esp32, but the order is for linux-cpu",
        ),
        rejected(
            "RAM short by one byte",
            signing.order(NEW, 6),
            "fit: ram: 1 bytes missing (needs 1000, has 999)",
            ram=999,
        ),
        rejected(
            "unknown runtime",
            signing.order(
                signing.Release(8, b"m", needs={**NEW.document["needs"], "runtime": "onnx"}), 6
            ),
            "fit: runtime: needs onnx, has tflite 2.14.0",
        ),
        rejected(
            "none of the providers that the release allows",
            signing.order(
                signing.Release(8, b"m", v=2, loading={"providers": ["tensorrt", "cuda"]}), 6
            ),
            "fit: providers: needs tensorrt or cuda, has none",
        ),
        rejected(
            "manifest in a format of next year",
            signing.order(signing.Release(9, b"m", v=3), 6),
            "manifest: manifest.v: 3 is a newer format; manifest v 2 is read here; update the "
            "agent",
        ),
        rejected(
            "manifest with a condition of next year",
            signing.order(signing.Release(9, b"m", condition="only at night"), 6),
            "manifest: manifest.condition: an unknown field; manifest v 2 is read here",
        ),
        rejected("shadow", signing.order(NEW, 6, shadow=True), "fit: shadow"),
    ],
)
def test_authentic_order_that_is_not_for_this_device_is_rejected(world, message, reason, setting):
    for name, value in setting.items():
        setattr(world, name, value)
    assert refusal(world, message, "REJECTED").startswith(reason)


def test_checks_stand_in_the_order_in_which_their_page_tells_them():
    told = [line.split()[0] for line in checks.__doc__.split("\n\n")[1].splitlines() if line]
    rows = [line for line in told if line in {check.name for check in checks.CHECKS}]
    assert rows == [check.name for check in checks.CHECKS]


@pytest.mark.parametrize(
    "name", ["manifest of another release", "manifest signed by the controller"]
)
def test_order_that_a_stranger_has_sent_with_another_manifest_first_is_taken(world, name):
    """Whoever has only the broker must not make a device REJECT an order."""
    assert refusal(world, UNPROVEN[name][0]).startswith("paired")
    world.retained[TOPIC] = UNPROVEN[name][0]

    def done(update):
        if world.reports and world.reports[-1]["refused"].startswith("paired"):
            world.deliver(TOPIC, signing.order(NEW, 6))
        return bool(world.reports) and model(world)["seq"] == 6 and model(world)["release"] == 2

    world.reports.clear()
    assert asyncio.run(live(world, done))
    assert all(r["models"]["digits"]["outcome"] != "REJECTED" for r in world.reports)


def test_nothing_of_an_order_is_proven_before_its_two_lines_are_and_all_is_after_it():
    """Else a replay would get an outcome, or an authentic order none."""
    names = [check.name for check in checks.CHECKS]
    proven = [check.name for check in checks.CHECKS if check.proven]
    assert proven == names[names.index("paired") + 1 :]
    assert all(check.proven for check in checks.CHECKS if check.passing)


def test_what_a_newer_root_the_clock_or_free_memory_changes_is_judged_again_later():
    passing = [check.name for check in checks.CHECKS if check.passing]
    assert passing == ["root", "time", "minimum", "fit"]


def test_order_that_is_under_way_is_asked_again_who_signed_it_and_for_whom():
    asked = [check.name for check in checks.CHECKS if check.resumed]
    again = ("manifest", "minimum")  # a newer root may say something else of both
    assert asked == [c.name for c in checks.CHECKS if not c.proven or c.name in again]


def test_longest_reasons_fit_a_report():
    """With names, numbers and times at their limits."""
    name, other = "a" * MAX_NAME, "b" * MAX_NAME
    device = Enrolment(name, name, signing.root(fleet=name, epoch=MAX_EPOCH))
    device.root.update(minimum={name: 2**31 - 1}, expires=1)
    taken = {"epoch": MAX_EPOCH, "seq": MAX_SEQ, "sha256": "f" * 64}
    late = {**new_record(), "order": taken, "time": MAX_TIME}
    early = {**late, "order": {**taken, "seq": 10**15}, "time": 0}
    order = signing.order_document(NEW, MAX_SEQ - 1)
    order.update(fleet=name, model=name, target=name, epoch=MAX_EPOCH, issued=MAX_TIME)
    manifest = {**NEW.document, "fleet": name, "model": name, "target": other}
    line = signing.envelope(words.MANIFEST, manifest, RELEASE_KEY)
    for check, changes, record in (
        ("addressed", {"fleet": other}, late),
        ("addressed", {"target": other}, late),
        ("addressed", {"device": other}, late),
        ("sequence", {}, late),
        ("sequence", {"epoch": MAX_EPOCH - 1}, late),
        ("sequence", {"seq": MAX_SEQ}, early),
        ("root", {}, late),
        ("time", {"expires": 1}, late),
        ("time", {"expires": MAX_TIME + 1}, early),
        ("minimum", {}, late),
        ("manifest", {"manifest": dsse.read(line).digest()}, late),
    ):
        case = Case(b"", name, device, record, lambda: signing.ROOM)
        case.order, case.manifest = {**order, **changes}, NEW.document
        case.envelopes = [None, dsse.read(line)]
        row = next(row for row in checks.CHECKS if row.name == check)
        with pytest.raises(ValueError, match=" ") as refused:
            row.check(case)
        assert len(str(checks.OrderRefused(row, str(refused.value)))) <= MAX_TEXT, check


def test_what_a_newer_controller_lets_be_ignored_is_ignored(world):
    release = signing.Release(2, b"new model " * 300, extra={"site": "north"})
    assert is_taken(signing.order(release, 6, extra={"battery": {"least_percent": 20}}))
    assert not is_taken(signing.order(release, 6, extra={"battery": {"a": {"b": 1}}}))


def test_bitmap_with_its_own_slot_is_taken(world):
    assert is_taken(signing.order(NEW, 6, **signing.bitmap([DEVICE.slot])))
    assert is_taken(signing.order(NEW, 6, **signing.bitmap(range(1000))))


def test_extra_of_a_manifest_takes_no_memory_in_an_update():
    release = signing.Release(2, b"new model " * 300, extra={"reliability_n": [10**9] * 16})
    message = signing.order(release, 6)
    case = Case(message, "digits", DEVICE, new_record(), lambda: signing.ROOM, wall=signing.ISSUED)
    judge(case)
    assert case.manifest["release"] == 2
    assert "extra" not in case.manifest


@pytest.mark.parametrize(
    ("signed", "known"), [(50_000, 50_000), (True, 0), ("50", 0), ([1] * 16, 0), (None, 0)]
)
def test_only_a_number_is_taken_from_a_manifests_extra_as_its_limit(signed, known):
    extra = {"latency_limit_us": signed} if signed is not None else {}
    message = signing.order(signing.Release(2, b"new model " * 300, extra=extra), 6)
    case = Case(message, "digits", DEVICE, new_record(), lambda: signing.ROOM, wall=signing.ISSUED)
    judge(case)
    assert (case.manifest["limit_us"], type(case.manifest["limit_us"])) == (known, int)


def test_report_says_which_formats_are_read(world):
    assert asyncio.run(live(world, lambda _: world.reports))
    reads = {"root": 2, "manifest": 2, "order": 2, "heartbeat": 1, "delta": 2}
    assert world.reports[-1]["reads"] == reads


def test_order_below_the_least_release_of_the_root_is_rejected():
    root = signing.root(minimum={"digits": 3})
    device = Enrolment(DEVICE.name, DEVICE.target, root)
    case = Case(signing.order(NEW, 6), "digits", device, new_record(), lambda: signing.ROOM)
    with pytest.raises(checks.OrderRefused, match="minimum: release 2 is below 3") as refused:
        judge(case)
    assert refused.value.check.proven


def test_payload_sent_first_under_a_bad_signature_does_not_spoil_the_order(world):
    good = signing.order(NEW, 6)
    assert refusal(world, signing.order(NEW, 6, key=STRANGER)).startswith("signed")

    def done(update):
        if world.deliver and world.reports:
            world.deliver(TOPIC, good)
        return world.reports and model(world)["release"] == 2

    assert asyncio.run(live(world, done))


def test_file_that_is_not_what_was_signed_fails_and_changes_nothing(world):
    name = NEW.document["files"][0]["sha256"]
    world.files[name] = b"x" * NEW.document["files"][0]["size"]
    world.retained[TOPIC] = signing.order(NEW, 6)
    assert asyncio.run(live(world, lambda _: world.reports and model(world)["outcome"] == "FAILED"))
    assert model(world)["reason"] == "download: model: its sha256 is not the one that was signed"
    assert model(world)["release"] == 1


def test_file_longer_than_signed_is_cut_off_before_a_byte_too_many(world):
    name = NEW.document["files"][0]["sha256"]
    world.files[name] += b"x" * 100_000
    world.retained[TOPIC] = signing.order(NEW, 6)
    assert asyncio.run(live(world, lambda _: world.reports and model(world)["outcome"] == "FAILED"))
    assert "more than the 3000 bytes signed" in model(world)["reason"]
    assert world.fetched < 4 * 5000 + 20_000


def test_missing_file_fails_with_the_server_s_words(world):
    del world.files[NEW.document["files"][0]["sha256"]]
    world.retained[TOPIC] = signing.order(NEW, 6)
    assert asyncio.run(live(world, lambda _: world.reports and model(world)["outcome"] == "FAILED"))
    assert model(world)["reason"] == "download: 404 Not Found, after 0 of 3000 bytes"
    assert model(world)["state"] == "fetching"  # it goes on trying


def test_newer_order_cancels_the_one_under_way(world):
    world.retained[TOPIC] = signing.order(NEW, 6, trial={"seconds": 0, "inferences": 10})
    later = signing.order(OLD, 7)

    def done(update):
        if update.record["state"] == "trial":
            world.deliver(TOPIC, later)
        return world.reports and model(world)["seq"] == 7 and model(world)["outcome"]

    assert asyncio.run(live(world, done))
    seen = [(r["models"]["digits"]["seq"], r["models"]["digits"]["outcome"]) for r in world.reports]
    assert (7, "SUCCEEDED") in seen
    assert model(world)["release"] == 1


def test_failed_inference_on_trial_rolls_back_and_blacklists(world):
    world.retained[TOPIC] = signing.order(NEW, 6, trial={"seconds": 0, "inferences": 10})

    def done(update):
        if update.record["state"] == "trial":
            update.observe(2, 1, 1)
        return world.reports and model(world)["outcome"] == "ROLLED_BACK"

    assert asyncio.run(live(world, done))
    assert model(world)["reason"].endswith("inferences on trial failed")
    assert world.durable()["blacklist"] == [NEW.digest]
    assert refusal(world, signing.order(NEW, 9), "REJECTED").startswith("blacklist")


def fails_on_trial(world, order, seq):
    """Delivers the order, and lets an inference fail on trial."""
    world.retained[TOPIC] = order

    def done(update):
        if update.record["state"] == "trial":
            update.observe(2, 1, 1)
        return world.reports and model(world)["seq"] == seq and model(world)["outcome"]

    assert asyncio.run(live(world, done))
    return model(world)["outcome"]


WAITS = {"seconds": 0, "inferences": 10}
LIFTS = {"lift_ban": True}


def test_order_that_lifts_the_ban_is_taken_and_the_ban_is_durably_gone(world):
    assert fails_on_trial(world, signing.order(NEW, 6, trial=WAITS), 6) == "ROLLED_BACK"
    assert refusal(world, signing.order(NEW, 7), "REJECTED").startswith("blacklist")
    world.files.clear()  # so that it is under way for as long as this test looks
    world.retained[TOPIC] = signing.order(NEW, 8, extra=LIFTS)
    assert asyncio.run(live(world, lambda update: update.record["order"]["seq"] == 8))
    assert world.durable()["blacklist"] == []
    world.files.update(NEW.files)
    done = lambda _: world.reports and model(world)["release"] == 2  # noqa: E731
    assert asyncio.run(live(world, done))


def test_release_that_fails_again_is_banned_again_and_the_same_order_does_not_retry_it(world):
    assert fails_on_trial(world, signing.order(NEW, 6, trial=WAITS), 6) == "ROLLED_BACK"
    again = signing.order(NEW, 7, trial=WAITS, extra=LIFTS)
    assert fails_on_trial(world, again, 7) == "ROLLED_BACK"
    assert world.durable()["blacklist"] == [NEW.digest]
    before, fetched = journal_bytes(world), world.fetched
    turns = []

    def done(_):
        turns.append(world.deliver and world.deliver(TOPIC, again))
        return len(turns) > 300

    assert asyncio.run(live(world, done))
    assert (journal_bytes(world), world.fetched) == (before, fetched)
    assert refusal(world, signing.order(NEW, 8), "REJECTED").startswith("blacklist")


def test_lifting_one_ban_leaves_the_others(world):
    record = {**new_record(), "blacklist": ["m1", NEW.digest, "m3"]}
    detail = {
        "order": {"epoch": 0, "seq": 9, "sha256": "o"},
        "time": 1,
        "bank": {"manifest": NEW.digest},
        "lift_ban": True,
    }
    assert machine.step(record, "accepted", detail)[0]["blacklist"] == ["m1", "m3"]
    assert machine.step(record, "accepted", {**detail, "lift_ban": False})[0] != record
    kept = machine.step(record, "accepted", {**detail, "lift_ban": None})[0]
    assert kept["blacklist"] == ["m1", NEW.digest, "m3"]


def test_trial_whose_order_allows_a_share_of_failures_goes_on_after_one(world):
    order = signing.order(
        NEW, 6, trial={"seconds": 0, "inferences": 100}, extra={"max_failed_ppm": 20_000}
    )
    world.retained[TOPIC] = order

    def done(update):
        if update.record["state"] == "trial":
            update.observe(2, 10, 1 if update.work.progress.trial.inferences < 10 else 0)
        return world.reports and model(world)["seq"] == 6 and model(world)["outcome"]

    assert asyncio.run(live(world, done))
    assert (model(world)["outcome"], model(world)["release"]) == ("SUCCEEDED", 2)


def test_journal_that_cannot_be_written_stops_the_step_and_says_so(world, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tests.agent.fakes.FakeJournal.write", full)
    fetched = world.fetched
    world.retained[TOPIC] = signing.order(NEW, 6)
    assert asyncio.run(live(world, lambda _: world.reports and world.reports[-1]["refused"]))
    assert world.reports[-1]["refused"].startswith("journal: [Errno 28]")
    assert (model(world)["release"], model(world)["state"]) == (1, "idle")
    assert world.fetched == fetched


def test_journal_that_can_be_written_again_goes_on_with_the_step(world, monkeypatch):
    """The order would not come again before the next connection."""
    write, failures = FakeJournal.write, [OSError(28, "No space left on device")] * 2

    def full_for_a_while(journal, record):
        if failures:
            raise failures.pop()
        write(journal, record)

    monkeypatch.setattr(FakeJournal, "write", full_for_a_while)
    world.retained[TOPIC] = signing.order(NEW, 6)
    assert asyncio.run(live(world, lambda _: world.reports and model(world)["release"] == 2))
    assert not failures


@pytest.mark.parametrize("told", ["", "its package is not what was signed"])
def test_damaged_live_bank_falls_back_and_takes_the_same_order_again(world, monkeypatch, told):
    """Also if what starts the agent has hashed its bank before, and tells so."""
    world.retained[TOPIC] = signing.order(NEW, 6)
    assert asyncio.run(live(world, lambda _: world.reports and model(world)["release"] == 2))
    bank = "ab"[world.durable()["live"]]
    with open(f"{world.folder}/{bank}.model", "r+b") as file:
        file.write(b"rot")
    world.reports.clear()
    lost = [told]
    monkeypatch.setattr(Ports, "unusable", lambda *_: lost.pop() if lost else "")

    def done(update):
        return update.work.booted.is_set() and update.record["outcome"] == "SUCCEEDED"

    assert asyncio.run(live(world, done))
    assert world.durable()["banks"][world.durable()["live"]]["release"] == 2
    releases = [report["models"]["digits"]["release"] for report in world.reports]
    assert 1 in releases, "the older whole model serves while the newer is fetched again"


def test_order_that_does_not_fit_now_is_taken_when_it_does(world):
    world.ram = 999
    world.retained[TOPIC] = signing.order(NEW, 6)

    def done(_):
        if world.reports and model(world)["outcome"] == "REJECTED":
            world.ram = 100_000  # nobody sends the order again
        return world.reports and model(world)["release"] == 2

    assert asyncio.run(live(world, done))
    assert model(world)["outcome"] == "SUCCEEDED"


@pytest.mark.parametrize("wrong", [-86_400, 2 * 365 * 86_400], ids=["a day behind", "years ahead"])
def test_order_is_taken_once_the_clock_was_set(world, wrong):
    right = world.wall
    world.wall = right + wrong
    later = {"issued": right, "expires": right + 3600}
    world.retained[TOPIC] = signing.order(NEW, 6, **later)

    def done(_):
        if world.reports and model(world)["outcome"] == "REJECTED":
            world.wall = right
        return world.reports and model(world)["release"] == 2

    assert asyncio.run(live(world, done))


def test_clock_behind_what_was_signed_already_is_not_believed(world):
    """A board's clock after a reset: it says nothing, and signed time serves."""
    world.wall, world.is_synchronised = 0, False
    world.retained[TOPIC] = signing.order(NEW, 6)
    assert asyncio.run(live(world, lambda _: world.reports and model(world)["release"] == 2))


def test_order_that_was_replaced_while_it_waited_for_its_turn_is_not_judged_again(world):
    """Else the report would tell of an order that nobody asks for any more."""
    world.ram = 999
    world.retained[TOPIC] = signing.order(NEW, 6)
    begun, turns = [], []

    def done(update):
        if update.inbox.later and not begun:
            world.ram = 100_000
            both = update.consider(signing.order(OLD, 7)), update.consider_again()
            begun.extend(asyncio.create_task(one) for one in both)
        turns.extend([1] if begun and all(task.done() for task in begun) else [])
        return len(turns) > 50  # until all is reported

    assert asyncio.run(live(world, done))
    assert (model(world)["seq"], world.reports[-1]["refused"]) == (7, "")


def test_order_is_taken_from_five_minutes_before_it_was_signed_until_it_expires():
    """A host's clock is seldom right to the second."""
    message = signing.order(NEW, 6)
    assert is_taken(message, signing.ISSUED - 300)
    assert not is_taken(message, signing.ISSUED - 301)
    assert is_taken(message, signing.EXPIRES - 1)
    assert not is_taken(message, signing.EXPIRES)


def test_newer_order_that_is_refused_for_good_ends_the_waiting_for_an_older_one(world):
    world.ram = 999
    older = signing.order(NEW, 6)
    world.retained[TOPIC] = older
    other = signing.Release(3, b"for a board", target="esp32")
    newer = signing.order(other, 7, target="linux-cpu")

    def done(update):
        if update.inbox.later:
            world.deliver(TOPIC, newer)
        return world.reports and "target" in model(world)["reason"] and update.inbox.later is None

    assert asyncio.run(live(world, done))


def test_what_a_stranger_sends_does_not_end_the_waiting_for_an_order(world):
    """The broker does not send the order again: it would wait for the next connection."""
    world.ram = 999
    world.retained[TOPIC] = signing.order(NEW, 6)
    forged, refused = signing.order(NEW, 7, key=STRANGER), []

    def done(update):
        if update.inbox.later and not refused:
            world.deliver(TOPIC, forged)
            refused.append(len(update.inbox.judged))
        if refused and len(update.inbox.judged) > refused[0]:
            world.retained.clear()
            world.ram = 100_000
        return world.reports and model(world)["release"] == 2

    assert asyncio.run(live(world, done))


def test_order_is_judged_again_if_the_device_has_changed_meanwhile(world, monkeypatch):
    """The release fails on trial while another order for it is verified, which takes a board
    seconds: it is banned by then."""
    world.retained[TOPIC] = signing.order(NEW, 6, trial=WAITS)
    breathe, asked = FakeClock.breathe, []

    async def slowly(clock):
        await breathe(clock)
        for _ in range(200):
            if not asked or asked[0].record["state"] != "trial":
                break
            await asyncio.sleep(0)

    monkeypatch.setattr(FakeClock, "breathe", slowly)

    def done(update):
        if update.record["state"] == "trial" and not asked:
            asked.append(update)
            world.deliver(TOPIC, signing.order(NEW, 7))
        elif asked and update.turn.locked():
            update.observe(2, 1, 1)
        return world.reports and model(world)["seq"] == 7 and model(world)["outcome"]

    assert asyncio.run(live(world, done))
    assert model(world)["outcome"] == "REJECTED"
    assert model(world)["reason"].startswith("blacklist")
    assert world.durable()["blacklist"] == [NEW.digest]


def test_fault_in_a_part_of_the_agent_ends_it(world, monkeypatch):
    def broken(*_):
        raise KeyError("a fault")

    monkeypatch.setattr("modelwave_agent.runner.Agent.state", broken)
    with pytest.raises(KeyError, match="a fault"):
        asyncio.run(world.boot()[0].run())


@pytest.fixture
def verified(monkeypatch):
    """The envelopes that were verified."""
    found = []
    verify = dsse.Envelope.verify

    def counted(self, *arguments):
        found.append(self)
        return verify(self, *arguments)

    monkeypatch.setattr(dsse.Envelope, "verify", counted)
    return found


def test_what_was_refused_is_not_verified_again(world, verified):
    """A stranger who repeats a message must not keep a board at verifying it."""
    refusal(world, signing.order(NEW, 6, fleet="other"))  # which hands it over twice
    assert len(verified) == 1


def test_of_many_that_were_refused_the_latest_are_not_verified_again(world, verified):
    async def judged():
        _, update = world.boot()
        for seq in range(6, 6 + 2 * MAX_JUDGED):
            for _ in range(2):
                await update.inbox.judge(signing.order(NEW, seq, fleet="other"))

    asyncio.run(judged())
    assert len(verified) == 2 * MAX_JUDGED
