"""The calls about models: their releases beside each other, and where a release stands."""

from functools import partial
from typing import Annotated

from pydantic import Field

from modelwave_controller.api.call import GET, Asked, Call
from modelwave_controller.api.words import NameOf
from modelwave_controller.people.roles import VIEW
from modelwave_controller.results.models import Arena, ModelReleases, Standing
from modelwave_shared.limits import MAX_SEQ

LINES = 5  # of each model in the list of all
PAGE = 200  # releases

Number = Annotated[int, Field(ge=1, le=MAX_SEQ)]


class One(Asked):
    """The newest `limit` releases of the model, of those below the number `before`."""

    model: NameOf
    before: Number | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE)] = PAGE


class Release(Asked):
    """`release`: its number."""

    model: NameOf
    release: Number


class ArenaOf(Release):
    """`wait`: until it is drawn; else the answer may be that it is being drawn."""

    target: NameOf
    wait: bool = True


_call = partial(Call, "models")

LIST: Call[Asked, list[ModelReleases]] = _call(
    "listModels",
    GET,
    "/models",
    Asked,
    list[ModelReleases],
    VIEW,
    "All models, each with its newest releases and how many devices run them.",
)
SHOW: Call[One, ModelReleases] = _call(
    "showModel",
    GET,
    "/models/{model}",
    One,
    ModelReleases,
    VIEW,
    "The releases of a model, the newest first, and how many devices run them.",
)
STANDING: Call[Release, list[Standing]] = _call(
    "showStanding",
    GET,
    "/models/{model}/releases/{release}",
    Release,
    list[Standing],
    VIEW,
    "For each target of a release: its needs beside the target's room, the devices that run it, "
    "and its metrics beside those of the release before.",
)
ARENA: Call[ArenaOf, Arena] = _call(
    "drawArena",
    GET,
    "/models/{model}/releases/{release}/arenas/{target}",
    ArenaOf,
    Arena,
    VIEW,
    "A board's arena over time while the model of a release runs, as a picture.",
)
CALLS = (LIST, SHOW, STANDING, ARENA)
