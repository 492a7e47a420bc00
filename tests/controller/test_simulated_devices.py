"""`modelwave simulate fleet`: devices that are only connections, at a real broker and service."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from broker_hosts import hosted
from operator_home import Run, refused, runner
from rollout_world import FLEET, TARGET, World, manifest, quick
from simulated_fleet import poll, retained
from test_service import known, running, statuses

from modelwave_controller.broker import EmbeddedBroker, EmbeddedBrokerSettings
from modelwave_controller.load import observing, tally
from modelwave_controller.load.connection import Client, Connection
from modelwave_controller.load.device import Behaviour, SimulatedDevice
from modelwave_controller.load.fleet import Fleet
from modelwave_controller.load.observing import Observing
from modelwave_controller.load.processes import shares
from modelwave_controller.load.tally import Tally, Wave
from modelwave_controller.load.worker import Work, devices_of, fleet_of, gateways_of
from modelwave_controller.rollout.state import FINISHED
from modelwave_controller.storage import messages, metrics
from modelwave_shared import topics

ALWAYS, NEVER = Behaviour(0, 1.0), Behaviour(0, 0.0)
OBSERVING = Observing(60, 200, 7)
MODELWAVE = [sys.executable, "-m", "modelwave_controller"]
WORK = Work(
    "broker.example.org", 1883, None, "", "", "", {}, FLEET, TARGET, "digits", "sim-", 5, 7, 0, 0, 0
)


def order(seq: int, **changes: Any) -> dict[str, Any]:
    fields = {"model": "digits", "target": TARGET, "epoch": 0, "seq": seq, "shadow": False}
    return fields | {"manifest": f"{seq:064x}"} | changes


def device() -> SimulatedDevice:
    return SimulatedDevice(FLEET, "sim-1", TARGET, "digits", boot=7)


def said(one: SimulatedDevice) -> dict[str, Any]:
    """What the controller reads of its next report about the model."""
    found = messages.understand(FLEET, one.reported, one.report())
    assert isinstance(found, messages.ReportMessage), found
    return dict(json.loads(one.report())["models"]["digits"])


# Pure.


def test_each_report_of_a_simulated_device_is_one_that_the_controller_understands() -> None:
    one = device()
    assert said(one)["outcome"] == ""
    assert one.begins(order(1))
    assert said(one)["state"] == "fetching"
    assert one.end(order(1), manifest(1), NEVER, random.Random(0)) == "SUCCEEDED"
    assert (said(one)["release"], said(one)["seq"]) == (1, 1)


@pytest.mark.parametrize(
    "other", [order(1), order(2, target="esp32"), order(2, model="words"), order(0)]
)
def test_order_that_is_older_or_for_others_is_not_taken(other: dict[str, Any]) -> None:
    one = device()
    assert one.begins(order(1))
    assert not one.begins(other)


def test_update_that_a_newer_order_supersedes_has_no_outcome() -> None:
    one = device()
    assert one.begins(order(1))
    assert one.begins(order(2))
    assert one.end(order(1), manifest(1), NEVER, random.Random(0)) == ""
    assert one.end(order(2), manifest(2), NEVER, random.Random(0)) == "SUCCEEDED"


def test_the_share_of_roll_backs_keeps_the_old_model_and_a_revert_to_it_succeeds() -> None:
    one = device()
    assert one.begins(order(1))
    one.end(order(1), manifest(1), NEVER, random.Random(0))
    assert one.begins(order(2))
    assert one.end(order(2), manifest(2), ALWAYS, random.Random(0)) == "ROLLED_BACK"
    assert said(one)["release"] == 1
    assert one.begins(order(3, manifest=f"{1:064x}"))
    assert (
        one.end(order(3, manifest=f"{1:064x}"), manifest(1), ALWAYS, random.Random(0))
        == "SUCCEEDED"
    )


def test_shadow_is_rejected_in_words() -> None:
    one = device()
    assert one.begins(order(1, shadow=True))
    assert one.end(order(1, shadow=True), manifest(1), NEVER, random.Random(0)) == "REJECTED"
    assert "shadow" in said(one)["reason"]


def with_accuracy(release: int, ppm: int) -> dict[str, Any]:
    lineage = {"dataset": "", "quantisation": "", "metrics": {"accuracy_ppm": ppm}}
    return manifest(release, lineage=lineage)


def test_it_measures_nothing_before_it_runs_a_release() -> None:
    assert device().observe(OBSERVING) == b""


def test_its_windows_are_ones_that_the_controller_understands_and_follow_its_reports() -> None:
    one = device()
    assert one.begins(order(1))
    one.end(order(1), manifest(1), NEVER, random.Random(0))
    found = messages.understand(FLEET, one.metrics, one.observe(OBSERVING))
    assert isinstance(found, messages.Measured), found
    assert json.loads(one.report())["n"] == 2
    assert (found.metrics.release, found.metrics.inferences) == (1, 200)


def test_what_is_measured_follows_from_the_seed_and_is_about_as_right_as_the_manifest_says() -> (
    None
):
    def right(of: dict[str, Any], by: Observing = OBSERVING) -> list[int]:
        expected = observing.expected(of)
        names = [f"sim-{number}" for number in range(40)]
        return [observing.measured(name, 1, expected, by)["correct"] for name in names]

    worse, better = with_accuracy(1, 700_000), with_accuracy(2, 950_000)
    assert right(worse) == right(worse) != right(worse, OBSERVING._replace(seed=8))
    assert abs(sum(right(worse)) / 8000 - 0.7) < 0.03
    assert abs(sum(right(better)) / 8000 - 0.95) < 0.03
    assert right(with_accuracy(1, 2_000_000)), "more than all is all"


def test_a_larger_model_takes_longer() -> None:
    def latency(size: int) -> int:
        files = [file | {"size": size} for file in manifest(1)["files"]]
        expected = observing.expected(manifest(1) | {"files": files})
        found: int = observing.measured("sim-1", 1, expected, OBSERVING)["latency"]["log"]
        return found

    assert latency(1000) < latency(1_000_000) < latency(10_000_000)


def test_shares_have_every_device_once_and_addresses_of_their_own_on_loopback() -> None:
    found = shares(WORK, 3)
    numbers = [n for one in found for n in range(one.first, one.first + one.devices)]
    assert numbers == list(range(5, 12))
    assert {one.source for one in found} == {""}
    local = shares(replace(WORK, host="127.0.0.1"), 3)
    assert len({one.source for one in local}) == 3


def test_gateways_are_divided_with_the_devices_and_each_is_of_one_process() -> None:
    found = shares(replace(WORK, gateways=3), 2)
    names = [[one.name for one in gateways_of(work)] for work in found]
    assert names == [["sim-gw-0", "sim-gw-1"], ["sim-gw-2"]]
    for work, its in zip(found, names, strict=True):
        assert {one.via for one in devices_of(work, SimulatedDevice)} == set(its)
    assert {one.via for one in devices_of(WORK, SimulatedDevice)} == {""}


def test_a_device_behind_a_gateway_reports_it() -> None:
    one = SimulatedDevice(FLEET, "sim-1", TARGET, "digits", 7, "sim-gw-1")
    assert json.loads(one.report())["extra"] == {"via": "sim-gw-1"}
    assert messages.understand(FLEET, one.reported, one.report())
    assert "extra" not in json.loads(device().report())


def test_tallies_of_several_processes_add_up() -> None:
    one = Tally(connected=2, waves={"digits/0/1": Wave(2, 10.0, 11.0)})
    other = Tally(connected=3, waves={"digits/0/1": Wave(3, 9.5, 10.5)}, problem="refused")
    total = Tally()
    for each in (one, other):
        total.add(tally.read(json.loads(json.dumps(tally.written(each)))))
    assert total == Tally(connected=5, waves={"digits/0/1": Wave(5, 9.5, 11.0)}, problem="refused")


def observed(world: World) -> int:
    """How many devices have sent a window."""
    with world.store.read() as connection:
        return sum(one.devices for one in metrics.by_release(connection))


# With a home.


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path)) as made:
        yield made


@pytest.fixture
def modelwave(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    return runner(capsys)


def test_home_with_other_devices_is_refused(world: World, modelwave: Run) -> None:
    world.add(2)
    refused(modelwave("simulate", "fleet", "--devices", 5), "2 devices", "sim-", "--force")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--prefix", "Sim "), ("--target", "a b"), ("--model", ""), ("--prefix", "x" * 64)],
)
def test_bad_name_is_refused(modelwave: Run, option: str, value: str) -> None:
    refused(modelwave("simulate", "fleet", "--devices", 5, option, value), option)


def test_more_gateways_than_devices_are_refused(modelwave: Run) -> None:
    refused(modelwave("simulate", "fleet", "--devices", 5, "--gateways", 6), "--gateways: ")


def test_windows_that_are_too_short_are_refused(modelwave: Run) -> None:
    said = modelwave("simulate", "fleet", "--devices", 5, "--window-minutes", 0.01)
    refused(said, "--window-minutes", "0.05")


@pytest.mark.e2e
def test_simulated_fleet_takes_a_release_and_leaves_nothing_at_the_broker(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path, "broker", "--port", "0") as broker:
        port = broker.ready["port"]
        with (
            closing(World(tmp_path, broker_port=port)) as world,
            running(tmp_path, world.home.path, "serve", "--tick-seconds", "0.05"),
        ):
            options = ("--devices", "40", "--processes", "2", "--update-seconds", "0", "--json")
            options += ("--window-minutes", "0.05")
            process = subprocess.Popen(
                [*MODELWAVE, "--home", str(world.home.path), "simulate", "fleet", *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                poll(lambda: known(world) == 40)
                world.start(1, quick(10, 100))
                poll(lambda: statuses(world) == [FINISHED])
                poll(lambda: observed(world) == 40)
                os.kill(process.pid, signal.SIGINT)
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
                process.wait()
            found = json.loads(out)
            assert process.returncode == 130, err
            assert (found["most_connected"], found["succeeded"], found["refused"]) == (40, 40, 0)
            first, *_ = found["waves"]
            assert found["windows"] >= 40
            assert 3 <= first["devices"] < 40
            assert retained(port, "reported", "+") == {}
            assert retained(port, "presence", "+") == {}


class Seen(Fleet):
    """`seen` is set at the moment at which it is to be looked at."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen = asyncio.Event()


class Down(Seen):
    """When all gateways are down."""

    def _goes_down(self, *arguments: Any) -> None:
        super()._goes_down(*arguments)
        if self.tally.gateways_down == len(self._gateways):
            self.seen.set()


class LetIn(Seen):
    """When all gateways are down, each as soon as a device of it has been let in."""

    async def _stood(self, connection: Client, ready: asyncio.Event) -> bool:
        stood = await super()._stood(connection, ready)
        if isinstance(connection, Connection):
            self._gateways[connection.device.via].is_up.clear()
            if not any(one.is_up.is_set() for one in self._gateways.values()):
                self.seen.set()
        return stood


class Reporting(Seen):
    """When a device reports for the first time, and the broker has not answered."""

    async def _stood(self, connection: Client, ready: asyncio.Event) -> bool:
        if isinstance(connection, Connection):
            connection._steps = map(self._sees, connection._steps)
        return await super()._stood(connection, ready)

    def _sees(self, step: Callable[[], None]) -> Callable[[], None]:
        if step.__name__ == "report":
            self.seen.set()
        return step


@pytest.mark.parametrize(
    ("kind", "turns"), [(Down, (0.2, 3600.0)), (LetIn, (0.0, 0.0)), (Reporting, (0.0, 0.0))]
)
def test_nothing_is_left_of_a_fleet_however_far_its_devices_have_come(
    kind: type[Seen], turns: tuple[float, float]
) -> None:
    with hosted(lambda: EmbeddedBroker(EmbeddedBrokerSettings())) as host:
        work = replace(WORK, host="127.0.0.1", port=host.port, gateways=2, turns=turns)
        asyncio.run(until_seen(replace(work, report_seconds=900), kind))
        assert retained(host.port, "reported", "+") == {}
        assert retained(host.port, "presence", "+") == {}


def nobody_is_online(port: int, names: list[str]) -> bool:
    found = retained(port, "presence", "+")
    return all(found.get(topics.presence(FLEET, name)) != b"online" for name in names)


async def until_seen(work: Work, kind: type[Seen]) -> None:
    fleet = fleet_of(work, kind)
    running = asyncio.create_task(fleet.run(devices_of(work, SimulatedDevice), gateways_of(work)))
    await fleet.seen.wait()
    if kind is not Reporting:
        away = [*(fleet._tried.keys() - fleet._standing.keys())]
        await asyncio.to_thread(poll, lambda: nobody_is_online(work.port, away))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert fleet.tally.connected == 0


@pytest.mark.e2e
def test_broker_that_is_not_there_is_named_and_ctrl_c_ends_it(world: World) -> None:
    process = subprocess.Popen(
        [*MODELWAVE, "--home", str(world.home.path), "simulate", "fleet", "--devices", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        line = next(line for line in process.stderr if "Connect" in line or "refused" in line)
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert "0 of 3 connected" in line
    assert "last problem" in out
    assert process.returncode == 130
