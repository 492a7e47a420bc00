"""The calls about releases."""

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from modelwave_controller.api.call import GET, Asked, Call
from modelwave_controller.api.words import NameOf
from modelwave_controller.people.roles import VIEW
from modelwave_controller.results.releases import Release, ReleasePage
from modelwave_shared.limits import MAX_TEXT

PAGE = 500  # releases
_NAME = "[a-z0-9][a-z0-9_-]{0,62}"

# The number of a release, or else its version.
Numbered = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class List(Asked):
    """Releases by model, number and target, of one model or of all; at most `limit`. `cursor`:
    `next` of the page before, "" for the first page."""

    model: NameOf | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE)] = PAGE
    cursor: Annotated[str, Field(pattern=f"^({_NAME}/[0-9]{{1,16}}/{_NAME})?$")] = ""


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
CALLS = (LIST, SHOW, SBOM)
