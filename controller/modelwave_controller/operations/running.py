"""Finds the release that runs on a target, and compares a new one with it by held-out metrics.

The release that runs is the one that the last finished rollout brought to all devices of the
target: the one that a revert goes back to. Where the home has no database, as beside the release
key, or where no rollout for the target has finished, it is taken to be the newest release of the
home for the target, with those that were signed there for another home.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

from modelwave_controller.errors import StorageError
from modelwave_controller.home import Home
from modelwave_controller.phrases import plural
from modelwave_controller.releases import heldout
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.releases.heldout import Compared
from modelwave_controller.storage import log
from modelwave_controller.storage.store import Store, file_of


class Runs(NamedTuple):
    """The release that runs on a target. `name` and `how` say which and why this one: "release 3",
    "which runs on rp2040". `stored` is None if there is none, or if this home does not have it."""

    name: str
    how: str
    stored: StoredRelease | None


@dataclass(frozen=True)
class Beside:
    """A new release's metrics (lineage.metrics) beside those of the release that runs."""

    metrics: dict[str, int]
    runs: Runs

    @property
    def compared(self) -> list[Compared]:
        old = self.runs.stored.manifest.lineage.metrics if self.runs.stored else {}
        return heldout.compare(heldout.shares(self.metrics), heldout.shares(old))

    @property
    def worse(self) -> str:
        """In what the new release is worse; "": in nothing. One metric is told, which is enough
        for an error of one line."""
        found = [one.told(self.runs.name) for one in self.compared if one.worse]
        more = f" (and {plural(len(found) - 1, 'more metric')})" if len(found) > 1 else ""
        return f"{found[0]}{more}" if found else ""

    def lines(self) -> list[str]:
        """Returns the comparison in words: nothing for a release without metrics."""
        names = heldout.shares(self.metrics)
        if not names:
            return []
        runs = self.runs
        if not runs.name:
            return [f"its held-out metrics are compared with nothing: {runs.how}"]
        if not runs.stored:
            return [f"its held-out metrics are compared with nothing: {runs.name}, {runs.how}"]
        compared = {one.name: one.told(runs.name) for one in self.compared}
        lines = [compared.get(name, f"{name}: {runs.name} has none") for name in names]
        return [f"Compared with {runs.name}, {runs.how}:", *lines]

    def json(self) -> dict[str, Any]:
        stored = self.runs.stored
        return {
            "with": stored and stored.manifest.release,
            "how": self.runs.how,
            "metrics": [one.json() for one in self.compared],
        }


def beside(releases: Releases, model: str, target: str, metrics: Mapping[str, int]) -> Beside:
    """Compares a new release with the one that runs. Raises OperatorError for wrong settings,
    TrustError for releases that cannot be verified."""
    return Beside(dict(metrics), runs_on(releases, model, target))


def runs_on(releases: Releases, model: str, target: str) -> Runs:
    """Returns the release of the model that runs on the target. Raises as `beside`."""
    current, doubt = None, f"no rollout of it for {target} has finished here"
    try:
        if (url := database_of(releases.home)) is not None:
            with closing(Store(url)) as store, store.read() as connection:
                current = log.folded(connection, reports_of=[]).current.get((model, target))
    except StorageError as error:
        doubt = f"the database was not read ({error})"
    if current is not None:
        stored = releases.of_digest(model, current.manifest)
        missing = "" if stored else ", is not in this home"
        return Runs(f"release {current.release}", f"which runs on {target}{missing}", stored)
    newest = releases.newest(model, target)
    if newest is None:
        return Runs("", f"this home has no other release of {model} for {target}", None)
    how = f"the newest one for {target}, as {doubt}"
    return Runs(f"release {newest.manifest.release}", how, newest)


def database_of(home: Home) -> str | None:
    """Returns the URL of the home's database; None if there is none yet. It makes none."""
    if not (home.path / "controller.toml").exists():
        return None
    url = home.database_url
    file = file_of(url)
    return url if file is None or file.exists() else None
