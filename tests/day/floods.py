"""Floods the real service through a broker, and measures what others notice of it.

    python -m tests.day.floods [--seconds N] [--devices N] [BROKER-FLOOD ...]

Each scene is a broker (`embedded`: `modelwave broker` with users; `mosquitto`: with the shipped
docker/mosquitto.conf) and a flood of flooder.py. Honest devices report once a second each, before
the flood, during it, and after it. A scene is bad if one of these does not hold:

    handled   every report of the honest devices is stored, and none of them is disconnected
    quick     p99 of the time until then is at most WORSE times that without the flood, in the same
              run: half before it and half after it, as the machine's other load changes
    bounded   broker and service grow by at most GROWS_MIB
    named     a line of a log has the name of the device that floods, or its address

Each scene ends by itself; nothing but loopback is used. Ctrl-C ends it, and what it started.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.scale.shipped import shipped

from modelwave_controller.broker import hash_password
from modelwave_controller.demo.processes import Processes, processes
from modelwave_controller.interruption import Interrupted
from tests.arguments import add_names, whole
from tests.controller.rollout_world import World
from tests.day import flooder
from tests.day.honest import Honest
from tests.day.parts import core_seconds, settle, started, watched
from tests.ending import INTERRUPTED

SECONDS, DEVICES = 60, 50
WORSE = 2
END_SECONDS = 120  # in which the flooder has ended; only a failing run waits so long
GROWS_MIB = 128  # the inbox has 64 MiB at most, what waits in the embedded broker too
FLOODER, PASSWORD = "flooder", "a password"
LOG_LINES = "connection_messages true\nlog_type notice\nlog_dest file {}\n"


class Broker(NamedTuple):
    port: int
    process_id: int
    log: Path


class Found(NamedTuple):
    """What a scene came to; `made`: by the flooder. Times are in seconds, memory in MiB."""

    quiet: float
    flooded: float
    cores: dict[str, float]  # during the flood
    grown: dict[str, float]
    named: str
    made: dict[str, int]
    faults: list[str]

    def line(self) -> str:
        made = ", ".join(f"{number:,} {what}" for what, number in self.made.items())
        parts = ", ".join(
            f"{name} {self.cores[name]:.2f} cores and +{size:.0f} MB"
            for name, size in self.grown.items()
        )
        return (
            f"{made}; p99 {1000 * self.flooded:.0f} ms, quiet {1000 * self.quiet:.0f} ms "
            f"(x{self.flooded / self.quiet:.2f}); {parts}; {self.named or 'not named'}"
        )


@contextlib.contextmanager
def embedded(running: Processes, world: World, names: list[str]) -> Iterator[Broker]:
    """`modelwave broker` with users: without them each client would count as a controller."""
    digest = hash_password(PASSWORD)  # hashing is slow on purpose
    users = running.folder / "users"
    users.write_text("".join(f"{name}:{digest}\n" for name in ("controller", *names)))
    ready = started(running, world.home.path, "broker", "--port", "0", "--users", str(users))
    yield Broker(ready["port"], ready["pid"], running.folder / "broker.log")


@contextlib.contextmanager
def mosquitto(running: Processes, _world: World, _names: list[str]) -> Iterator[Broker]:
    log = running.folder / "mosquitto.log"
    with shipped(running.folder, LOG_LINES.format(log)) as made:
        assert made.process
        yield Broker(made.port, made.process.pid, log)


BROKERS = {"embedded": embedded, "mosquitto": mosquitto}
SCENES = [f"{broker}-{flood}" for broker in BROKERS for flood in ("messages", "connections")]


def scene(name: str, seconds: float, devices: int) -> Found:
    broker_name, flood = name.split("-")
    names = [f"d{number}" for number in range(devices)]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelwave-floods-")))
        world = stack.enter_context(contextlib.closing(World(folder)))
        running = stack.enter_context(processes(folder))
        broker = stack.enter_context(BROKERS[broker_name](running, world, [*names, FLOODER]))
        settle(world.home.path, broker.port, "controller", PASSWORD)
        service = started(running, world.home.path, "serve")
        honest = stack.enter_context(contextlib.closing(Honest(broker.port, names, PASSWORD)))
        honest.connect()
        logs = (broker.log, folder / "serve.log")
        watching = {"broker": broker.process_id, "service": service["pid"]}
        database = world.home.path / "modelwave.db"
        honest.report(database, seconds / 10)  # until all is warm
        with watched(watching) as grown:
            before = honest.report(database, seconds / 2)
            with _flooding(flood, broker.port, seconds) as flooding:
                taken = {name: -core_seconds(number) for name, number in watching.items()}
                flooded = honest.report(database, seconds)
                cores = {
                    name: (core_seconds(number) + taken[name]) / seconds
                    for name, number in watching.items()
                }
                said, _ = flooding.communicate(timeout=END_SECONDS)
            after = honest.report(database, seconds / 2)
        named, made = _named(flood, *logs), json.loads(said)
        quiet, during = p99(before + after), p99(flooded)
        faults = _faults(quiet, during, grown, named, honest)
        return Found(quiet, during, cores, grown, named, made, faults)


def _faults(
    quiet: float, flooded: float, grown: dict[str, float], named: str, honest: Honest
) -> list[str]:
    found = []
    if honest.missing or honest.lost:
        found.append(f"{honest.missing} reports not stored, {honest.lost} connections lost")
    if flooded > WORSE * quiet:
        found.append(f"p99 is {flooded / quiet:.2f} times the quiet one")
    found += [f"{name} grew by {size:.0f} MB" for name, size in grown.items() if size > GROWS_MIB]
    if not named:
        found.append("no log names who floods")
    return found


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


@contextlib.contextmanager
def _flooding(flood: str, port: int, seconds: float) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "tests.day.flooder", flood, str(port), FLOODER, PASSWORD]
    process = subprocess.Popen([*command, str(seconds)], stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _named(flood: str, *logs: Path) -> str:
    """Returns the newest line that names who floods: the device, or of connections the address."""
    words = (FLOODER, flooder.ADDRESS) if flood == "connections" else (FLOODER,)
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    found = [line for line in lines if any(word in line for word in words)]
    return found[-1] if found else ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.day.floods", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=whole(2), default=SECONDS, help="of each flood")
    parser.add_argument("--devices", type=whole(1), default=DEVICES, help="that are honest")
    add_names(parser, "scenes", SCENES, "scene", "BROKER-FLOOD")
    given = parser.parse_args()
    found: dict[str, Found] = {}
    is_ended = False
    try:
        for name in given.scenes or SCENES:
            found[name] = scene(name, given.seconds, given.devices)
            print(f"{name}: {found[name].line()}", flush=True)
            for fault in found[name].faults:
                print(f"    bad: {fault}; again: python -m tests.day.floods {name}", flush=True)
    except (KeyboardInterrupt, Interrupted):
        is_ended = True
        print("\nended by Ctrl-C", file=sys.stderr)
    bad = sum(bool(one.faults) for one in found.values())
    worst = max((one.flooded / one.quiet for one in found.values()), default=0.0)
    total = sum(one.made.get("messages", 0) for one in found.values())
    print(
        f"floods: {len(found)} of {given.seconds} s, {total:,} messages, p99 at most "
        f"x{worst:.2f} of the quiet one, {bad} bad"
    )
    return INTERRUPTED if is_ended else int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
