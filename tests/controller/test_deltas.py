"""Deltas are made for the releases that devices run, and offered in orders; savings are shown."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run, commands
from rollout_world import READS_TODAY, TARGET, Device, World, manifest, seen

from modelwave_controller.home import Home
from modelwave_controller.operations import deltas as operations
from modelwave_controller.releases import delta_files, delta_making, delta_offers
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.results.rollouts import NOTHING_SAVED, Saved
from modelwave_controller.storage import deltas as stored
from modelwave_shared import deltas, digests, fields
from modelwave_shared.deltas import BSDIFF, MAX_OFFERS, SUBTRACTED, Offer
from modelwave_shared.limits import MAX_BYTES, MAX_EPOCH, MAX_SEQ

RANDOM = random.Random(3)
FIRST = RANDOM.randbytes(5000)


def tuned(model: bytes, changes: int) -> bytes:
    found = bytearray(model)
    for place in RANDOM.sample(range(len(model)), changes):
        found[place] = (found[place] + RANDOM.choice((1, 255))) % 256
    return bytes(found)


MODELS = {1: FIRST, 2: tuned(FIRST, 100), 3: tuned(FIRST, 200), 4: RANDOM.randbytes(5000)}
GOLDEN = b"a golden set"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Four releases, of which the last has nothing in common with the others."""
    made = World(tmp_path)
    made.issuer.deltas = lambda target, sha256: delta_files.offers(made.home, target, sha256)
    for number in MODELS:
        shelve(made, number)
    yield made
    made.close()


def shelve(world: World, number: int) -> None:
    for data in (MODELS[number], GOLDEN):
        (world.home.files / digests.hexdigest(data)).write_bytes(data)
    world.shelve(number, **contents(number))


def contents(number: int) -> dict[str, Any]:
    """The fields of the manifest."""
    both = (("model", MODELS[number]), ("golden", GOLDEN))
    files = [
        {"role": role, "sha256": digests.hexdigest(data), "size": len(data)} for role, data in both
    ]
    return {"files": files, "needs": {**manifest(number)["needs"], "flash": 6000}}


def add(world: World, number: int, release: int, reads: int = SUBTRACTED) -> list[Device]:
    """Devices that run this release, and apply deltas up to this kind."""
    devices = world.add(number)
    signed = Releases(world.home).find("digits", str(release))[TARGET]
    for device in devices:
        device.models["digits"] |= {"release": release, "sha256": signed.digest}
        device.says["reads"] = READS_TODAY | ({"delta": reads} if reads else {})
    world.hear(devices)
    return devices


def prepared(world: World, release: int) -> list[operations.Delta]:
    releases = Releases(Home(world.home.path))
    found = releases.find("digits", str(release))
    return operations.prepare(world.store, releases, "digits", found)


def offered(world: World, release: int) -> list[Offer]:
    return delta_files.offers(world.home, TARGET, digests.hexdigest(MODELS[release]))


def base(release: int) -> str:
    return digests.hexdigest(MODELS[release])[: deltas.BASE_DIGITS]


def test_a_delta_is_made_for_each_release_that_devices_run_the_most_common_first(
    world: World,
) -> None:
    add(world, 1, 1)
    add(world, 3, 2)
    made = prepared(world, 3)
    assert [(one.release, one.devices, one.of) for one in made] == [(2, 3, 5000), (1, 1, 5000)]
    offers = offered(world, 3)
    assert [offer.base for offer in offers] == [base(2), base(1)]
    for offer, one in zip(offers, made, strict=True):
        data = (world.home.files / offer.sha256).read_bytes()
        assert digests.hexdigest(data) == offer.sha256
        assert len(data) == offer.size == one.size < 1000
    assert prepared(world, 3) == []


def test_nothing_is_made_where_no_device_applies_deltas(world: World) -> None:
    add(world, 2, 1, reads=0)
    assert prepared(world, 2) == []
    assert not world.home.deltas.exists()


def test_nothing_is_made_where_the_settings_say_so(world: World) -> None:
    add(world, 2, 1)
    path = world.home.path / "controller.toml"
    path.write_text(path.read_text().replace("deltas = true", "deltas = false"))
    assert prepared(world, 2) == []


def test_models_with_nothing_in_common_have_no_delta_and_are_not_compared_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(world, 2, 1)
    assert [one.size for one in prepared(world, 4)] == [0]
    assert offered(world, 4) == []
    monkeypatch.setattr(delta_making, "deltas", None)
    assert prepared(world, 4) == []


def test_a_new_base_comes_first_and_the_older_ones_stay(world: World) -> None:
    gone = add(world, 2, 1)
    prepared(world, 3)
    for device in gone:
        device.models["digits"] |= {"sha256": "", "release": 0}
    world.hear(gone)
    add(world, 1, 2)
    assert [one.release for one in prepared(world, 3)] == [2]
    assert [offer.base for offer in offered(world, 3)] == [base(2), base(1)]


def test_kind_2_is_made_only_for_devices_that_apply_it_and_where_it_is_smaller(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {SUBTRACTED: bytes(1000), BSDIFF: bytes(800)}

    def fixed(_old: bytes, _new: bytes, reads: int) -> dict[int, bytes]:
        return {kind: made[kind] for kind in made if kind <= reads}

    monkeypatch.setattr(delta_making, "deltas", fixed)
    add(world, 2, 1)
    prepared(world, 2)
    assert [offer.kind for offer in offered(world, 2)] == [SUBTRACTED]
    add(world, 1, 1, reads=BSDIFF)
    prepared(world, 2)
    assert [(o.kind, o.size) for o in offered(world, 2)] == [(BSDIFF, 800), (SUBTRACTED, 1000)]
    made[BSDIFF] = bytes(950)
    prepared(world, 3)
    assert [offer.kind for offer in offered(world, 3)] == [SUBTRACTED]


def test_a_device_that_says_it_applies_kinds_which_nobody_knows_stops_nothing(
    world: World,
) -> None:
    add(world, 1, 1, reads=MAX_EPOCH)
    [made] = prepared(world, 2)
    assert made.devices == 1
    assert [offer.kind for offer in offered(world, 2)] in ([SUBTRACTED], [BSDIFF, SUBTRACTED])
    assert prepared(world, 2) == []


@pytest.mark.parametrize("content", [b"", b"{}", b'{"made": 1}', b"\xff\0", b"[" * 60000])
def test_a_list_that_cannot_be_read_counts_as_none_and_is_made_anew(
    world: World, content: bytes
) -> None:
    add(world, 1, 1)
    prepared(world, 2)
    (path,) = (world.home.deltas / TARGET).iterdir()
    before = path.read_bytes()
    path.write_bytes(content)
    assert offered(world, 2) == []
    prepared(world, 2)
    assert path.read_bytes() == before


def test_an_order_offers_the_deltas_and_says_nothing_without_any(world: World) -> None:
    (device,) = add(world, 1, 1)
    prepared(world, 2)
    for release, expected in ((2, [offer.text() for offer in offered(world, 2)]), (4, None)):
        world.start(release, **contents(release))
        world.tick()
        order = world.ordered(device)
        assert order is not None
        assert order.get("extra", {}).get("deltas") == expected
        world.answer("SUCCEEDED", [device])
        for _ in range(4):
            world.now += 1
            world.tick()


def test_offers_have_the_room_that_the_other_fields_leave() -> None:
    offers = [Offer(SUBTRACTED, f"{n:064x}", 2**30, f"{n:064x}") for n in range(9)]
    assert len(delta_offers.with_offers({}, offers)["deltas"]) == MAX_OFFERS
    full: dict[str, Any] = {
        "maintenance_starts": [1] * 14,
        "maintenance_minutes": [1] * 14,
        "note": "x" * 200,
    }
    found = delta_offers.with_offers(full, offers)
    assert len(found["deltas"]) == 3
    fields.extra(found, "order.extra")
    full["note"] = ["x" * 150] * 3
    assert delta_offers.with_offers(full, offers) == full


def test_rollout_start_makes_what_the_fleet_has_use_for_and_the_status_shows_what_it_spared(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run: Run = commands(world, capsys)
    devices = add(world, 3, 1)
    started = run("rollout", "start", "digits", "2", "--soak", "0", "--least-devices", "1")
    told = "delta from release 1 of digits for linux-cpu, which 3 devices run"
    assert any(told in line for line in started.lines())
    assert offered(world, 2)
    assert "saved" not in run("rollout", "status").out
    digest = Releases(world.home).find("digits", "2")[TARGET].digest
    for device in devices[:2]:
        device.models["digits"] |= {"release": 2, "sha256": digest, "saved": 4800}
    world.hear(devices)
    assert "saved 9,600 bytes, by deltas to 2 devices" in run("rollout", "status").out
    assert run("rollout", "status", "--json").json()["saved"] == {"devices": 2, "bytes": 9600}
    assert seen(world).saved == Saved(2, 9600)
    shown = run("device", "show", devices[0].name)
    assert "digits 2 came as a delta: 4,800 bytes less were downloaded" in shown.out
    assert run("device", "show", devices[0].name, "--json").json()["models"][0]["saved"] == 4800
    assert "delta" not in run("device", "show", devices[2].name).out.replace("delta v 1", "")


def test_what_was_spared_is_found_by_an_index_of_those_alone(world: World) -> None:
    with world.store.read() as connection:
        assert stored.saved(connection, ["0" * 64]) == NOTHING_SAVED
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT count(*), sum(saved) FROM device_models "
            "WHERE sha256 IN (?) AND saved > 0",
            ("0" * 64,),
        ).all()
    assert "COVERING INDEX device_models_saved" in plan[0][-1]


def test_a_delta_spares_no_more_than_a_file_has(world: World) -> None:
    """More of it, from a thousand devices, could not be added up any more."""
    [device] = add(world, 1, 1)
    told = device.models["digits"]
    for saved, held in ((MAX_BYTES, MAX_BYTES), (MAX_BYTES + 1, MAX_BYTES), (MAX_SEQ, MAX_BYTES)):
        told["saved"] = saved
        world.hear([device])
        with world.store.read() as connection:
            assert stored.saved(connection, [told["sha256"]]).bytes == held


def test_release_add_makes_them_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run: Run = commands(world, capsys)
    add(world, 2, 1)
    path = world.home.releases / "digits" / "2" / f"{TARGET}.json"
    moved = path.rename(world.home.path / "manifest.json")
    lines = run("release", "add", str(moved)).lines()
    assert "which 2 devices run: " in lines[-1]
    assert offered(world, 2)


def test_one_device_runs_and_two_run_it() -> None:
    one = operations.Delta("digits", TARGET, 1, 300, 1000, devices=1)
    assert "which 1 device runs: 300 of 1,000 bytes" in one.told()
    assert "which 1 device runs: the models have too little" in one._replace(size=0).told()
    assert "which 2 devices run: 300" in one._replace(devices=2).told()
