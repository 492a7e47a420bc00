"""What follows when a release was added to a home that has a database."""

from modelwave_controller.errors import StorageError
from modelwave_controller.operations import acts, deltas
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.rollout.events import ReleaseAdded
from modelwave_controller.storage import log
from modelwave_controller.storage.store import Store

ADDED = "release_added"
MAX_ADDED = 100_000  # events of it that are looked at


def act(release: StoredRelease) -> ReleaseAdded:
    manifest = release.manifest
    return ReleaseAdded(
        model=manifest.model,
        release=manifest.release,
        version=manifest.version,
        target=manifest.target,
        manifest=release.digest,
    )


def note(store: Store, release: StoredRelease, is_new: bool, now: float, actor: str) -> str:
    """Puts it into the log, also one that is not new if the log lacks it: who added it may have
    been killed before. Returns why the log does not have it, or "": the release stays added."""
    try:
        if not is_new and _is_noted(store, release):
            return ""
        with store.write() as connection:
            acts.note(connection, now, actor, act(release))
    except StorageError as error:
        return str(error)
    return ""


def _is_noted(store: Store, release: StoredRelease) -> bool:
    with store.read() as connection:
        until = log.newest_id(connection)
        noted = [one.body for one in log.of_kinds(connection, [ADDED], 0, until, MAX_ADDED)]
    return any(one.manifest == release.digest for one in noted if isinstance(one, ReleaseAdded))


def deltas_to(store: Store, releases: Releases, release: StoredRelease) -> list[str]:
    """Makes the deltas to it; returns in words which. Whatever goes wrong, `rollout start` does it
    again."""
    manifest = release.manifest
    return deltas.told(store, releases, manifest.model, {manifest.target: release})
