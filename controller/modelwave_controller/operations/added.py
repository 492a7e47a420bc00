"""What follows when a release was added to a home that has a database."""

from modelwave_controller.errors import StorageError
from modelwave_controller.operations import acts, deltas
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.rollout.events import ReleaseAdded
from modelwave_controller.storage.store import Store


def act(release: StoredRelease) -> ReleaseAdded:
    manifest = release.manifest
    return ReleaseAdded(
        model=manifest.model,
        release=manifest.release,
        version=manifest.version,
        target=manifest.target,
        manifest=release.digest,
    )


def note(store: Store, release: StoredRelease, now: float, actor: str) -> str:
    """Puts it into the log. Returns why the log does not have it, or "": the release stays
    added."""
    try:
        with store.write() as connection:
            acts.note(connection, now, actor, act(release))
    except StorageError as error:
        return str(error)
    return ""


def deltas_to(store: Store, releases: Releases, release: StoredRelease) -> list[str]:
    """Makes the deltas to it; returns in words which. Whatever goes wrong, `rollout start` does it
    again."""
    manifest = release.manifest
    return deltas.told(store, releases, manifest.model, {manifest.target: release})
