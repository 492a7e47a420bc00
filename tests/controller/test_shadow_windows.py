"""Tests that windows of a model that runs beside the live one are kept apart from live ones."""

import json
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from observing_fleet import LABELS, NEW, OLD, ObservingFleet, judging
from rollout_commands import Run
from rollout_world import FLEET, World, newest
from sqlalchemy import Connection, func, select

from modelwave_controller.rollout.state import FINISHED
from modelwave_controller.storage import clock, metrics, window_folding, windows
from modelwave_controller.storage.tables import LIVE, SHADOW, WindowTables
from modelwave_controller.storage.window_folding import DAY_SECONDS
from modelwave_controller.storage.windows import KEPT_SECONDS, StoredWindow
from modelwave_shared import topics


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=1)) as made:
        made.tick()
        yield made


def document(n: int, window: int, **changes: Any) -> dict[str, Any]:
    counts = {"inferences": 100, "failures": 0, "labelled": 0, "correct": 0}
    place = {"window": window, "seconds": 900, "age_seconds": 0}
    which = {"boot": 1, "n": n, "install": "a" * 16, "model": "digits", "release": 1}
    return which | counts | place | changes


def in_shadow(n: int, window: int, agreed: int = 90, **changes: Any) -> dict[str, Any]:
    return document(n, window, shadow={"compared": 98, "agreed": agreed}, failures=2, **changes)


def send(world: World, *documents: dict[str, Any], device: str = "d0") -> None:
    for one in documents:
        world.inbox.put(topics.metrics(FLEET, device), json.dumps(one).encode())
    world.hear([])


def stored(world: World, tables: WindowTables) -> list[StoredWindow]:
    with world.store.read() as connection:
        found = windows.between(connection, "digits", ["d0"], -math.inf, math.inf, tables)
    return found.get("d0", [])


def count(connection: Connection, table: Any) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def test_both_windows_of_one_release_and_number_are_kept(world: World) -> None:
    send(world, document(1, window=5), in_shadow(2, window=5), in_shadow(3, window=5, agreed=98))
    send(world, in_shadow(2, window=5))  # repeated
    (live,), (shadow,) = stored(world, LIVE), stored(world, SHADOW)
    assert (live.inferences, live.failures, live.measures().compared) == (100, 0, 0)
    assert (shadow.inferences, shadow.failures) == (200, 4)
    assert (shadow.measures().compared, shadow.measures().agreed) == (196, 188)
    with world.store.read() as connection:
        (sums,), (shadows,) = metrics.by_release(connection), metrics.of_shadows(connection)
    assert (sums.inferences, sums.failures) == (100, 0)
    assert astuple(shadows) == ("digits", 1, 1, 200, 4, 196, 188, 188 / 196)


def test_shadow_windows_are_folded_to_hours_and_days_apart(world: World) -> None:
    send(world, document(1, 1), in_shadow(2, 1), in_shadow(3, 2))
    with world.store.write() as connection:
        now = clock.stored(connection).seconds
        for later in (KEPT_SECONDS + 1, 40 * DAY_SECONDS):
            window_folding.fold(connection, now + later, "")
        assert (count(connection, SHADOW.windows), count(connection, SHADOW.spans)) == (0, 1)
    (live,), (shadow,) = stored(world, LIVE), stored(world, SHADOW)
    assert (live.inferences, live.end - live.start) == (100, DAY_SECONDS)
    assert (shadow.inferences, shadow.end - shadow.start) == (200, DAY_SECONDS)
    assert (shadow.measures().compared, shadow.measures().agreed) == (196, 180)


def test_more_that_agreed_than_was_compared_is_dropped(world: World) -> None:
    send(world, in_shadow(1, 1, agreed=99))
    assert stored(world, SHADOW) == []


def test_a_device_that_is_forgotten_leaves_no_shadow_window(world: World, run: Run) -> None:
    send(world, in_shadow(1, 1))
    assert run("device", "forget", "d0").code == 0
    assert stored(world, SHADOW) == []
    with world.store.read() as connection:
        assert metrics.of_shadows(connection) == []


def test_shown_apart_of_a_device_and_of_the_fleet(world: World, run: Run) -> None:
    send(world, document(1, 1), in_shadow(2, 1, release=2), in_shadow(3, 2, release=2))
    live, shadow = run("device", "show", "d0", "--json").json()["observed"]
    assert (live["release"], live["shadow"], live["inferences"]) == (1, False, 100)
    assert (shadow["release"], shadow["shadow"], shadow["compared"]) == (2, True, 196)
    assert shadow["agreement"] == 180 / 196
    assert "2 in shadow" in run("device", "show", "d0").out
    assert "91.84 % of 196 agreed" in run("device", "show", "d0").out
    assert run("fleet", "status", "--json").json()["shadows"][0]["agreed"] == 180
    assert "91.8 % of 196 compared" in run("fleet", "status").out


def test_shadow_windows_never_move_a_gate_of_live_windows(tmp_path: Path) -> None:
    """Each canary sends a bad shadow window of the new release with each good live one."""
    with closing(World(tmp_path / "fleet", devices=12)) as world:
        fleet = ObservingFleet(world)
        plan = judging("failures <= baseline + 0.01", stages=(50, 100))

        def with_shadows(sent: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
            return [*sent, *(_beside(*one) for one in sent)]

        fleet.arrange = with_shadows
        fleet.begin(plan, before=4)
        assert fleet.run(20).status == FINISHED
        (first, *_) = newest(world).stages[0].looks[-1].findings
        assert (first.verdict, first.harm, first.canaries) == ("PASS", 0.0, 6)


def _beside(topic: str, payload: bytes) -> tuple[str, bytes]:
    live = json.loads(payload)
    bad = {"failures": LABELS, "shadow": {"compared": 0, "agreed": 0}}
    which = {"n": 10_000 + live["n"], "release": NEW, "labelled": 0, "correct": 0}
    assert live["release"] in (OLD, NEW)
    return topic, json.dumps(live | bad | which).encode()
