"""A Python client of a controller's API: a method for each call, by group.

    with Client("https://fleet.example", token) as fleet:
        begun = fleet.rollouts.start("digits", "v2", plan={"gates": [...]})
        ended = fleet.rollouts.wait(begun.status.rollout)
        print(ended.status, ended.why)

A method raises the error that the service had (errors.py): its text is one line, which says what to
do. What creates is done once, also where a first try got no answer.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Any

from modelwave_controller.api import (
    devices,
    fits,
    fleet,
    models,
    releases,
    rollouts,
    starts,
    targets,
)
from modelwave_controller.client import contexts
from modelwave_controller.client.group import Group
from modelwave_controller.client.log import Log
from modelwave_controller.client.remote import Remote
from modelwave_controller.client.upkeep import Alerts, Enrolment, Tokens, Upkeep
from modelwave_controller.errors import OperatorError
from modelwave_controller.models.targets import Target
from modelwave_controller.results.deployments import Deployment
from modelwave_controller.results.device_history import DeviceHistory
from modelwave_controller.results.devices import Forgotten
from modelwave_controller.results.fleet import Fleet
from modelwave_controller.results.models import Arena, ModelReleases, ReleaseLine, Standing
from modelwave_controller.results.releases import Added, Release
from modelwave_controller.results.report import RolloutReport
from modelwave_controller.results.rollouts import Entry, Promoted, Status
from modelwave_controller.results.starts import DryRun, LintedStage, Started
from modelwave_controller.rollout.statuses import FINAL, HELD, UNKNOWN

ENDS = (*FINAL, HELD, UNKNOWN)  # of `wait`: it goes on from none of them by itself
EVERY_SECONDS = 2.0

Entries = list[Entry]
Found = list[Release]
Known = list[Target]
Fits = list[dict[str, Any]]
Every = list[ModelReleases]
Everywhere = list[Standing]
Plan = dict[str, Any]  # as in a file (docs/operations.md, "A plan in a file")


class Rollouts(Group):
    """`rollout` is a number, or a model: the newest rollout of it."""

    def status(self, rollout: int | str = rollouts.NEWEST) -> Status:
        return self._ask(rollouts.STATUS, rollout=str(rollout))

    def report(self, rollout: int | str = rollouts.NEWEST, utc: bool = True) -> RolloutReport:
        return self._ask(rollouts.REPORT, rollout=str(rollout), utc=utc)

    def start(
        self,
        model: str,
        release: str | int,
        plan: Plan | None = None,
        targets: Sequence[str] = (),
        seed: int | None = None,
        start_at: float | None = None,
        lift_ban: str = "",
        accept_blind: str = "",
        supersede: str = "",
    ) -> Started:
        """`start_at` is in Unix seconds; the last three are reasons, which the log keeps."""
        said = {"plan": plan, "targets": list(targets), "seed": seed, "start_at": start_at}
        reasons = {"lift_ban": lift_ban, "accept_blind": accept_blind, "supersede": supersede}
        return self._ask(starts.START, model=model, release=str(release), **said, **reasons)

    def dry_run(
        self,
        model: str,
        release: str | int,
        plan: Plan | None = None,
        targets: Sequence[str] = (),
        seed: int | None = None,
    ) -> DryRun:
        said = {"plan": plan, "targets": list(targets), "seed": seed}
        return self._ask(starts.DRY_RUN, model=model, release=str(release), **said)

    def lint(self, plan: Plan) -> list[LintedStage]:
        return self._ask(starts.LINT, plan=plan)

    def pause(self, rollout: int | str, reason: str = "") -> Status:
        return self._ask(rollouts.PAUSE, rollout=str(rollout), reason=reason)

    def resume(self, rollout: int | str, accept: str = "") -> Status:
        return self._ask(rollouts.RESUME, rollout=str(rollout), accept=accept)

    def promote(
        self, rollout: int | str, reason: str = "", force: bool = False, full: bool = False
    ) -> Promoted:
        said = {"reason": reason, "force": force, "full": full}
        return self._ask(rollouts.PROMOTE, rollout=str(rollout), **said)

    def approve(self, rollout: int | str, stage: int | None = None, reason: str = "") -> Status:
        said = {"stage": stage, "reason": reason}
        return self._ask(rollouts.APPROVE_STAGE, rollout=str(rollout), **said)

    def retry(
        self,
        rollout: int | str,
        devices: Sequence[str] = (),
        outcomes: Sequence[str] = (),
        reason: str = "",
    ) -> Status:
        said = {"devices": list(devices), "outcomes": list(outcomes), "reason": reason}
        return self._ask(rollouts.RETRY, rollout=str(rollout), **said)

    def abort(self, rollout: int | str, reason: str = "") -> Status:
        return self._ask(rollouts.ABORT, rollout=str(rollout), reason=reason)

    def revert(self, rollout: int | str, reason: str = "") -> Status:
        return self._ask(rollouts.REVERT, rollout=str(rollout), reason=reason)

    def wait(
        self,
        rollout: int | str,
        seconds: float = inf,
        every: float = EVERY_SECONDS,
        tell: Callable[[Status], None] = lambda _: None,
    ) -> Status:
        """Returns the status when it is one of ENDS, or after so many seconds. `tell` gets each
        one that was read. Raises ServerError if the service is not reached."""
        end = time.monotonic() + seconds
        which = self.status(rollout).rollout  # a newer one of the model may begin meanwhile
        while True:
            found = self.status(which)
            tell(found)
            left = end - time.monotonic()
            if found.status in ENDS or left <= 0:
                return found
            time.sleep(min(every, left))

    def list(self) -> Entries:
        return self._ask(rollouts.LIST)


class Devices(Group):
    def list(self, **only: Any) -> Iterator[dict[str, Any]]:
        """Yields the devices to which all of it applies, by name: named, target, tag, model,
        not_on, outcome, offline, trouble."""
        page = self._ask(devices.LIST, **only)
        while True:
            yield from page.devices
            if not page.more:
                return
            page = self._ask(devices.LIST, **only, after=page.devices[-1]["device"])

    def show(self, device: str) -> dict[str, Any]:
        return self._ask(devices.SHOW, device=device)

    def history(self, device: str) -> DeviceHistory:
        return self._ask(devices.HISTORY, device=device)

    def tag(
        self, names: Sequence[str], add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Returns all tags that each device has then."""
        said = {"devices": list(names), "add": list(add), "remove": list(remove)}
        return self._ask(devices.TAG, **said)

    def forget(self, device: str) -> Forgotten:
        return self._ask(devices.FORGET, device=device)


class Releases(Group):
    """`release` is a number, or else a version."""

    def list(self, model: str | None = None) -> Iterator[Release]:
        """Yields the releases of one model or of all, by model, number and target."""
        page = self._ask(releases.LIST, model=model)
        while True:
            yield from page.releases
            if not page.next:
                return
            page = self._ask(releases.LIST, model=model, cursor=page.next)

    def show(self, model: str, release: str | int, target: str | None = None) -> Found:
        """Returns the release for each of its targets, or for one."""
        return self._ask(releases.SHOW, model=model, release=str(release), target=target)

    def add(self, bundle: Path | str) -> Added:
        """Adds the release of a bundle that `release create --out` has made: a folder, its
        manifest, or a tar of it. The same one again changes nothing."""
        named = str(bundle).encode(errors="replace").decode()
        return self._send(releases.ADD, bundle, name=named)

    def bill_of_materials(
        self, model: str, release: str | int, target: str | None = None
    ) -> dict[str, Any]:
        return self._ask(releases.SBOM, model=model, release=str(release), target=target)


class Models(Group):
    """`release` is a number."""

    def list(self) -> Every:
        """Returns all models, each with its newest releases."""
        return self._ask(models.LIST)

    def releases(self, model: str) -> Iterator[ReleaseLine]:
        """Yields the releases of a model, the newest first."""
        page = self._ask(models.SHOW, model=model)
        while True:
            yield from page.newest
            if not page.older:
                return
            page = self._ask(models.SHOW, model=model, before=page.newest[-1].release)

    def standing(self, model: str, release: int) -> Everywhere:
        """Returns for each target whether a release fits, and how many devices run it."""
        return self._ask(models.STANDING, model=model, release=release)

    def arena(self, model: str, release: int, target: str) -> Arena:
        return self._ask(models.ARENA, model=model, release=release, target=target)

    def fit(self, file: Path | str, targets: Sequence[str] = ()) -> Fits:
        """Returns what a .tflite or .onnx file needs on these targets, or on all, and whether it
        fits: for each an entry as of `modelwave model inspect --json`."""
        named = str(file).encode(errors="replace").decode()
        return self._send(fits.FIT, file, targets=",".join(targets), name=named)


class Targets(Group):
    def list(self) -> Known:
        return self._ask(targets.LIST)

    def show(self, target: str) -> Target:
        return self._ask(targets.SHOW, target=target)


class WholeFleet(Group):
    def status(self) -> Fleet:
        return self._ask(fleet.STATUS)

    def deployments(
        self, model: str = "", device: str = "", since: float | None = None
    ) -> Iterator[Deployment]:
        """Yields which device ran which release when; `since` is in Unix seconds."""
        said = {"model": model, "device": device, "since": since}
        page = self._ask(fleet.DEPLOYMENTS_OF, **said)
        while True:
            yield from page.rows
            if not page.next:
                return
            page = self._ask(fleet.DEPLOYMENTS_OF, **said, cursor=page.next)


class Client:
    """The service at `url`. Safe to use in one thread."""

    def __init__(self, url: str, token: str, ca: str = "") -> None:
        """`ca`: a PEM file with the authorities to trust; "": those of the system. Raises
        OperatorError for a wrong URL, also for one that would send the token in clear text."""
        self.remote = Remote(url, token, ca)
        self.rollouts = Rollouts(self.remote)
        self.releases = Releases(self.remote)
        self.models = Models(self.remote)
        self.targets = Targets(self.remote)
        self.devices = Devices(self.remote)
        self.fleet = WholeFleet(self.remote)
        self.log = Log(self.remote)
        self.alerts = Alerts(self.remote)
        self.tokens = Tokens(self.remote)
        self.enrolment = Enrolment(self.remote)
        self.upkeep = Upkeep(self.remote)

    @classmethod
    def of_context(cls, name: str = "") -> "Client":
        """Returns a client of the context of this name (`modelwave context add`); "": of the
        current one. Raises OperatorError."""
        known = contexts.read()
        if not (name or known.current):
            raise OperatorError("no context is current: `modelwave context use NAME`, or name one")
        one = known.get(name or known.current)
        return cls(one.url, one.token.get_secret_value(), one.ca)

    def close(self) -> None:
        self.remote.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
