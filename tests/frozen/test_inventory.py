"""Tests that what others build on since 1.0 stands: documents, topics, events, plans, settings,
commands and calls of the API."""

import copy

import pytest

from tests.frozen.inventory import OPTIONAL, REQUIRED, THERE, Inventory, inventory
from tests.frozen.kept import Release, broken, releases


@pytest.fixture(scope="module")
def now() -> Inventory:
    return inventory()


@pytest.mark.parametrize("release", releases(), ids=lambda release: release.name)
def test_nothing_that_a_release_has_promised_is_broken(release: Release, now: Inventory) -> None:
    assert not broken(release.inventory, now)


@pytest.mark.parametrize(
    ("part", "name", "said", "told"),
    [
        ("documents", "order.seq", None, "order.seq was required, and is gone"),
        ("documents", "order.seq", OPTIONAL, "order.seq was required, and is optional"),
        ("documents", "order.v", REQUIRED, "order.v was optional, and is required"),
        ("documents", "order.mood", REQUIRED, "order.mood is required, and was not known"),
        ("documents", "report.models[].mood", REQUIRED, "is required, and was not known"),
        ("formats", "order", 1, "order was 2, and is 1"),
        ("words", "SUCCEEDED", None, "SUCCEEDED was there, and is gone"),
        ("limits", "SLOTS", 1001, "SLOTS was 1000, and is 1001"),
        ("topics", "reported", "modelwave/2/<fleet>", "was modelwave/1/<fleet>/reported/<device>"),
        ("migrations", "0027", None, "0027 was there, and is gone"),
        ("events", "opened.stage", None, "opened.stage was required, and is gone"),
        ("events", "opened.mood", REQUIRED, "opened.mood is required, and was not known"),
        ("plans", "stages.percent", None, "stages.percent was optional, and is gone"),
        ("plans", "mood", REQUIRED, "mood is required, and was not known"),
        ("settings", "broker.url", None, "broker.url was optional, and is gone"),
        ("commands", "modelwave rollout start", None, "modelwave rollout start was there"),
        ("commands", "modelwave rollout start --seed", REQUIRED, "was optional, and is required"),
        ("commands", "modelwave serve --mood", REQUIRED, "--mood is required, and was not known"),
        ("calls", "GET /api/v1/rollouts", None, "GET /api/v1/rollouts was there, and is gone"),
        ("calls", "GET /api/v1/rollouts takes mood", REQUIRED, "is required, and was not known"),
    ],
)
def test_what_breaks_a_promise_is_named(
    now: Inventory, part: str, name: str, said: object, told: str
) -> None:
    later = copy.deepcopy(now)
    if said is None:
        del later[part][name]
    else:
        later[part][name] = said
    [line] = broken(now, later)
    assert line.startswith(f"{part}: ")
    assert told in line


@pytest.mark.parametrize(
    ("part", "entries"),
    [
        ("documents", {"order.mood": OPTIONAL}),
        ("documents", {"mood": THERE, "mood.colour": REQUIRED}),
        ("formats", {"order": 3}),
        ("words", {"DELIGHTED": THERE}),
        ("events", {"smiled": THERE, "smiled.kind": REQUIRED}),
        ("plans", {"stages": OPTIONAL}),
        ("commands", {"modelwave smile": THERE, "modelwave smile WHOM": REQUIRED}),
        ("calls", {"GET /api/v1/rollouts answers mood": THERE}),
    ],
)
def test_what_is_only_more_breaks_nothing(
    now: Inventory, part: str, entries: dict[str, object]
) -> None:
    assert not broken(now, {**now, part: {**now[part], **entries}})
