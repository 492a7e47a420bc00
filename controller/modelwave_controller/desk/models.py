"""Does the calls about models."""

from modelwave_controller.api import models as calls
from modelwave_controller.api.call import Asked
from modelwave_controller.desk.desk import Desk
from modelwave_controller.desk.doing import as_it_is, does
from modelwave_controller.errors import NotFoundError
from modelwave_controller.models.targets import Targets
from modelwave_controller.operations import standing
from modelwave_controller.releases.arenas import Arenas
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.results.models import Arena, ModelReleases, Standing
from modelwave_shared.words import TFLITE

NO_ARENA = "only a .tflite on a board whose kernels were measured has an arena"

_arenas = Arenas()  # what it has drawn stays the same, for whoever asks


@does(calls.LIST)
def list_all(desk: Desk, _asked: Asked) -> list[ModelReleases]:
    with desk.store.read() as connection:
        return standing.of_models(connection, Releases(as_it_is(desk.home)), calls.LINES)


@does(calls.SHOW)
def show(desk: Desk, asked: calls.One) -> ModelReleases:
    releases = Releases(as_it_is(desk.home))
    with desk.store.read() as connection:
        return standing.of_model(connection, releases, asked.model, asked.before, asked.limit)


@does(calls.STANDING)
def show_standing(desk: Desk, asked: calls.Release) -> list[Standing]:
    releases = Releases(as_it_is(desk.home))
    found = _found(releases, asked)
    with desk.store.read() as connection:
        return standing.of_release(connection, releases, found)


@does(calls.ARENA)
def draw_arena(desk: Desk, asked: calls.ArenaOf) -> Arena:
    releases = Releases(as_it_is(desk.home))
    found = _found(releases, asked)
    if asked.target not in found:
        raise NotFoundError(
            f"target: release {asked.release} of {asked.model} is for {', '.join(found)}"
        )
    stored = found[asked.target]
    board = Targets(desk.home.targets).all().get(asked.target)
    if board is None or board.profile is None or stored.document["format"] != TFLITE:
        return Arena(asked.target, "", "", NO_ARENA)
    file = next(file.sha256 for file in stored.manifest.files if file.role == "model")
    name = f"{asked.model} {stored.manifest.version}"
    svg, why = _arenas.picture(releases.file_path(file), board.profile, name, asked.wait)
    return Arena(asked.target, board.profile, svg, why)


def _found(releases: Releases, asked: calls.Release) -> dict[str, StoredRelease]:
    found = releases.numbered(asked.model, asked.release)
    if not found:
        numbers = ", ".join(map(str, releases.numbers(asked.model)[:5]))
        raise NotFoundError(
            f"RELEASE: {asked.model} has no release {asked.release}; its newest are {numbers}"
        )
    return found
