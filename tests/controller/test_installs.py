"""Tests that a replaced device is heard at once, that two devices with one id are found, and that
late, lost and repeated messages of either do no harm."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_world import FLEET, Device, World, quick
from sqlalchemy import select, update
from test_service_reports import answers_in_the_log, put, report, shown, window

from modelwave_controller import cli
from modelwave_controller.operations import overview, rollouts, status
from modelwave_controller.storage import installs, metrics, tables
from modelwave_controller.storage.installs import (
    CLONE,
    CLONE_SECONDS,
    LATE,
    MAX_OTHERS,
    NEWER,
    OLDER,
    REPLACED,
    SAME,
    TAKEN,
    Heard,
    Installs,
    count,
    judge,
)
from modelwave_shared import topics

A, B, C = "a" * 16, "b" * 16, "c" * 16


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=3)) as made:
        yield made


def words(*messages: tuple[str, int, int], silent: float = 0) -> list[str]:
    """Returns what each message is, after the first."""
    held, found = Installs(Heard(*messages[0])), []
    for message in messages[1:]:
        word, held = judge(held, Heard(*message), silent)
        found.append(word)
    return found


def test_within_one_install_the_number_decides() -> None:
    assert words((A, 1, 5), (A, 1, 5), (A, 1, 4), (A, 2, 1)) == [SAME, OLDER, NEWER]
    assert words(("", 1, 5), ("", 1, 5), ("", 1, 4), ("", 2, 1)) == [SAME, OLDER, NEWER]


def test_install_that_is_seen_first_is_taken_whatever_its_number() -> None:
    assert words((A, 50, 9), (B, 1, 1), (B, 1, 2)) == [REPLACED, NEWER]
    assert words(("", 50, 9), (B, 1, 1)) == [REPLACED]


def test_what_the_replaced_device_sent_before_is_late() -> None:
    assert words((A, 50, 9), (B, 1, 1), (A, 50, 9), (A, 50, 8)) == [REPLACED, LATE, LATE]
    assert words(("", 50, 9), (B, 1, 1), ("", 50, 9)) == [REPLACED, LATE]


def test_install_that_comes_back_is_a_clone_until_the_other_one_is_silent() -> None:
    back = ((A, 50, 9), (B, 1, 1), (A, 50, 10))
    assert words(*back) == [REPLACED, CLONE]
    assert words(*back, (A, 50, 10), (A, 50, 11)) == [REPLACED, CLONE, LATE, CLONE]
    assert words(*back, silent=CLONE_SECONDS) == [REPLACED, CLONE]
    assert words(*back, (B, 1, 1), (B, 1, 2), silent=CLONE_SECONDS + 1) == [
        REPLACED,
        REPLACED,
        LATE,
        REPLACED,
    ]


def test_agent_that_is_updated_or_set_back_on_one_state_folder_is_not_replaced() -> None:
    """An old agent keeps the count of resets, and loses the install id."""
    assert words(("", 50, 9), (A, 51, 1), ("", 50, 10)) == [NEWER, OLDER]
    assert words(("", 50, 9), (A, 51, 1), ("", 52, 1), (B, 53, 1)) == [NEWER] * 3


def test_old_agent_that_goes_on_beside_a_new_one_is_a_clone() -> None:
    assert words(("", 50, 9), (A, 1, 1), ("", 50, 10), (A, 1, 2)) == [REPLACED, NEWER, CLONE]


def test_installs_that_are_remembered_are_bounded() -> None:
    held = Installs(Heard(A, 1, 1))
    for number in range(100):
        _, held = judge(held, Heard(f"{number:016x}", 1, 1), 0)
    assert len(held.others) == MAX_OTHERS
    assert len(held.dump_others()) < 500
    assert installs.load(*held.current, held.dump_others()) == held
    # Those that were replaced last: what is late is of them.
    late = [judge(held, Heard(f"{number:016x}", 1, 1), 0)[0] for number in range(91, 99)]
    assert late == [REPLACED, *[LATE] * MAX_OTHERS]


# Interleavings: two devices with one id, of which each is started, reset, wiped, silent.

DEVICES = st.sampled_from([0, 1])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("report"), DEVICES),
        st.tuples(st.just("lost"), DEVICES),
        st.tuples(st.just("reset"), DEVICES),
        st.tuples(st.just("wipe"), DEVICES),
        st.tuples(st.just("repeat"), st.integers(0, 30)),
        st.tuples(st.just("time"), st.sampled_from([60, 900, int(CLONE_SECONDS) + 1])),
    ),
    max_size=60,
)


class Fleet:
    """Two devices with one id, and what the controller holds of them."""

    def __init__(self) -> None:
        self.installs = 0
        self.devices = [self._wiped(), self._wiped()]
        self.sent: list[Heard] = []
        self.held: Installs | None = None
        self.now = self.seen = 0.0
        self.taken: list[tuple[Heard, str]] = []
        self.count: Installs | None = None
        self.counted: list[Heard] = []

    def _wiped(self) -> Heard:
        self.installs += 1
        return Heard(f"{self.installs:016x}", 1, 0)

    def step(self, what: str, which: int) -> str:
        """Returns what the message was, "" if none arrived."""
        if what == "time":
            self.now += which
        elif what == "repeat":
            return self.hear(self.sent[which]) if which < len(self.sent) else ""
        else:
            heard = self.devices[which]
            if what == "wipe":
                self.devices[which] = self._wiped()
            elif what == "reset":
                self.devices[which] = Heard(heard.install, heard.boot + 1, 0)
            else:
                self.devices[which] = Heard(heard.install, heard.boot, heard.n + 1)
                self.sent.append(self.devices[which])
                return self.hear(self.devices[which]) if what == "report" else ""
        return ""

    def hear(self, message: Heard) -> str:
        if (after := count(self.count, message)) is not None:
            self.count = after
            self.counted.append(message)
        if self.held is None:
            word, self.held = NEWER, Installs(message)
        else:
            word, self.held = judge(self.held, message, self.now - self.seen)
        if word in TAKEN:
            self.seen = self.now
            self.taken.append((message, word))
        return word


@given(STEPS)
def test_no_message_is_taken_or_counted_twice_and_no_install_goes_back(
    steps: list[tuple[str, int]],
) -> None:
    fleet = Fleet()
    for step in steps:
        fleet.step(*step)
    for messages in ([message for message, _ in fleet.taken], fleet.counted):
        if fleet.installs <= MAX_OTHERS:
            assert len(set(messages)) == len(messages)
        for install in {message.install for message in messages}:
            numbers = [m.number for m in messages if m.install == install]
            if fleet.installs <= MAX_OTHERS:
                assert numbers == sorted(numbers)


@given(STEPS, DEVICES)
def test_device_that_is_left_alone_is_heard_within_an_hour_and_from_then_on(
    steps: list[tuple[str, int]], left: int
) -> None:
    fleet = Fleet()
    for step in steps:
        fleet.step(*step)
    found = []
    for _ in range(12):
        fleet.step("time", 900)
        found.append(fleet.step("report", left))
    assert found[5:] == [NEWER] * 7


@given(STEPS, DEVICES)
def test_device_that_is_wiped_is_heard_at_once(steps: list[tuple[str, int]], which: int) -> None:
    fleet = Fleet()
    for step in steps:
        fleet.step(*step)
    fleet.step("wipe", which)
    assert fleet.step("report", which) in TAKEN
    assert fleet.step("report", which) == NEWER


@given(st.lists(st.tuples(DEVICES, st.sampled_from([0, 60, 900])), max_size=100))
def test_two_that_go_on_change_places_once_at_most(reports: list[tuple[int, int]]) -> None:
    fleet = Fleet()
    for which, seconds in reports:
        fleet.step("report", which)
        fleet.step("report", 1 - which)
        fleet.step("time", seconds)
    assert [word for _, word in fleet.taken].count(REPLACED) <= 1
    if len(reports) > 1:
        assert fleet.held
        assert len(fleet.held.others) == 1


# Through the writer.


def replaced(device: Device, install: str) -> Device:
    """A new device under the same id, with an empty state."""
    made = Device(device.name, device.target)
    made.says = {"install": install}
    return made


def test_device_that_was_replaced_is_heard_at_once_and_shown_so(world: World) -> None:
    old = world.devices["d1"]
    old.says, old.boot = {"install": A}, 50
    old.models["digits"] |= {"release": 3, "sha256": "3" * 64}
    world.hear([old])
    assert shown(world, "d1")["replaced_at"] == 0
    world.now += 60
    world.hear([replaced(old, B)])
    found = shown(world, "d1")
    assert (found["boot"], found["n"], found["install"]) == (1, 1, B)
    assert (found["replaced_at"], found["stale"], found["cloned"]) == (world.now, 0, False)
    assert found["models"][0]["release"] == 0
    report(world, "d1", old.report(n=2))
    assert shown(world, "d1")["install"] == B


def test_device_that_was_replaced_takes_its_order_and_its_answer_counts(world: World) -> None:
    old = world.devices["d1"]
    old.says, old.boot = {"install": A}, 50
    world.hear([old])
    world.start(1, quick(100))
    world.tick()
    new = replaced(old, B)
    world.hear([new])
    world.answer("SUCCEEDED", [new])
    assert answers_in_the_log(world, "d1") == [("SUCCEEDED", "")]


def test_replacement_in_one_batch_is_taken_in_the_order_of_arrival(world: World) -> None:
    old = world.devices["d1"]
    old.says, old.boot = {"install": A}, 50
    new = replaced(old, B)
    for device in (old, new, new):
        world.inbox.put(topics.reported(FLEET, "d1"), device.report())
    world.hear([])
    assert (shown(world, "d1")["install"], shown(world, "d1")["n"]) == (B, 2)
    assert shown(world, "d1")["replaced_at"] == world.now


def flap(world: World, times: int) -> tuple[Device, Device]:
    """Two devices with the id d1 report in turn, with different answers to its order."""
    first = world.devices["d1"]
    first.says = {"install": A}
    second = replaced(first, B)
    world.start(1, quick(100))
    world.tick()
    order = world.ordered(first)
    assert order
    first.take(order, "FAILED", "no space")
    second.take(order, "SUCCEEDED")
    for _ in range(times):
        world.hear([first])
        world.hear([second])
    return first, second


def test_two_devices_with_one_id_are_trouble_everywhere_and_no_storm_of_events(
    world: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    flap(world, 50)
    found = shown(world, "d1")
    assert (found["install"], found["cloned"], found["clones"]) == (B, True, 49)
    assert answers_in_the_log(world, "d1") == [("FAILED", "no space"), ("SUCCEEDED", "")]
    told = "two devices use the id d1: give one of them another name"
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [told]
    for command in (("device", "show", "d1"), ("fleet", "status"), ("rollout", "status")):
        assert cli.run(["--home", str(world.home.path), *command]) == 0
        assert told in capsys.readouterr().out, command
    assert cli.run(["--home", str(world.home.path), "device", "list"]) == 0
    assert "two devices use this id" in capsys.readouterr().out


def test_clone_is_no_trouble_any_more_an_hour_after_it_was_heard_last(world: World) -> None:
    _, second = flap(world, 2)
    _pass(world, CLONE_SECONDS)
    world.hear([second])
    assert shown(world, "d1")["cloned"]
    _pass(world, 1)
    assert not shown(world, "d1")["cloned"]
    with world.store.read() as connection:
        assert overview.fleet(connection, FLEET, world.now).cloned == []


def test_device_that_comes_back_for_good_is_taken_when_the_other_was_silent_for_an_hour(
    world: World,
) -> None:
    first, _ = flap(world, 2)
    _pass(world, CLONE_SECONDS + 1)
    world.hear([first])
    found = shown(world, "d1")
    assert (found["install"], found["cloned"], found["clones"]) == (A, False, 0)
    assert found["models"][0]["outcome"] == "FAILED"


def _pass(world: World, seconds: float) -> None:
    """Lets the rollout clock go on."""
    with world.store.write() as connection:
        connection.execute(update(tables.clock).values(seconds=tables.clock.c.seconds + seconds))


def test_clone_of_another_model_or_target_is_no_warning_of_a_rollout(world: World) -> None:
    flap(world, 2)
    rollouts.abort(world.store, "1", "", world.now)
    world.add(3, "rp2040")
    world.start(1, targets=["rp2040"], plan=quick(100))
    with world.store.read() as connection:
        found = status.StatusReader(connection, "2").read(connection, world.now)
        assert not any("two devices" in warning for warning in found.warnings)
        found = status.StatusReader(connection, "1").read(connection, world.now)
        assert any("two devices" in warning for warning in found.warnings)


def test_devices_whose_agents_send_no_install_are_heard_as_before(world: World) -> None:
    device = world.devices["d1"]
    device.boot = 2
    world.hear([device])
    report(world, "d1", device.report(boot=1, n=99))
    found = shown(world, "d1")
    assert (found["boot"], found["stale"], found["install"], found["replaced_at"]) == (2, 1, "", 0)


@pytest.mark.parametrize("wrong", ["", "a" * 15, "A" * 16, 7, None, [A]])
def test_install_id_that_is_none_is_a_bad_message(world: World, wrong: Any) -> None:
    report(world, "d1", world.devices["d1"].report(install=wrong))
    assert "install" in shown(world, "d1")["bad"]["reason"]


# Metrics.


def sums(world: World) -> list[tuple[int, ...]]:
    with world.store.read() as connection:
        return [astuple(row)[1:4] for row in metrics.by_release(connection)]


def test_windows_of_a_replaced_device_count_and_each_counts_once(world: World) -> None:
    topic = topics.metrics(FLEET, "d1")
    first, second = window(9, boot=50, install=A), window(1, boot=1, install=B)
    for payload in (first, second, first, second, window(2, boot=1, install=B)):
        put(world, topic, payload)
    assert sums(world) == [(1, 1, 300)]


def test_windows_of_two_devices_with_one_id_count_once_each(world: World) -> None:
    topic = topics.metrics(FLEET, "d1")
    for n in range(1, 21):
        for install in (A, B):
            payload = window(n, install=install)
            put(world, topic, payload)
            put(world, topic, payload)
    assert sums(world) == [(1, 1, 4000)]
    with world.store.read() as connection:
        stored = connection.scalar(select(tables.metrics.c.installs))
    assert json.loads(stored or "") == [[A, 1, 20]]


def test_windows_without_an_install_are_counted_as_before(world: World) -> None:
    topic = topics.metrics(FLEET, "d1")
    for payload in (window(2), window(1), window(2), window(1, boot=2)):
        put(world, topic, payload)
    assert sums(world) == [(1, 1, 200)]
