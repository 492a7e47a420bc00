"""Does the calls about releases."""

from typing import Any

from modelwave_controller.api import releases as calls
from modelwave_controller.desk.doing import OfFiles, as_it_is, does
from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import ml_bom
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.releases.shown import shown
from modelwave_controller.results.releases import Release, ReleasePage
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


def _found(releases: Releases, asked: calls.Show) -> dict[str, StoredRelease]:
    found = releases.find(asked.model, asked.release)
    if asked.target is None:
        return found
    if asked.target not in found:
        raise OperatorError(f"--target: {asked.model} {asked.release} is for {', '.join(found)}")
    return {asked.target: found[asked.target]}
