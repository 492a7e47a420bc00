"""Does the calls about releases."""

from pathlib import Path
from typing import Any

from modelwave_controller.api import releases as calls
from modelwave_controller.desk.doing import OfFiles, as_it_is, does
from modelwave_controller.errors import OperatorError, StorageError
from modelwave_controller.releases import bundle_tar, ml_bom
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.releases.shown import shown
from modelwave_controller.results.releases import Added, Release, ReleasePage
from modelwave_shared import checkout


@does(calls.LIST)
def list_some(desk: OfFiles, asked: calls.List) -> ReleasePage:
    found, following = Releases(as_it_is(desk.home)).page(asked.model, asked.cursor, asked.limit)
    return ReleasePage([shown(one) for one in found], following)


@does(calls.SHOW)
def show(desk: OfFiles, asked: calls.Show) -> list[Release]:
    return [shown(one) for one in _found(Releases(as_it_is(desk.home)), asked).values()]


@does(calls.SBOM)
def sbom(desk: OfFiles, asked: calls.Show) -> dict[str, Any]:
    releases = Releases(as_it_is(desk.home))
    found = _found(releases, asked)
    if len(found) > 1:
        raise OperatorError(
            f"--target: {asked.model} {asked.release} is for {', '.join(found)}; give one"
        )
    (stored,) = found.values()
    return ml_bom.bill(stored, releases.root, checkout.described(), desk.clock())


@does(calls.ADD)
def add(desk: OfFiles, asked: calls.Add, sent: Path) -> Added:
    home = as_it_is(desk.home)
    releases = Releases(home)
    named = asked.name or "the bundle"
    with bundle_tar.opened(sent, home.path, named) as bundle:
        stored, is_new = releases.add(bundle, Path(named))
    one = shown(stored)
    deltas, unlogged = _told(desk, releases, stored, is_new)
    return Added(one.sha256, one.manifest, one.held_out, one.trouble, is_new, deltas, unlogged)


def _told(
    desk: OfFiles, releases: Releases, stored: StoredRelease, is_new: bool
) -> tuple[list[str], str]:
    """Makes the deltas to it and puts it into the log, if the home has one. Returns the first in
    words, and why the log does not have it, or ""."""
    # Its import brings SQLAlchemy's, which takes half of a command's start time.
    from modelwave_controller.operations import added

    try:
        with desk.database() as store:
            if store is None:
                return [], ""
            unlogged = added.note(store, stored, is_new, desk.clock(), desk.person.name)
            return added.deltas_to(store, releases, stored), unlogged
    except StorageError as error:
        return [], str(error)


def _found(releases: Releases, asked: calls.Show) -> dict[str, StoredRelease]:
    found = releases.find(asked.model, asked.release)
    if asked.target is None:
        return found
    if asked.target not in found:
        raise OperatorError(f"--target: {asked.model} {asked.release} is for {', '.join(found)}")
    return {asked.target: found[asked.target]}
