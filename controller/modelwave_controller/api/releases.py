"""The calls about releases."""

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from modelwave_controller.api.call import GET, POST, Asked, Call, Sent
from modelwave_controller.api.words import NameOf, NameOfFile
from modelwave_controller.people.roles import OPERATE, VIEW
from modelwave_controller.results.releases import Added, Release, ReleasePage
from modelwave_shared.limits import MAX_TEXT

PAGE = 500  # releases
MAX_BUNDLE_BYTES = 1 << 30
_NAME = "[a-z0-9][a-z0-9_-]{0,62}"

# The number of a release, or else its version.
Numbered = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class List(Asked):
    """Releases by model, number and target, of one model or of all; at most `limit`. `cursor`:
    `next` of the page before, "" for the first page."""

    model: NameOf | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE)] = PAGE
    cursor: Annotated[str, Field(pattern=f"^({_NAME}/[0-9]{{1,16}}/{_NAME})?$")] = ""


class Add(Asked):
    """`name`: what errors call the bundle."""

    name: NameOfFile = ""


class Show(Asked):
    """`target`: only that for this one."""

    model: NameOf
    release: Numbered
    target: NameOf | None = None


_call = partial(Call, "releases")

LIST: Call[List, ReleasePage] = _call(
    "listReleases",
    GET,
    "/releases",
    List,
    ReleasePage,
    VIEW,
    "All releases of the home, and which of them devices refuse.",
)
SHOW: Call[Show, list[Release]] = _call(
    "showRelease",
    GET,
    "/releases/{model}/{release}",
    Show,
    list[Release],
    VIEW,
    "What a release is and what it needs, for each of its targets.",
)
SBOM: Call[Show, dict[str, Any]] = _call(
    "showBillOfMaterials",
    GET,
    "/releases/{model}/{release}/sbom",
    Show,
    dict[str, Any],
    VIEW,
    "A release's machine-learning bill of materials: CycloneDX 1.6.",
)
ADD: Call[Add, Added] = _call(
    "addRelease",
    POST,
    "/releases",
    Add,
    Added,
    OPERATE,
    "Add the release of a signed bundle; the same one again changes nothing.",
    seconds=900.0,  # deltas to it are made
    sends=Sent(
        "A bundle as a plain tar of its files, as `tar -c -C BUNDLE .` makes it, or its manifest "
        "alone where the home has the files.",
        MAX_BUNDLE_BYTES,
        bundle=True,
    ),
)
CALLS = (LIST, SHOW, SBOM, ADD)
