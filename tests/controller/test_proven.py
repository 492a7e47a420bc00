"""Tests that messages count only from the device that proves them, where the fleet says so: not
those of somebody else who has the broker, and not those that were sent before."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import commands
from rollout_world import FLEET, TARGET, Device, World, newest, quick
from sqlalchemy import func, select

from modelwave_controller.storage import devices as stored
from modelwave_controller.storage import (
    enrolled,
    forgetting,
    messages,
    proven_numbers,
    tables,
    windows,
)
from modelwave_controller.storage.enrolled import Enrolled
from modelwave_controller.storage.installs import LATE, NEWER, OLDER, REPLACED, SAME, Heard
from modelwave_controller.storage.proven import (
    BARE,
    FORGED,
    REPLAYED,
    REQUIRE,
    SHOW,
    STRANGER,
    Policy,
)
from modelwave_controller.storage.proven_numbers import (
    FLOOR_SECONDS,
    MARK_SECONDS,
    MAX_REPLACED,
    judge_report,
    judge_window,
    load,
)
from modelwave_controller.trust.report_keys import device_report_key
from modelwave_shared import proofs, topics
from modelwave_shared.limits import MAX_SEQ

MASTER = bytes(range(32))
A, B, C = "a" * 16, "b" * 16, "c" * 16
DAY = 86400.0
Topic = Any


def sealed(name: str, payload: bytes, topic: Topic = topics.reported, key: bytes = b"") -> bytes:
    key = key or device_report_key(MASTER, name, 1)
    return bytes(proofs.sealed(key, topic(FLEET, name), payload))


class NamedDevice(Device):
    """A device with a report key."""

    def report(self, **changes: Any) -> bytes:
        return sealed(self.name, super().report(**{"install": A} | changes))

    def forged(self, **changes: Any) -> bytes:
        """A report as somebody without its key would write it."""
        return super().report(install=A, **changes)

    def window(self, **changes: Any) -> bytes:
        self.n += 1
        document = {
            "boot": self.boot,
            "n": self.n,
            "install": A,
            "model": "digits",
            "release": 1,
            "inferences": 100,
            "failures": 1,
            "labelled": 10,
            "correct": 9,
            "window": self.n,
            "seconds": 900,
            "age_seconds": 0,
        }
        return json.dumps(document | changes).encode()


class NamedWorld(World):
    def __init__(self, folder: Path, proof: str, devices: int) -> None:
        super().__init__(folder)
        self.writer.policy = Policy(proof, MASTER)
        self.named = [NamedDevice(f"d{number}", TARGET) for number in range(devices)]
        self.devices = {device.name: device for device in self.named}
        self.enrol([device.name for device in self.named])
        self.hear(self.named)

    def enrol(self, names: Sequence[str], generation: int = 1, revoked_at: float = 0) -> None:
        rows = [Enrolled(name, TARGET, generation, "", 1.0, revoked_at, 0) for name in names]
        with self.store.write() as connection:
            enrolled.put(connection, rows)

    def send(self, topic: Topic, name: str, payload: bytes) -> None:
        self.inbox.put(topic(FLEET, name), payload)
        self.hear([])

    def report(self, name: str, payload: bytes) -> None:
        self.send(topics.reported, name, payload)

    def unproven(self) -> dict[str, tuple[int, str]]:
        with self.store.read() as connection:
            rows = connection.execute(select(tables.unproven))
            return {row.device: (row.count, row.reason) for row in rows}

    def stored(self, name: str) -> Any:
        with self.store.read() as connection:
            query = select(tables.devices).where(tables.devices.c.device == name)
            return connection.execute(query).one()

    def inferences(self) -> int:
        with self.store.read() as connection:
            return connection.scalar(select(func.sum(tables.metrics.c.inferences))) or 0


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[NamedWorld]:
    with closing(NamedWorld(tmp_path, REQUIRE, 10)) as made:
        yield made


@pytest.fixture
def lenient(tmp_path: Path) -> Iterator[NamedWorld]:
    with closing(NamedWorld(tmp_path, SHOW, 3)) as made:
        yield made


# Somebody has the broker, and forges.


def forge(world: NamedWorld, outcome: str, devices: Sequence[NamedDevice]) -> None:
    for device in devices:
        order = world.ordered(device)
        if order is not None:
            device.take(order, outcome, "forged")
            world.report(device.name, device.forged())


def test_forged_succeeded_opens_no_gate(strict: NamedWorld) -> None:
    strict.start(1, quick(10, 50, 100))
    strict.tick()
    forge(strict, "SUCCEEDED", strict.named)
    strict.now += 50
    strict.tick()
    assert len(newest(strict).stages) == 1
    strict.answer("SUCCEEDED", strict.named)
    strict.tick()
    assert len(newest(strict).stages) == 2


def test_forged_rolled_back_takes_nothing_back(strict: NamedWorld) -> None:
    strict.start(1, quick(100))
    strict.tick()
    forge(strict, "ROLLED_BACK", strict.named)
    strict.tick()
    assert newest(strict).back is None
    strict.answer("ROLLED_BACK", strict.named)
    strict.tick()
    assert newest(strict).back is not None


def test_forged_window_is_not_counted(strict: NamedWorld) -> None:
    device = strict.named[0]
    strict.send(topics.metrics, "d0", device.window(failures=100))
    assert strict.inferences() == 0
    strict.send(topics.metrics, "d0", sealed("d0", device.window(), topics.metrics))
    assert strict.inferences() == 100


def test_what_is_not_proven_is_counted_with_its_reason(strict: NamedWorld) -> None:
    device = strict.named[0]
    strict.report("d0", device.forged())
    assert strict.unproven() == {"d0": (1, BARE)}
    strict.report("d0", sealed("d0", device.forged(), key=bytes(32)))
    assert strict.unproven() == {"d0": (2, FORGED)}


def test_stranger_without_a_proof_does_not_become_a_device(strict: NamedWorld) -> None:
    strict.report("x1", NamedDevice("x1").forged())
    with strict.store.read() as connection:
        assert not stored.is_known(connection, "x1")
    assert list(strict.unproven()) == ["x1"]


def test_forged_high_number_does_not_silence_the_device(lenient: NamedWorld) -> None:
    """While proofs are only shown, a forged report counts; what is proven later counts again."""
    device = lenient.named[0]
    lenient.report("d0", device.forged(boot=MAX_SEQ, agent="forged"))
    assert lenient.stored("d0").agent == "forged"
    lenient.writer.policy = Policy(REQUIRE, MASTER)
    lenient.report("d0", device.report())
    assert lenient.stored("d0").agent == "test"


# Somebody has the broker, and sends messages again.


def test_report_that_was_sent_before_is_refused(strict: NamedWorld) -> None:
    device = strict.named[0]
    old, new = device.report(agent="old"), device.report(agent="new")
    for payload in (old, new, old):
        strict.report("d0", payload)
    assert strict.stored("d0").agent == "new"
    assert strict.unproven() == {"d0": (1, REPLAYED[OLDER])}


def test_same_report_once_more_changes_nothing(strict: NamedWorld) -> None:
    payload = strict.named[0].report()
    strict.report("d0", payload)
    before = strict.stored("d0")
    strict.report("d0", payload)
    assert strict.stored("d0") == before
    assert strict.unproven() == {}


@pytest.mark.parametrize("silent_days", [0, 30])
def test_report_of_a_replaced_install_is_refused_for_ever(
    strict: NamedWorld, silent_days: int
) -> None:
    device = strict.named[0]
    kept = device.report(boot=9, n=9, agent="kept back")  # the broker did not pass it on
    strict.report("d0", device.report(install=B, boot=1, agent="newer"))
    assert strict.stored("d0").replaced_at == strict.now
    strict.now += silent_days * DAY
    strict.tick()
    strict.report("d0", kept)
    assert strict.stored("d0").agent == "newer"
    assert strict.unproven() == {"d0": (1, REPLAYED[LATE])}


def test_report_of_another_device_is_refused(strict: NamedWorld) -> None:
    strict.report("d0", strict.devices["d1"].report(agent="d1"))
    assert strict.stored("d0").agent == "test"
    assert strict.unproven() == {"d0": (1, FORGED)}


def test_report_is_no_window_and_a_window_is_no_report(strict: NamedWorld) -> None:
    device = strict.named[0]
    strict.send(topics.metrics, "d0", sealed("d0", device.window(), topics.reported))
    strict.report("d0", sealed("d0", device.forged(), topics.metrics))
    assert strict.inferences() == 0
    assert strict.unproven() == {"d0": (2, FORGED)}


def fold(strict: NamedWorld) -> None:
    strict.writer._folding._due = None
    strict.writer._folding.step(0)
    strict.writer._folding.step(100)


def windows_left(strict: NamedWorld) -> int:
    with strict.store.read() as connection:
        found: int = connection.execute(
            select(func.count()).select_from(tables.windows)
        ).scalar_one()
        return found


def test_window_sent_again_counts_once_now_and_after_it_was_folded(strict: NamedWorld) -> None:
    device = strict.named[0]
    window = sealed("d0", device.window(), topics.metrics)
    for _ in range(2):
        strict.send(topics.metrics, "d0", window)
    for _ in range(60):  # hours
        strict.now += 3600
        strict.tick()
        strict.report("d0", device.report())
        fold(strict)
    assert windows_left(strict) == 0
    strict.send(topics.metrics, "d0", window)
    assert strict.inferences() == 100
    assert strict.unproven()["d0"][1].startswith("a replay: a window sent again")


def test_last_window_of_a_device_that_fell_silent_is_counted_once_too(strict: NamedWorld) -> None:
    """Nothing newer came that would raise the floor above it."""
    window = sealed("d0", strict.named[0].window(), topics.metrics)
    strict.send(topics.metrics, "d0", window)
    for _ in range(60):  # hours
        strict.now += 3600
        strict.tick()
    fold(strict)
    assert windows_left(strict) == 0
    strict.send(topics.metrics, "d0", window)
    assert strict.inferences() == 100


# Proofs are only shown.


def test_what_is_not_proven_counts_while_proofs_are_only_shown(lenient: NamedWorld) -> None:
    device = lenient.named[0]
    lenient.report("d0", device.forged(agent="without a key"))
    lenient.send(topics.metrics, "d0", device.window())
    assert lenient.stored("d0").agent == "without a key"
    assert lenient.inferences() == 100
    assert lenient.unproven() == {"d0": (2, BARE)}


def test_fleet_that_does_not_ask_for_proofs_takes_both_forms(tmp_path: Path) -> None:
    with closing(NamedWorld(tmp_path, "off", 1)) as world:
        device = world.named[0]
        world.report("d0", device.forged(agent="without"))
        assert world.stored("d0").agent == "without"
        world.report("d0", device.report(agent="with"))
        assert world.stored("d0").agent == "with"
        assert world.unproven() == {}


@pytest.mark.parametrize("generation", [1, 0])
def test_device_that_is_not_enrolled_proves_nothing(strict: NamedWorld, generation: int) -> None:
    if not generation:
        strict.enrol(["x1"], generation)  # approved only
    strict.report("x1", sealed("x1", NamedDevice("x1").forged()))
    assert strict.unproven() == {"x1": (1, STRANGER)}


def test_device_that_was_enrolled_anew_proves_by_its_new_key_alone(strict: NamedWorld) -> None:
    device = strict.named[0]
    strict.report("d0", device.report(install=B, agent="of another install"))
    strict.report("d0", device.report(agent="of the first install again"))
    assert strict.unproven() == {"d0": (1, REPLAYED[LATE])}
    strict.enrol(["d0"], generation=2)
    strict.report("d0", device.report(agent="by the old key"))
    assert strict.unproven() == {"d0": (2, FORGED)}
    key = device_report_key(MASTER, "d0", 2)
    strict.report("d0", sealed("d0", device.forged(agent="by the new key"), key=key))
    assert strict.stored("d0").agent == "by the new key"


def test_forgotten_device_is_forgotten_with_its_proofs(strict: NamedWorld) -> None:
    strict.report("d0", strict.named[0].forged())
    with strict.store.write() as connection:
        forgetting.forget(connection, "d0")
    with strict.store.read() as connection:
        for table in (tables.proven, tables.unproven):
            assert "d0" not in connection.scalars(select(table.c.device)).all()


# The rules.


def reports(*heard: tuple[str, int, int]) -> list[str]:
    held, found = None, []
    for at, one in enumerate(heard):
        word, held = judge_report(held, Heard(*one), at)
        found.append(word)
    return found


def test_rules_of_reports() -> None:
    assert reports((A, 1, 5), (A, 1, 5), (A, 1, 4), (A, 2, 1)) == [NEWER, SAME, OLDER, NEWER]
    assert reports((A, 9, 9), (B, 1, 1), (A, 10, 1)) == [NEWER, REPLACED, LATE]
    assert reports((A, 9, 9), (B, 1, 1), (C, 1, 1), (A, 10, 1)) == [
        NEWER,
        REPLACED,
        REPLACED,
        LATE,
    ]


def test_many_installs_are_remembered_and_not_without_a_bound() -> None:
    held = None
    for number in range(MAX_REPLACED + 5):
        _, held = judge_report(held, Heard(f"{number:016x}", 1, 1), number)
    assert held is not None
    assert len(held.replaced) == MAX_REPLACED
    assert judge_report(held, Heard(f"{10:016x}", 9, 9), 0)[0] == LATE


def test_numbers_are_read_as_they_were_written() -> None:
    _, held = judge_report(None, Heard(A, 1, 1), 0)
    for hour in range(100):
        _, held = judge_report(held, Heard(A, 1, 2 + hour), 3600.0 * hour)
    _, held = judge_report(held, Heard(B, 1, 1), 1e6)
    assert load(held.dump()) == held


def test_every_window_that_may_be_folded_is_below_the_floor() -> None:
    """Whatever the pauses between a device's messages are: `windows.py` forgets a window
    KEPT_SECONDS after its last document."""
    pauses = (600.0, 3 * 3600.0, MARK_SECONDS - 1, MARK_SECONDS + 1, FLOOR_SECONDS + 1, 5 * DAY)
    for pause in pauses:
        _, held = judge_report(None, Heard(A, 1, 1), 0)
        sent, now = [(0.0, 1)], 0.0
        for n in range(2, 200):
            now += pause
            told, after = judge_window(held, Heard(A, 1, n), now)
            assert told == ""
            assert after is not None
            held = after
            sent.append((now, n))
            for at, number in sent:
                if at < now - windows.KEPT_SECONDS:
                    assert held.floor(now) >= (1, number)
        assert len(held.marks) <= FLOOR_SECONDS / MARK_SECONDS + 3


def test_late_window_of_the_last_day_is_taken_in_whatever_order() -> None:
    _, held = judge_report(None, Heard(A, 1, 1), 0)
    for n in range(2, 300):
        _, held = judge_report(held, Heard(A, 1, 10 * n), 900.0 * n)
    now = 900.0 * 299
    for n in range(299 - 96, 299):  # one day
        assert judge_window(held, Heard(A, 1, 10 * n - 5), now)[0] == ""


def test_window_of_an_install_that_has_not_reported_is_refused() -> None:
    assert judge_window(None, Heard(A, 1, 1), 0)[0] == "of an install that has not reported"
    _, held = judge_report(None, Heard(A, 1, 1), 0)
    _, held = judge_report(held, Heard(B, 1, 1), 0)
    assert judge_window(held, Heard(A, 1, 2), 0)[0] == "of an install that was replaced"
    assert judge_window(held, Heard(C, 1, 2), 0)[0] == "of an install that has not reported"


def test_secret_is_in_no_repr() -> None:
    shown = repr(Policy(REQUIRE, MASTER)) + repr(messages.Seal("t", b"document", b"proof"))
    assert repr(MASTER)[2:-1] not in shown
    assert "proof'" not in shown.replace("proof='require'", "")


def test_floor_is_older_than_a_day() -> None:
    assert DAY < proven_numbers.FLOOR_SECONDS < windows.KEPT_SECONDS - MARK_SECONDS


# What an operator sees.


def test_operator_sees_what_is_not_proven(
    strict: NamedWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    run = commands(strict, capsys)
    settings = strict.home.path / "controller.toml"
    settings.write_text(settings.read_text().replace('proof = "off"', 'proof = "require"'))
    strict.now = time.time()
    assert "not proven" not in run("fleet", "status").out
    assert run("device", "show", "d0", "--json").json()["proven"] is True
    strict.report("d0", strict.named[0].forged())
    assert "1 message not proven: it has no proof" in run("device", "list").out
    shown = run("device", "show", "d0").out
    assert re.search(r"proven +its last report", shown)
    assert re.search(r"not proven +1; .* ago: it has no proof", shown)
    assert run("device", "show", "d0", "--json").json()["unproven"]["count"] == 1
    assert re.search(
        r"doubtful +what came in the last day in the name of d0: it does not count",
        run("fleet", "status").out,
    )


def test_operator_sees_which_devices_are_not_proven_while_proofs_are_only_shown(
    lenient: NamedWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    run = commands(lenient, capsys)
    settings = lenient.home.path / "controller.toml"
    settings.write_text(settings.read_text().replace('proof = "off"', 'proof = "show"'))
    lenient.now = time.time()
    lenient.report("d1", lenient.named[1].forged())
    assert re.search(r"not proven +the last report of 1 device: d1", run("fleet", "status").out)
    assert run("fleet", "status", "--json").json()["in_doubt"] == ["d1"]
    assert [one["proven"] for one in run("device", "list", "--json").json()] == [True, False, True]


def test_fleet_that_asks_for_no_proof_sees_nothing_of_it(
    strict: NamedWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    run = commands(strict, capsys)
    strict.now = time.time()
    strict.report("d0", strict.named[0].forged())
    assert "proven" not in run("device", "list").out + run("fleet", "status").out
