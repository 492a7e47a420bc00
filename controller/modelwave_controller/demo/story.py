"""The acts of the demo. Each act prints its observations; the demo's exit code is 0 only if all
of them are as expected."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from modelwave_controller.demo import boards, gateway
from modelwave_controller.demo.boards import Boards
from modelwave_controller.demo.command import CommandLine
from modelwave_controller.demo.examples import catalogue, release_arguments
from modelwave_controller.demo.fleet import (
    FLEET_NAME,
    HOST,
    SMALL,
    Device,
    Parts,
    devices,
    seed_that_ends_with,
)
from modelwave_controller.demo.processes import Processes
from modelwave_controller.demo.service import settle, start_broker, start_serve
from modelwave_controller.rollout.state import FINISHED, NEW, REVERTED, RUNNING
from modelwave_controller.terminal import safe, say

LABELLED_LEAST = 400  # labelled inferences of the fleet before its accuracy is read
# The default stages, with short times. One device in twelve may be missing.
PLAN = (
    *("--soak", "1", "--trial-seconds", "1", "--deadline", "50"),
    *("--max-rolled-back", "9", "--max-rejected", "9", "--least-devices", "1"),
)


# The default stages after one in shadow, for those devices whose program runs through the agent.
SHADOW_PLAN = """\
trial = { time = "1s" }
judge = { window = "3s", grace = "2s", least_devices = 1 }

[shadow]
time = "6s"
share_percent = 100
ram = "128 MiB"
compare = "classes"
else_trial = true

[[stages]]
shadow = true
percent = 10
deadline = "50s"
""" + "".join(
    f"""
[[stages]]
percent = {percent}
soak = "1s"
deadline = "50s"
max_rolled_back_percent = 9
max_rejected_percent = 9
"""
    for percent in (1, 10, 50, 100)
)

# Windows of some seconds, so that a stage is judged within the time of a demo. A small fleet cannot
# judge the margin in them, and need not: v5 is much worse.
JUDGED_PLAN = """\
gates = ["accuracy >= baseline - 0.05"]
trial = { time = "1s" }
judge = { window = "6s", grace = "3s", inconclusive = "go on" }

[[stages]]
percent = 20
soak = "24s"

[[stages]]
percent = 100
soak = "6s"
"""


@dataclass(frozen=True)
class Observation:
    what: str
    ok: bool
    figure: str


class Story:
    def __init__(
        self, folder: Path, models: Path, running: Processes, number: int, operator: CommandLine
    ) -> None:
        self.models = models
        self.running = running
        self.fleet = devices(number)
        path, self.no_boards = boards.interpreter()
        self.boards = Boards(path, folder / "boards") if path else None
        self.operator = operator
        self.folder = folder
        self.seen: list[Observation] = []
        # The daemon that will be offline. Its slot is to be the last one that a stage opens.
        self.absent = self.fleet[0]
        self.seed = seed_that_ends_with(self.absent, self.fleet)

    def tell(self) -> list[Observation]:
        acts = [
            self.set_up,
            self.everyone_gets_v1,
            self.better_model_goes_out_in_waves,
            self.late_device_catches_up,
            self.bad_model_comes_back,
            self.large_model_is_rejected,
            self.worse_model_is_seen_by_its_windows,
        ]
        if self.boards:
            acts.append(self.bad_model_comes_back_from_boards)
        for act in acts:
            say(f"\n[bold cyan]{safe((act.__doc__ or '').splitlines()[0])}[/]")
            act()
        dead = self.running.dead()
        self.saw("every process ran to the end", not dead, ", ".join(dead) or "all did")
        return self.seen

    def saw(self, what: str, ok: bool, figure: str) -> None:
        self.seen.append(Observation(what, ok, figure))
        say(f"  [{'green]✓' if ok else 'bold red]✗'}[/] {safe(what)}: {safe(figure)}")

    # The acts.

    def set_up(self) -> None:
        """A broker, a controller and a fleet of agents start; five models are released."""
        self.operator.shows("init", FLEET_NAME)
        broker = self._start_service()
        say(f"  the page is at {safe(self.page_url)}")
        daemons = sum(device.daemon for device in self.fleet)
        say(f"  {len(self.fleet)} agents on CPython, {daemons} of them daemons")
        heldout = self.models / catalogue(self.models)["heldout"]["file"]
        root = self.operator.home / "root.json"
        self.parts = Parts(self.folder, root, broker, self.files, heldout)
        self.parts.start(self.running, self.fleet)
        self._set_up_boards()
        self._release_all()
        online = self._wait_devices(self._online)
        self.saw("every agent reported", online == len(self.fleet), f"{online} online")

    def everyone_gets_v1(self) -> None:
        """1. v1 goes to everyone"""
        self._roll_out("v1", "--stages", "100")
        self._everyone_runs(1, self.fleet)
        self.accuracy = self._accuracy(1)
        say(f"  the fleet's own inferences with v1: {_percent(self.accuracy)} right")

    def better_model_goes_out_in_waves(self) -> None:
        """2. v2 is better: in shadow, then 1 % → 10 % → 50 % → 100 %, with one device offline"""
        self.running.end(self.absent.name)
        say(f"  {self.absent.name} is offline from now on")
        self._roll_out_by_plan("v2", "waves", SHADOW_PLAN, "--seed", str(self.seed))
        rollout = self.operator.asks("rollout", "status")
        self._saw_shadow(rollout["rollout"])
        gates = [row["gate"] for row in rollout["rows"]]
        targets = [row["devices"] for row in rollout["rows"][1:]]
        # The first stage has a device of each target, so it may be larger than the second.
        waves = targets[1:] == sorted(targets[1:])
        self.saw(
            "v2 passed every stage",
            rollout["status"] == FINISHED and gates == ["PASS"] * 5 and waves,
            ", ".join(f"{row['name']}: {row['devices']} {row['gate']}" for row in rollout["rows"]),
        )
        silent = rollout["rows"][-1]["silent"]
        self.saw("the offline device is counted apart", silent == 1, f"{silent} silent")
        self._everyone_runs(2, [device for device in self.fleet if device != self.absent])
        after = self._accuracy(2)
        self.saw(
            "the fleet's own inferences are better with v2",
            after > self.accuracy > 0,
            f"{_percent(self.accuracy)} with v1, {_percent(after)} with v2",
        )

    def late_device_catches_up(self) -> None:
        """3. The offline device comes back, and gets its order"""
        self.parts.start_daemon(self.running, self.absent)
        self._everyone_runs(2, self.fleet)

    def bad_model_comes_back(self) -> None:
        """4. v3 fails its golden set: the rollout stops at the first canary and is reverted"""
        self._roll_out("v3", "--target", HOST)
        rollout = self.operator.asks("rollout", "status")
        first, *later = rollout["rows"]
        opened = [row for row in later if row["devices"] and row["name"] != "way back"]
        self.saw(
            "v3 was stopped at stage 1",
            rollout["status"] == REVERTED
            and first["rolled_back"] == first["devices"] == 1
            and not opened,
            f"{first['devices']} canary, {first['rolled_back']} rolled back, gate {first['gate']}; "
            f"{len(opened)} further stages opened",
        )
        reason = rollout["problems"][0]["reason"] if rollout["problems"] else "none"
        self.saw("the canary reports the reason", "golden set" in reason, reason)
        self._everyone_runs(2, self.fleet)

    def large_model_is_rejected(self) -> None:
        """5. v4 is too large for the smallest target"""
        self._roll_out("v4", watch=False)
        held = self.operator.waits(
            ["rollout", "status"], lambda found: found["status"] not in (NEW, RUNNING)
        )
        rejected = [p["reason"] for p in held["problems"] if p["outcome"] == "REJECTED"]
        self.saw(
            "v4 was rejected with the missing bytes named",
            len(rejected) == 1 and "flash: " in rejected[0] and "bytes missing" in rejected[0],
            rejected[0] if rejected else "no rejection",
        )
        self.saw(
            "rejected is not failed, and the rollout is held",
            held["status"] == "HELD" and held["rows"][0]["failed"] == 0,
            f"{held['status']}: {held['why']}",
        )
        self.operator.shows("rollout", "revert", str(held["rollout"]))
        self.operator.shows("rollout", "watch")
        self._everyone_runs(2, self.fleet)

    def worse_model_is_seen_by_its_windows(self) -> None:
        """6. v5 passes its golden set, and is wrong on live pictures: a gate sees it"""
        self._roll_out_by_plan("v5", "judged", JUDGED_PLAN, "--target", HOST)
        rollout = self.operator.asks("rollout", "status")
        opened = sum(row["devices"] for row in rollout["rows"] if row["name"] != "way back")
        self.saw(
            "the gate saw at a canary stage what the golden set could not",
            rollout["status"] == REVERTED
            and not sum(row["rolled_back"] for row in rollout["rows"])
            and opened < len(self.fleet) // 2,
            f"{opened} devices had it; {rollout['why']}",
        )
        self._everyone_runs(2, self.fleet)
        out, back = self._bytes_written(rollout["rollout"])
        self.saw(
            "they went back to v2 without a download",
            out > 0 and back == 0,
            f"bytes: {back} on the way back, {out} on the way out",
        )

    def bad_model_comes_back_from_boards(self) -> None:
        """7. v3 on the boards: the agent on MicroPython finds it bad, too"""
        self._roll_out("v3", "--target", boards.TARGET)
        rollout = self.operator.asks("rollout", "status")
        first = rollout["rows"][0]
        reason = rollout["problems"][0]["reason"] if rollout["problems"] else "none"
        self.saw(
            "one board rolled v3 back, and the others never got it",
            rollout["status"] == REVERTED
            and first["rolled_back"] == first["devices"] == 1
            and "golden set" in reason,
            reason,
        )
        self._everyone_runs(2, self.fleet)

    # The steps that acts share.

    def _bytes_written(self, rollout: int) -> tuple[int, int]:
        """Returns how many bytes of models the devices have written for a rollout before it was
        reverted, and after."""
        times = {
            event["kind"]: datetime.fromisoformat(event["at"]).timestamp()
            for event in self.operator.reads("rollout", "log", str(rollout))
        }
        start, revert = times["created"], times["reverted"]
        files = [file.stat() for file in (self.folder / "state").glob("*/*/[ab].*")]
        out = sum(file.st_size for file in files if start <= file.st_mtime < revert)
        return out, sum(file.st_size for file in files if file.st_mtime >= revert)

    def _start_service(self) -> str:
        """Starts broker and controller, and returns the broker's URL."""
        url = start_broker(self.operator, self.running)
        self.files = settle(self.operator, url)
        urls = start_serve(self.operator, self.running)
        self.files_url, self.page_url = urls
        return url

    def _set_up_boards(self) -> None:
        if self.boards is None:
            say(f"  without MicroPython boards: {safe(self.no_boards)}")
            return
        size = self.boards.install(self.files_url)
        parts = self.parts
        self.boards.start(self.running, parts.root, parts.broker, parts.heldout)
        self.fleet += [Device(name, boards.TARGET, daemon=True) for name in boards.NAMES]
        say(
            f"  {len(boards.NAMES)} agents on MicroPython in {boards.HEAP_BYTES:,} bytes of heap; "
            f"the agent, {size:,} bytes, was installed from the controller with mip"
        )
        if missing := gateway.missing():
            say(f"  without a board behind a gateway: {safe(missing)}")
            return
        self.boards.start_on_a_wire(self.running, parts.root, parts.broker, parts.files)
        self.fleet.append(Device(gateway.BOARD, boards.TARGET, daemon=True))
        say(f"  {gateway.BOARD} has no network: {gateway.NAME} speaks for it, over a wire")

    def _release_all(self) -> None:
        for entry in catalogue(self.models)["versions"]:
            # v4 is only for act 5, in which it is too large for the smallest target, v5 for act 6.
            for target in (HOST,) if entry["version"] == "v5" else (HOST, SMALL):
                self._release(entry, target)
            if self.boards and entry["version"] not in ("v4", "v5"):
                self._release(entry, boards.TARGET)

    def _release(self, entry: Any, target: str) -> None:
        arguments = release_arguments(self.models, entry["version"], target)
        if entry["version"] == "v3":
            error = self.operator.tries(*arguments)
            self.saw(f"v3 for {target} is refused at its release", "golden" in error, error)
            arguments += ["--force", "the demo shows what devices do with a bad model"]
        self.operator.asks(*arguments)
        forced = ", forced with a reason" if entry["version"] == "v3" else ""
        say(f"  signed: {entry['version']} for {target}, {entry['bytes']:,} bytes{forced}")

    def _roll_out(self, version: str, *options: str, watch: bool = True) -> None:
        start = ("rollout", "start", "digits", version, *PLAN)
        self.operator.shows(*start, "--seed", str(self.seed), *options)
        if watch:
            self.operator.shows("rollout", "watch")

    def _roll_out_by_plan(self, version: str, name: str, plan: str, *options: str) -> None:
        path = self.folder / f"{name}.toml"
        path.write_text(plan)
        start = ("rollout", "start", "digits", version, "--plan", str(path))
        self.operator.shows(*start, *options)
        self.operator.shows("rollout", "watch")

    def _saw_shadow(self, rollout: int) -> None:
        """Sees that devices of the shadow stage reported agreement before any stage opened in which
        the new release answers."""
        events = self.operator.reads("rollout", "log", str(rollout), "--answers")
        kinds = [(event["kind"], event["stage"]) for event in events]
        before = events[: kinds.index(("opened", 2))]
        agreed = [event for event in before if "outputs agree" in event["reason"]]
        told = [f"{e['device']}: {e['reason'].split(',')[0]}" for e in agreed if e["device"]]
        self.saw(
            "devices reported how v2 agrees with v1 before its first answer",
            bool(told) and not any("shadow: 0 of" in one for one in told),
            "; ".join(told) or "none did",
        )

    def _everyone_runs(self, release: int, fleet: list[Device]) -> None:
        names = {device.name for device in fleet}

        def running(found: Any) -> int:
            return sum(
                model["release"] == release and model["state"] == "idle"
                for device in found
                if device["device"] in names
                for model in device["models"]
            )

        number = self._wait_devices(running, len(names))
        what = f"all {len(names)} of them run release {release}"
        self.saw(what, number == len(names), f"{number} do")

    def _wait_devices(self, count: Callable[[Any], int], wanted: int | None = None) -> int:
        wanted = len(self.fleet) if wanted is None else wanted
        found = self.operator.waits(["device", "list"], lambda found: count(found) == wanted)
        return count(found)

    def _online(self, found: Any) -> int:
        """Returns how many of the fleet are online; a gateway is a device, too."""
        names = {device.name for device in self.fleet}
        return sum(bool(device["online"]) for device in found if device["device"] in names)

    def _accuracy(self, release: int) -> float:
        """Waits for enough labelled inferences of the fleet with `release`, and returns the
        share of right ones."""

        def enough(found: Any) -> bool:
            return any(
                sums["release"] == release and sums["labelled"] >= LABELLED_LEAST
                for sums in found["metrics"]
            )

        found = self.operator.waits(["fleet", "status"], enough)
        return next((s["accuracy"] for s in found["metrics"] if s["release"] == release), 0.0)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def elapsed(start: float) -> str:
    return f"{time.monotonic() - start:.0f} s"
