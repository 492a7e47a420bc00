"""Makes the deltas to a release from those that the devices of its targets run now."""

from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

from modelwave_controller.errors import StorageError
from modelwave_controller.operations import running
from modelwave_controller.phrases import plural
from modelwave_controller.releases import delta_files
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.releases.delta_files import Base
from modelwave_controller.storage import deltas
from modelwave_controller.storage.store import Store
from modelwave_controller.trust.documents import ReleaseFile

_NONE = "no deltas were made"


class Delta(NamedTuple):
    """A delta that was made now. `size` and `of`: its bytes, and those of the whole model; 0 bytes:
    none is worth it. `devices`: that run the release it is from."""

    model: str
    target: str
    release: int
    size: int
    of: int
    devices: int

    def told(self) -> str:
        what = f"from release {self.release} of {self.model} for {self.target}"
        run = "runs" if self.devices == 1 else "run"
        whose = f"which {plural(self.devices, 'device')} {run}"
        if not self.size:
            return f"no delta {what}, {whose}: the models have too little in common"
        return f"delta {what}, {whose}: {self.size:,} of {self.of:,} bytes"


def prepare(
    store: Store, releases: Releases, model: str, found: Mapping[str, StoredRelease]
) -> list[Delta]:
    """Makes the deltas that are missing to the releases `found`, by target. Returns those that were
    made. Raises OSError, StorageError."""
    home = releases.home
    if not home.config.files.deltas:
        return []
    with store.read() as connection:
        alive = {target: deltas.alive(connection, model, target) for target in found}
    if not any(alive.values()):
        return []
    stored = {one.digest: one for _, one in releases.places(model, ())}
    made: list[Delta] = []
    for target, new in found.items():
        file, bases = _model(new), dict[str, tuple[Base, int]]()
        for one in alive[target]:
            if one.manifest in stored:
                old, number = _model(stored[one.manifest]), stored[one.manifest].manifest.release
                base, number = bases.get(old.sha256, (Base(old.sha256, 0, 0), number))
                more = Base(old.sha256, max(base.reads, one.reads), base.devices + one.devices)
                bases[old.sha256] = more, number
        bases.pop(file.sha256, None)
        wanted = [base for base, _ in bases.values()]
        for base, size, is_new in delta_files.make(home, target, file.sha256, wanted):
            if is_new:
                number = bases[base.sha256][1]
                made.append(Delta(model, target, number, size, file.size, base.devices))
    return made


def of_added(releases: Releases, model: str, found: Mapping[str, StoredRelease]) -> list[str]:
    """Does it for releases that were just added, and returns what to tell. A home without a
    database knows no devices; whatever goes wrong, `rollout start` does it again."""
    try:
        if (url := running.database_of(releases.home)) is None:
            return []
        with closing(Store(url)) as store:
            return told(store, releases, model, found)
    except StorageError as error:
        return [f"{_NONE}: {error}"]


def told(
    store: Store, releases: Releases, model: str, found: Mapping[str, StoredRelease]
) -> list[str]:
    """Does it in this database."""
    try:
        return [one.told() for one in prepare(store, releases, model, found)]
    except (StorageError, OSError) as error:
        return [f"{_NONE}: {error}"]


def _model(release: StoredRelease) -> ReleaseFile:
    return next(file for file in release.manifest.files if file.role == "model")
